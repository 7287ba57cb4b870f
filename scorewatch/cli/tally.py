"""Counts files while a batch job runs: overhears every event and decision, as a listener of the loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scorewatch.model import decisions as d
from scorewatch.model import events as e

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Tally:
    """What became of the files of one run, as far as it got."""

    scored: int = 0
    failed: int = 0
    skipped: int = 0
    left: int = 0  #: in the inbox at the last look, whole or not
    unsettled: tuple[str, ...] = ()  #: the first few that are still being written
    tell: Callable[[Tally], None] | None = None  #: called after each change
    _open: dict[str, int] = field(default_factory=dict)  # files of each open batch
    _good: dict[str, int] = field(default_factory=dict)  # files that succeeded, of batches that are scored

    @property
    def ended(self) -> int:
        """Files that nothing is owed to."""
        return self.scored + self.failed + self.skipped

    @property
    def known(self) -> int:
        """All files that were heard of: ended, claimed, or waiting."""
        return self.ended + sum(self._open.values()) + self.left

    def hear(self, event: e.Event, decision: d.Decision, now: object) -> None:  # noqa: ARG002 - the port's
        """Count what this event says, and what is done about it."""
        match event:
            case e.SweepEnded():
                self.left, self.unsettled = event.waiting + event.settling, event.unsettled
            case e.FilesSettled():
                self.left = max(self.left, len(event.files))
            case e.FilesRefused():
                self.skipped += len(event.refusals)
            case e.RemainsFound():
                self._open |= {one.batch_id: len(one.claim or ()) for one in event.remains if not one.output}
            case e.BatchClaimed():
                self._claimed(event)
            case e.BatchDivided():
                self._open.pop(event.batch_id, None)
                self._open |= {half_id: len(files) for half_id, files in event.halves if files}
            case e.BatchScored():
                self._good[event.receipt.batch_id] = event.receipt.succeeded
            case e.BatchPublished():
                self._published(event.batch_id)
            case _:
                pass
        self._set_aside(decision.actions)
        if self.tell is not None:
            self.tell(self)

    def _claimed(self, event: e.BatchClaimed) -> None:
        if event.files:
            self._open[event.batch_id] = len(event.files)
        self.left = max(0, self.left - len(event.files) - event.vanished)

    def _published(self, batch_id: str) -> None:
        files = self._open.pop(batch_id, 0)
        good = min(files, self._good.pop(batch_id, files))
        self.scored += good
        self.failed += files - good

    def _set_aside(self, actions: tuple[Any, ...]) -> None:
        for action in actions:
            if isinstance(action, d.SetAside):  # repeated where the disk refused; the batch is counted once
                self.failed += self._open.pop(action.batch.batch_id, 0)
            elif isinstance(action, d.DropClaim):
                self._open.pop(action.batch_id, None)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "scored": self.scored,
            "failed": self.failed,
            "skipped": self.skipped,
            "left": self.left,
            "unsettled": list(self.unsettled),
        }
