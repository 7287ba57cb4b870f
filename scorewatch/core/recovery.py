"""What a start does with what an earlier daemon left: the crash rule's table, as code.

Every state on disk names the action still owed, and doing that action twice is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from scorewatch.core.lifecycle import NOTHING_OWED
from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.ids import parent_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scorewatch.model.events import Remains


class Owed(Enum):
    """What is still to be done with a batch."""

    SEAL = auto()  #: a claim without a row: seal what is in it
    WAIT = auto()  #: waits for a worker, as it did
    INTERRUPTED = auto()  #: it ran when the daemon died
    RETURNED = auto()  #: it was handed out when the daemon stopped by itself
    RELEASE = auto()  #: its output is there: move its inputs out, see to its summary line
    COMMIT = auto()  #: its output is there, and the ledger does not know yet
    SET_ASIDE = auto()
    DIVIDE = auto()
    VOID = auto()  #: none of its files are in its claim: undone by a power cut, or emptied by hand
    NOTHING = auto()  #: a half that its parent's unfinished split will deal with


@dataclass(frozen=True, slots=True)
class Finding:
    """One batch, what is owed, and the batch as it stands now."""

    owed: Owed
    batch: MiniBatch
    state: S


def judge(remains: Sequence[Remains], tries: int, now: float) -> list[Finding]:
    """What is owed for each of the remains, in their order."""
    states = {each.batch_id: each.state for each in remains if each.row is not None}
    return [_judge_one(each, states, tries, now) for each in remains]


_BY_STATE = {S.COMMITTED: Owed.RELEASE, S.SPLIT: Owed.DIVIDE, S.QUARANTINED: Owed.SET_ASIDE}


def _judge_one(each: Remains, states: Mapping[str, S], tries: int, now: float) -> Finding:
    if each.row is None:
        return _judge_unsealed(each, states, tries, now)
    batch, state = each.row, each.state
    if state in NOTHING_OWED:
        return _judge_closed(each, batch, state)
    if state in _BY_STATE:
        return Finding(_BY_STATE[state], batch, state)
    if each.output:
        return Finding(Owed.COMMIT, batch, state)
    present = _still_there(batch, each)
    if not present.files:
        return Finding(Owed.VOID, batch, state)
    ran = Owed.RETURNED if each.clean_stop else Owed.INTERRUPTED
    return Finding(ran if state is S.RUNNING else Owed.WAIT, present, state)


def _judge_closed(each: Remains, batch: MiniBatch, state: S) -> Finding:
    """Its claim came back with a power cut that undid the release, or empty with one that undid its removal."""
    if state is S.RELEASED and each.output:
        return Finding(Owed.RELEASE, batch, S.COMMITTED)
    return Finding(Owed.VOID, batch, S.CLAIMED)


def _judge_unsealed(each: Remains, states: Mapping[str, S], tries: int, now: float) -> Finding:
    files = each.claim or ()
    parent = parent_of(each.batch_id)
    batch = MiniBatch(
        batch_id=each.batch_id,
        files=files,
        total_bytes=sum(file.size for file in files),
        sealed_because=SealReason.BISECT if parent else SealReason.FLUSH,
        sealed_at=now,
        tries=1 if parent else tries,
    )
    if parent is not None and states.get(parent) is S.SPLIT:
        return Finding(Owed.NOTHING, batch, S.CLAIMED)
    if each.output:
        return Finding(Owed.COMMIT, batch, S.CLAIMED)
    return Finding(Owed.SEAL if files else Owed.VOID, batch, S.CLAIMED)


def _still_there(batch: MiniBatch, each: Remains) -> MiniBatch:
    """The batch with the files that its claim still holds, as they are now.

    A claim whose renames a power cut undid gave files back to the inbox: they come again by themselves.
    """
    found = {file.relpath: file for file in each.claim or ()}
    files = tuple(found[file.relpath] for file in batch.files if file.relpath in found)
    return replace(batch, files=files, total_bytes=sum(file.size for file in files))
