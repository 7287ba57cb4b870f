from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from scorewatch.core.recovery import Owed, judge
from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import SetAside
from scorewatch.model.events import Remains, RemainsFound
from scorewatch.testing.makers import Talk, batch, file, only

if TYPE_CHECKING:
    from scorewatch.model.files import Observation

HALF = batch("a", number=1).batch_id + "a"


def remains(
    state: S,
    *,
    row: MiniBatch | None,
    claim: tuple[Observation, ...] | None,
    output: bool = False,
    clean: bool = False,
    batch_id: str = "",
) -> Remains:
    name = batch_id or (row or batch("a")).batch_id
    return Remains(batch_id=name, row=row, state=state, clean_stop=clean, claim=claim, output=output)


AB = (file("a"), file("b"))
ROW = batch("a", "b", attempt=1, dispatch=1)


@pytest.mark.parametrize(
    ("state", "claim", "output", "clean", "owed"),
    [
        (S.SEALED, AB, False, False, Owed.WAIT),
        (S.SEALED, None, False, False, Owed.VOID),
        (S.SEALED, (), False, False, Owed.VOID),
        (S.SEALED, AB, True, False, Owed.COMMIT),
        (S.RUNNING, AB, False, False, Owed.INTERRUPTED),
        (S.RUNNING, AB, False, True, Owed.RETURNED),
        (S.RUNNING, AB, True, False, Owed.COMMIT),
        (S.RUNNING, AB, True, True, Owed.COMMIT),
        (S.RUNNING, None, False, False, Owed.VOID),
        (S.COMMITTED, AB, True, False, Owed.RELEASE),
        (S.COMMITTED, None, True, False, Owed.RELEASE),
        (S.SPLIT, AB, False, False, Owed.DIVIDE),
        (S.SPLIT, None, False, False, Owed.DIVIDE),
        (S.QUARANTINED, AB, False, False, Owed.SET_ASIDE),
        (S.RELEASED, AB, True, False, Owed.RELEASE),  # a power cut undid the last rename
        (S.RELEASED, (), False, False, Owed.VOID),
        (S.VOID, (), False, False, Owed.VOID),
    ],
)
def test_every_row_of_the_table(
    state: S, claim: tuple[Observation, ...] | None, output: bool, clean: bool, owed: Owed
) -> None:
    (finding,) = judge([remains(state, row=ROW, claim=claim, output=output, clean=clean)], tries=2, now=7.0)
    assert finding.owed is owed


def test_a_release_that_came_undone_is_repeated_without_another_move() -> None:
    (finding,) = judge([remains(S.RELEASED, row=ROW, claim=AB, output=True)], tries=2, now=7.0)
    assert (finding.state, finding.batch) == (S.COMMITTED, ROW)


def test_a_claim_without_a_row_is_sealed_as_it_stands() -> None:
    (finding,) = judge([remains(S.CLAIMED, row=None, claim=AB)], tries=3, now=7.0)
    assert finding.owed is Owed.SEAL
    assert finding.batch == replace(ROW, attempt=0, dispatch=0, tries=3, sealed_at=7.0, sealed_because=SealReason.FLUSH)


@pytest.mark.parametrize(("claim", "output", "owed"), [((), False, Owed.VOID), (AB, True, Owed.COMMIT)])
def test_a_claim_without_a_row_that_is_empty_or_scored(
    claim: tuple[Observation, ...], output: bool, owed: Owed
) -> None:
    (finding,) = judge([remains(S.CLAIMED, row=None, claim=claim, output=output)], tries=3, now=7.0)
    assert finding.owed is owed


def test_a_half_without_a_row_is_its_parent_s_business_while_that_is_being_split() -> None:
    half = remains(S.CLAIMED, row=None, claim=(file("a"),), batch_id=HALF)
    alone, _ = judge([half, remains(S.SPLIT, row=ROW, claim=None)], tries=3, now=7.0)
    assert alone.owed is Owed.NOTHING
    (orphan,) = judge([half], tries=3, now=7.0)
    assert (orphan.owed, orphan.batch.tries, orphan.batch.sealed_because) == (Owed.SEAL, 1, SealReason.BISECT)


def test_files_that_a_power_cut_gave_back_are_no_longer_in_the_batch_and_the_others_are_as_they_are_now() -> None:
    changed = replace(file("b"), ctime_ns=99)
    (finding,) = judge([remains(S.SEALED, row=ROW, claim=(changed, file("stray")))], tries=2, now=7.0)
    assert finding.batch.files == (changed,)
    assert finding.batch.total_bytes == changed.size


def test_a_file_of_another_name_in_the_claim_of_a_void_batch_is_set_aside_and_not_forgotten() -> None:
    conversation = Talk(workers=0)
    left = remains(S.RUNNING, row=ROW, claim=(file("renamed"),))
    (aside,) = only(conversation.say(RemainsFound((left,))), SetAside)
    assert [each.relpath for each in aside.batch.files] == ["renamed"]
    assert "its name was changed" in aside.failure.message
