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

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.executors.local.spawn import WorkerPlan
    from scorewatch.settings.schema import Settings


class _Manager(Protocol):
    def reloading(self) -> bool: ...

    def ready(self, status: str = "") -> bool: ...


class Reload:
    """Holds the settings in force.

    Args:
        settings: those of the start.
        run_id: names this run of the daemon.
        set_plan: tells the executor how to make workers of a new generation.
        note: writes a log line.
        manager: the service manager.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        run_id: str,
        set_plan: Callable[[int, WorkerPlan], None],
        note: Callable[..., None],
        manager: _Manager,
    ) -> None:
        self.settings = settings
        self.generation = 1
        self._run_id = run_id
        self._set_plan = set_plan
        self._note = note
        self._manager = manager

    def __call__(self) -> list[Event]:
        """Read the file again; the events that follow from what changed."""
        self._manager.reloading()
        try:
            return self._reload()
        except ScorewatchError as error:
            self._note("reload_refused", what=str(error))
            return []
        finally:
            self._manager.ready()

    def _reload(self) -> list[Event]:
        new = load(self.settings.source)
        check_trust(new)
        changes = compare(self.settings, new)
        self.settings = taken_over(self.settings, new)
        if changes.workers:
            self.generation += 1
            self._set_plan(self.generation, plan(self.settings, generation=self.generation, run_id=self._run_id))
        self._note(
            "reloaded",
            later_batches=list(changes.batches),
            new_workers=list(changes.workers),
            needs_restart=list(changes.restart),
        )
        return [PolicyChanged(policy(self.settings, generation=self.generation))]
