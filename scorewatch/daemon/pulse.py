"""Once a turn of the loop: tell the service manager that we live, say what is wrong, keep the status file fresh.

The watchdog is fed by completed turns, not by a timer: a loop that stands still must be found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scorewatch.core.draft import Instant
    from scorewatch.core.scheduler import Scheduler
    from scorewatch.daemon.status import StatusFile
    from scorewatch.daemon.vigil import Vigil
    from scorewatch.executors.local.pool import LocalExecutor
    from scorewatch.model.decisions import Decision
    from scorewatch.model.events import Event
    from scorewatch.telemetry.reporter import Reporter
    from scorewatch.telemetry.systemd import ServiceManager

STARTING_STEP_S = 10.0  # while init() runs the manager is asked for three times as much, this often


class Pulse:
    """Implements `daemon.loop.Pulse`, and listens, to know when something changed."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        executor: LocalExecutor,
        manager: ServiceManager,
        status: StatusFile,
        reporter: Reporter,
        vigil: Vigil,
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._manager = manager
        self._status = status
        self._reporter = reporter
        self._vigil = vigil
        self._fed_at = 0.0
        self._ready = False
        self._stopping = False
        self._told = ""
        self._problems: list[str] = []

    @property
    def phase(self) -> str:
        """Where the service is in its life."""
        if self._stopping:
            return "draining"
        return "running" if self._ready else "starting"

    def hear(self, event: Event, decision: Decision, now: Instant) -> None:
        """Something happened: the status is stale if anything was decided."""
        del event, now
        if decision.records or decision.actions:
            self._status.touch()

    def beat(self, now: Instant) -> None:
        """A turn of the loop is complete."""
        self._vigil.look(now)
        house = self._scheduler.house
        problems = house.health()
        self._reporter.health(problems)
        if problems != self._problems:  # trouble comes and goes without anything being decided
            self._problems = problems
            self._status.touch()
        if house.stop is not None and not self._stopping:
            self._stopping = True
            self._manager.stopping("draining")
            self._status.touch()
        if not self._ready and house.crew.ever_ready and house.recovered:
            self._ready = True
            self._reporter.note("service_ready", workers=len(house.crew.workers))
            self._manager.ready(self._line(problems))
            self._status.touch()
        if now.mono >= self._feed_due():
            self._feed(now.mono, problems)
        if now.mono >= self._status.due():
            self.write(now)

    def due(self) -> float:
        """When the next turn must come at the latest."""
        return min(self._feed_due(), self._status.due())

    def write(self, now: Instant, phase: str | None = None) -> None:
        """Replace the status file."""
        self._status.write(self._scheduler.house, self._executor.workers(), phase or self.phase, now)

    def _feed_due(self) -> float:
        interval = self._manager.watchdog_interval()
        if not self._ready:
            interval = min(interval or STARTING_STEP_S, STARTING_STEP_S)
        return self._fed_at + interval if interval is not None and self._manager else float("inf")

    def _feed(self, mono: float, problems: list[str]) -> None:
        self._fed_at = mono
        self._manager.alive()
        if not self._ready:
            self._manager.extend(3 * STARTING_STEP_S)
        line = self._line(problems)
        if line != self._told:
            self._told = line
            self._manager.status(line)

    def _line(self, problems: list[str]) -> str:
        """One line about how things are, the worst first."""
        house = self._scheduler.house
        floor = house.floor
        work = f"{floor.done_files} files scored, {floor.failed_files} failed, {len(floor.lives)} batches under way"
        return f"{problems[0]} ({work})" if problems else f"well: {work}"
