"""The scheduler: hears what happened, answers what to do; touches nothing.

It holds no clock, opens no file and starts no thread. Whatever it wants done it says in a `Decision`, whose
records are durable before the first of its actions starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scorewatch.core import disk_desk, ending, flow, inbox_desk, worker_desk
from scorewatch.core.draft import Draft
from scorewatch.core.house import House
from scorewatch.model import events as e
from scorewatch.model.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.core.columns import Columns
    from scorewatch.core.draft import Instant
    from scorewatch.model.decisions import Decision
    from scorewatch.model.policy import Policy


def _stop_requested(house: House, event: e.StopRequested, draft: Draft) -> None:
    ending.begin(house, ExitCode.DONE, "", draft.now.mono, at_once=event.now)


def _policy_changed(house: House, event: e.PolicyChanged, draft: Draft) -> None:
    house.adopt(event.policy)
    house.crew.resize(event.policy.crew, event.policy.generation, draft)


def _clock_ticked(house: House, event: e.ClockTicked, draft: Draft) -> None:
    """Nothing but time has passed; what is due follows."""


_DESKS: dict[type[Any], Callable[[House, Any, Draft], None]] = {
    e.FilesSettled: inbox_desk.files_settled,
    e.FilesRefused: inbox_desk.files_refused,
    e.SweepEnded: inbox_desk.sweep_ended,
    e.BatchClaimed: inbox_desk.batch_claimed,
    e.ClaimFailed: inbox_desk.claim_failed,
    e.RemainsFound: inbox_desk.remains_found,
    e.BatchPublished: disk_desk.batch_published,
    e.PublishFailed: disk_desk.publish_failed,
    e.BatchReleased: disk_desk.batch_released,
    e.BatchDivided: disk_desk.batch_divided,
    e.ActionFailed: disk_desk.action_failed,
    e.FolderTroubled: disk_desk.folder_troubled,
    e.FolderFine: disk_desk.folder_fine,
    e.WorkerReady: worker_desk.worker_ready,
    e.WorkerInitFailed: worker_desk.worker_init_failed,
    e.WorkerDied: worker_desk.worker_died,
    e.BatchStarted: worker_desk.batch_started,
    e.BatchRan: worker_desk.batch_ran,
    e.BatchScored: worker_desk.batch_scored,
    e.BatchFailed: worker_desk.batch_failed,
    e.OrderReturned: worker_desk.order_returned,
    e.SchemaAsked: worker_desk.schema_asked,
    e.StopRequested: _stop_requested,
    e.PolicyChanged: _policy_changed,
    e.ClockTicked: _clock_ticked,
}


class Scheduler:
    """Decides everything.

    Args:
        policy: what the user wants.
        schema: the deployment's output schema as the ledger has it: (column, type).
    """

    def __init__(self, policy: Policy, schema: Columns = ()) -> None:
        self.house = House(policy, schema or policy.pinned_schema)

    def handle(self, event: e.Event, now: Instant) -> Decision:
        """What to do about one event, and about whatever is due by now."""
        draft = Draft(now)
        _DESKS[type(event)](self.house, event, draft)
        flow.advance(self.house, draft)
        return draft.decision()

    def next_deadline(self, now: Instant) -> float | None:
        """When to call with ClockTicked though nothing happened, on the monotonic clock; None: never."""
        return flow.next_deadline(self.house, now.mono)

    def health(self) -> list[str]:
        """What is wrong, the worst first; empty: all is well."""
        return self.house.health()
