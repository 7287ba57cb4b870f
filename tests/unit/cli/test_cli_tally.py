"""What --once counts, from events that it overhears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scorewatch.cli.tally import Tally
from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.files import Observation, Refusal, RefusalReason
from scorewatch.model.outcomes import Failure, FailureKind, Receipt

if TYPE_CHECKING:
    from scorewatch.model.events import Event

NAMES = [f"f{n}" for n in range(10)]


def files(count: int, start: int = 0) -> tuple[Observation, ...]:
    return tuple(Observation(name) for name in NAMES[start : start + count])


def claimed(batch_id: str, count: int, vanished: int = 0) -> e.BatchClaimed:
    return e.BatchClaimed(ticket=1, batch_id=batch_id, files=files(count), vanished=vanished)


def scored(batch_id: str, succeeded: int) -> e.BatchScored:
    receipt = Receipt(batch_id=batch_id, dispatch=1, rows=succeeded, succeeded=succeeded)
    return e.BatchScored(worker_id=1, receipt=receipt, staging="/s")


def aside(batch_id: str, count: int) -> d.Decision:
    batch = MiniBatch(
        batch_id=batch_id,
        files=files(count),
        total_bytes=0,
        sealed_because=SealReason.FILES,
        sealed_at=0.0,
        tries=1,
    )
    failure = Failure(kind=FailureKind.SCRIPT_RAISED, message="no")
    return d.Decision(actions=(d.SetAside(batch=batch, failure=failure),))


def play(*told: Event | d.Decision) -> Tally:
    tally = Tally()
    for one in told:
        event, decision = (e.ClockTicked(), one) if isinstance(one, d.Decision) else (one, d.NOTHING)
        tally.hear(event, decision, None)
    return tally


def test_a_published_batch_counts_its_files_once() -> None:
    tally = play(
        e.FilesSettled(files(3)),
        claimed("a", 3),
        scored("a", 3),
        e.BatchPublished(batch_id="a", dispatch=1),
        e.BatchPublished(batch_id="a", dispatch=1),
    )
    assert (tally.scored, tally.failed, tally.left, tally.known) == (3, 0, 0, 3)


def test_files_for_which_run_returned_nothing_failed() -> None:
    tally = play(claimed("a", 4), scored("a", 3), e.BatchPublished(batch_id="a", dispatch=1))
    assert (tally.scored, tally.failed) == (3, 1)


def test_of_a_split_batch_each_half_counts_for_itself() -> None:
    halves = (("aa", files(2)), ("ab", files(2, 2)))
    tally = play(
        claimed("a", 4),
        e.BatchDivided(batch_id="a", halves=halves),
        scored("aa", 2),
        e.BatchPublished(batch_id="aa", dispatch=1),
        aside("ab", 2),
    )
    assert (tally.scored, tally.failed, tally.known) == (2, 2, 4)


def test_a_set_aside_that_the_disk_refused_and_that_comes_again_counts_once() -> None:
    tally = play(claimed("a", 2), aside("a", 2), aside("a", 2))
    assert tally.failed == 2


def test_refused_files_are_skipped_and_what_the_sweep_left_is_left() -> None:
    refusal = Refusal("link", RefusalReason.SYMLINK, "a link")
    tally = play(
        e.FilesRefused(skip_id="s", refusals=(refusal,)),
        e.SweepEnded(offered=0, settling=2, unsettled=("x", "y"), waiting=1),
    )
    assert (tally.skipped, tally.left, tally.unsettled) == (1, 3, ("x", "y"))
    assert tally.known == 4


def test_what_an_earlier_daemon_left_is_counted_unless_it_was_published_before() -> None:
    def remains(batch_id: str, *, output: bool) -> e.Remains:
        return e.Remains(
            batch_id=batch_id, row=None, state=BatchState.CLAIMED, clean_stop=False, claim=files(2), output=output
        )

    tally = play(
        e.RemainsFound((remains("a", output=False), remains("b", output=True))),
        scored("a", 2),
        e.BatchPublished(batch_id="a", dispatch=2),
    )
    assert (tally.scored, tally.known) == (2, 2)


def test_vanished_files_wait_no_more() -> None:
    tally = play(e.SweepEnded(offered=3, settling=0, waiting=3), claimed("a", 2, vanished=1))
    assert (tally.left, tally.known) == (0, 2)


def test_a_claim_that_turned_out_empty_is_forgotten() -> None:
    tally = play(claimed("a", 2), d.Decision(actions=(d.DropClaim(batch_id="a"),)))
    assert tally.known == 0


@pytest.mark.parametrize("count", [1, 5])
def test_each_event_is_told_on_for_the_progress_bar(count: int) -> None:
    heard = []
    tally = Tally(tell=lambda seen: heard.append(seen.known))
    for number in range(count):
        tally.hear(claimed(str(number), 1), d.NOTHING, None)
    assert heard == list(range(1, count + 1))
