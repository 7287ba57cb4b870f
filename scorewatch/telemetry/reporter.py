"""Overhears every event and every decision, and has each change of state told in one log line.

It decides nothing, and it must cost little: the loop waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scorewatch.telemetry.batch_lines import BatchLines
from scorewatch.telemetry.house_lines import HouseLines
from scorewatch.telemetry.vocabulary import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from scorewatch.core.draft import Instant
    from scorewatch.model.decisions import Decision
    from scorewatch.model.events import Event


class Reporter:
    """Tells the log what happens.

    Args:
        log: where lines go; `use` replaces it when a reload changes [logging].
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._now: Instant | None = None
        self._troubles: tuple[str, ...] = ()
        self._lines = {**BatchLines(self.note).lines(), **HouseLines(self.note).lines()}

    def use(self, log: FilteringBoundLogger) -> None:
        """From now on, write there."""
        self._log = log

    def hear(self, event: Event, decision: Decision, now: Instant) -> None:
        """One event, and what was decided because of it."""
        self._now = now
        for told in (event, *decision.records, *decision.actions):
            tell = self._lines.get(type(told))
            if tell is not None:
                tell(told, now)
        self._now = None

    def note(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever a log line can hold
        """Tell something, whether or not it is an event of the model: `event` is a name of the vocabulary."""
        now = self._now  # read once: other threads tell things too
        if now is not None:
            fields["at"] = now.wall
        getattr(self._log, LEVELS.get(event, "warning"))(event, **fields)

    def health(self, problems: Sequence[str]) -> None:
        """What is wrong at the moment; only what is new, and what is over, is told."""
        current = tuple(problems)
        if current == self._troubles:
            return
        for problem in current:
            if problem not in self._troubles:
                self.note("trouble", message=problem)
        for problem in self._troubles:
            if problem not in current:
                self.note("trouble_over", message=problem)
        self._troubles = current
