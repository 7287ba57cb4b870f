"""What every ledger keeps: all of a decision or nothing, in the order of the batches, over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scorewatch.ledger.ledger import Ledger as SqliteLedger
from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.files import Observation, Refusal, RefusalReason
from scorewatch.model.records import BatchMoved, BatchSealed, FilesSkipped, Record, SchemaGrown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorewatch.model.ports import Ledger


@pytest.fixture(params=["sqlite power", "sqlite process"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ledger]:
    """Opens the same ledger again at each call, as a new daemon would."""
    durability = request.param.split()[1]

    def opened() -> Ledger:
        ledger = SqliteLedger.open(tmp_path / "ledger.db", durability)
        request.addfinalizer(ledger.close)
        return ledger

    return opened


def named(number: int) -> str:
    return f"20261122T213741Z-{number:020x}"


def batch(number: int) -> MiniBatch:
    return MiniBatch(
        batch_id=named(number),
        files=(Observation(f"{number}.csv", 5, 1, 2, 3, 4), Observation("\udcff\n", 5, 1, 2, 3, 4)),
        total_bytes=10,
        sealed_because=SealReason.WAIT,
        sealed_at=1.5,
        tries=4,
    )


def moved(number: int, was: S, now: S, attempt: int = 1, dispatch: int = 1) -> BatchMoved:
    return BatchMoved(batch_id=named(number), was=was, now=now, at=2.0, attempt=attempt, dispatch=dispatch, tries=4)


def states(ledger: Ledger) -> list[tuple[str, S]]:
    return [(batch.batch_id, state) for batch, state in ledger.open_batches()]


def test_what_was_recorded_is_there_for_the_next_daemon(opened: Callable[[], Ledger]) -> None:
    opened().record([BatchSealed(batch=batch(2)), BatchSealed(batch=batch(1)), moved(1, S.SEALED, S.RUNNING)])
    again = opened()
    assert states(again) == [(named(2), S.SEALED), (named(1), S.RUNNING)]
    assert again.open_batches()[0][0] == batch(2)
    second = again.open_batches()[1][0]
    assert (second.attempt, second.dispatch, second.files) == (1, 1, batch(1).files)


def test_only_released_and_void_are_owed_nothing(opened: Callable[[], Ledger]) -> None:
    ledger = opened()
    ends = (S.RUNNING, S.SCORED, S.COMMITTED, S.SPLIT, S.QUARANTINED, S.VOID, S.RELEASED)
    for number, end in enumerate(ends):
        ledger.record([BatchSealed(batch=batch(number)), moved(number, S.SEALED, end)])
    assert [state for _, state in states(ledger)] == list(ends[:5])


def test_one_wrong_move_takes_back_all_the_others(opened: Callable[[], Ledger]) -> None:
    ledger = opened()
    ledger.record([BatchSealed(batch=batch(1))])
    everything: list[Record] = [
        BatchSealed(batch=batch(2)),
        moved(1, S.SEALED, S.RUNNING),
        FilesSkipped(skip_id="s", at=1.0, refusals=(Refusal("x", RefusalReason.EMPTY, "empty"),)),
        SchemaGrown(columns=(("a", "int64"),)),
        moved(1, S.SCORED, S.COMMITTED),
    ]
    with pytest.raises(ScorewatchError):
        ledger.record(everything)
    assert states(ledger) == [(named(1), S.SEALED)]
    assert states(opened()) == [(named(1), S.SEALED)]


def test_recording_the_same_once_more_is_harmless(opened: Callable[[], Ledger]) -> None:
    ledger = opened()
    once = [BatchSealed(batch=batch(1)), moved(1, S.SEALED, S.RUNNING)]
    ledger.record(once)
    ledger.record(once[1:])
    ledger.record(once)
    assert states(ledger) == [(named(1), S.RUNNING)]


def test_nothing_to_record_is_nothing(opened: Callable[[], Ledger]) -> None:
    ledger = opened()
    ledger.record([])
    assert states(ledger) == []
