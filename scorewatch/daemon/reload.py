"""SIGHUP: the configuration is read again; an error keeps the old one, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from scorewatch.daemon.plans import plan
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.events import Event, PolicyChanged
from scorewatch.settings.changes import compare, taken_over
from scorewatch.settings.load import load
from scorewatch.settings.policy import policy
from scorewatch.settings.safety import check_trust
from scorewatch.telemetry.logs import make_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from scorewatch.executors.local.spawn import WorkerPlan
    from scorewatch.settings.schema import Settings
    from scorewatch.telemetry.reporter import Reporter


class _Manager(Protocol):
    def reloading(self) -> bool: ...

    def ready(self, status: str = "") -> bool: ...


class Reload:
    """Holds the settings in force.

    Args:
        settings: those of the start.
        run_id: names this run of the daemon.
        once: this is a batch job, and stays one.
        set_plan: tells the executor how to make workers of a new generation.
        reporter: tells the log; a change of [logging] gives it another one.
        manager: the service manager.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        run_id: str,
        once: bool,
        set_plan: Callable[[int, WorkerPlan], None],
        reporter: Reporter,
        manager: _Manager,
    ) -> None:
        self.settings = settings
        self.generation = 1
        self._run_id = run_id
        self._once = once
        self._set_plan = set_plan
        self._reporter = reporter
        self._manager = manager

    def __call__(self) -> list[Event]:
        """Read the file again; the events that follow from what changed."""
        self._manager.reloading()
        try:
            return self._reload()
        except ScorewatchError as error:
            self._reporter.note("reload_refused", what=str(error))
            return []
        finally:
            self._manager.ready()

    def _reload(self) -> list[Event]:
        new = load(self.settings.source)
        for warning in check_trust(new):
            self._reporter.note("advice", message=warning)
        changes = compare(self.settings, new)
        self.settings = taken_over(self.settings, new)
        if changes.workers:
            self.generation += 1
            self._set_plan(self.generation, plan(self.settings, generation=self.generation, run_id=self._run_id))
        self._reporter.use(logger(self.settings))
        self._reporter.note(
            "reloaded",
            later_batches=list(changes.batches),
            new_workers=list(changes.workers),
            needs_restart=list(changes.restart),
        )
        return [PolicyChanged(policy(self.settings, once=self._once, generation=self.generation))]


def logger(settings: Settings) -> FilteringBoundLogger:
    """The log that the settings ask for."""
    return make_logger(settings.deployment.name, level=settings.logging.logging_level, form=settings.logging.format)
