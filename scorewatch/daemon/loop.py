"""The loop: the only place that waits.

A turn: wait for the bell, the workers or the next deadline; hand what happened to the scheduler; carry out what it
decides. Whoever listens (logs, progress) hears every event and every decision.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Protocol

from scorewatch.core.draft import Instant
from scorewatch.daemon.mailbox import Broken, Recorded, ReloadRequested
from scorewatch.model.decisions import Exit
from scorewatch.model.events import ClockTicked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scorewatch.core.scheduler import Scheduler
    from scorewatch.daemon.effects import Effects
    from scorewatch.daemon.mailbox import Letter, Mailbox
    from scorewatch.model.decisions import Decision
    from scorewatch.model.errors import ScorewatchError
    from scorewatch.model.events import Event
    from scorewatch.model.ports import Executor

LONGEST_NAP_S = 10.0


class Listener(Protocol):
    """Overhears everything, in the loop's thread."""

    def hear(self, event: Event, decision: Decision, now: Instant) -> None:
        """One event, and what was decided about it."""
        ...


class Pulse(Protocol):
    """What is done once a turn, whatever happened: the service manager, the status file."""

    def beat(self, now: Instant) -> None:
        """A turn of the loop is complete."""
        ...

    def due(self) -> float:
        """When the next turn must come at the latest, on the monotonic clock."""
        ...


class Loop:
    """Turns until somebody decides to leave."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        mailbox: Mailbox,
        executor: Executor,
        listeners: Sequence[Listener],
        reload: Callable[[], Sequence[Event]],
    ) -> None:
        self._scheduler = scheduler
        self._mailbox = mailbox
        self._executor = executor
        self._listeners = listeners
        self._reload = reload
        self._poll = select.poll()
        for fd in (mailbox.bell, *executor.sources()):
            self._poll.register(fd, select.POLLIN)
        self.exit: Exit | None = None
        self.broken: ScorewatchError | None = None

    def leave(self, action: Exit) -> None:
        """The scheduler decided to end."""
        self.exit = action

    def run(self, effects: Effects, pulse: Pulse) -> None:
        """Turn until `exit` or `broken` is set."""
        self.handle(ClockTicked(), effects)
        while self.exit is None and self.broken is None:
            self._poll.poll(self._nap_ms(pulse))
            heard = False
            for letter in self._mailbox.collect():
                self._open(letter, effects)
                heard = True
            for event in self._executor.news():
                self.handle(event, effects)
                heard = True
            if not heard:
                self.handle(ClockTicked(), effects)
            pulse.beat(now())

    def _nap_ms(self, pulse: Pulse) -> int:
        """Milliseconds until something falls due, rounded up: waking early would only mean waking twice."""
        moment = now()
        due = min(pulse.due(), moment.mono + LONGEST_NAP_S)
        deadline = self._scheduler.next_deadline(moment)
        if deadline is not None:
            due = min(due, deadline)
        return max(0, int((due - moment.mono) * 1000) + 1)

    def _open(self, letter: Letter, effects: Effects) -> None:
        match letter:
            case Recorded(actions):
                effects.start(actions)
            case Broken(error):
                self.broken = error
            case ReloadRequested():
                for event in self._reload():
                    self.handle(event, effects)
            case _:
                self.handle(letter, effects)

    def handle(self, event: Event, effects: Effects) -> None:
        """One event: decided about, overheard, carried out."""
        moment = now()
        decision = self._scheduler.handle(event, moment)
        for listener in self._listeners:
            listener.hear(event, decision, moment)
        effects.carry_out(decision)
        for action in decision.actions:
            if isinstance(action, Exit):  # even if its records can't be written: a full disk must not keep us here
                self.leave(action)


def now() -> Instant:
    """The present, on both clocks."""
    return Instant(time.monotonic(), time.time())
