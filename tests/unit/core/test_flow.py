from __future__ import annotations

from dataclasses import replace

import pytest

from scorewatch.core.flow import TAKE_BACK_AFTER_S
from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model.batches import BatchState as S
from scorewatch.model.outcomes import FailureKind
from scorewatch.model.policy import BatchLimits, BreakerLimits, CrewLimits, Policy, RetryLimits
from scorewatch.model.records import BatchMoved, BatchSealed
from scorewatch.testing.makers import Talk, batch_id, failure, file, only

POLICY = Policy(
    batch=BatchLimits(max_files=1, max_wait_s=0.5),
    retry=RetryLimits(max_retries=1, run_timeout_s=5.0),
    crew=CrewLimits(slots=1, depth=2),
    breaker=BreakerLimits(batches=2, first_pause_s=1.0),
    claims_ahead=4,
)


def settle(conversation: Talk, *names: str) -> list[d.Claim]:
    return only(conversation.say(e.FilesSettled(tuple(map(file, names)))), d.Claim)


def run_of(decision: d.Decision) -> d.RunBatch:
    (run,) = only(decision, d.RunBatch)
    return run


# ---------------------------------------------------------------- claims
def test_claims_are_made_ahead_of_the_workers_and_not_further() -> None:
    conversation = Talk(POLICY)
    assert [claim.ticket for claim in settle(conversation, *"abcdefgh")] == [1, 2, 3, 4]


def test_nothing_is_claimed_before_what_was_left_is_taken_over_nor_without_a_worker() -> None:
    conversation = Talk(POLICY, workers=0)
    assert not settle(conversation, "a")
    assert not only(conversation.say(e.RemainsFound(())), d.Claim)
    assert only(conversation.ready(1), d.Claim)


def test_a_folder_in_trouble_stops_claims_until_each_cause_is_gone() -> None:
    conversation = Talk(POLICY)
    conversation.say(e.FolderTroubled(role=e.Role.OUTBOX, message="full", cause="room"))
    conversation.say(e.FolderTroubled(role=e.Role.OUTBOX, message="another", cause="identity"))
    assert conversation.scheduler.health() == ["outbox: full", "outbox: another"]
    assert not settle(conversation, "a")
    assert not only(conversation.say(e.FolderFine(role=e.Role.OUTBOX, cause="room")), d.Claim)
    assert only(conversation.say(e.FolderFine(role=e.Role.OUTBOX, cause="identity")), d.Claim)
    assert conversation.scheduler.health() == []


def test_a_claim_that_got_nothing_makes_no_batch() -> None:
    conversation = Talk(POLICY)
    settle(conversation, "a", "b")
    gone = e.BatchClaimed(ticket=1, batch_id=batch_id(1), files=(), vanished=1)
    assert not only(conversation.say(gone), BatchSealed)
    assert conversation.house.intake.withdrawn == 1
    unknown = e.BatchClaimed(ticket=99, batch_id=batch_id(2), files=(file("b"),))
    assert not only(conversation.say(unknown), BatchSealed)


def test_a_batch_is_recorded_with_its_first_attempt_before_it_is_handed_out() -> None:
    decision = Talk(POLICY).claimed("a")
    sealed, running = decision.records
    assert isinstance(sealed, BatchSealed)
    assert isinstance(running, BatchMoved)
    assert (running.now, running.attempt, running.dispatch) == (S.RUNNING, 1, 1)
    assert [type(action) for action in decision.actions] == [d.SyncClaim, d.RunBatch]


# ---------------------------------------------------------------- hand-outs
def test_each_worker_gets_two_the_least_loaded_first() -> None:
    conversation = Talk(replace(POLICY, crew=CrewLimits(slots=2, depth=2)), workers=2)
    handed = [run_of(conversation.claimed(name)).worker_id for name in "abcd"]
    assert sorted(handed[:2]) == [1, 2]
    assert sorted(handed) == [1, 1, 2, 2]
    assert not only(conversation.claimed("e"), d.RunBatch)


@pytest.mark.parametrize("start", [1010.0 + 0.1 * step for step in range(40)])
def test_a_batch_stuck_behind_a_long_one_is_taken_back_at_the_very_deadline(start: float) -> None:
    conversation = Talk(replace(POLICY, crew=CrewLimits(slots=2, depth=2)), workers=1)
    first, second = (run_of(conversation.claimed(name)) for name in "ab")
    conversation.clock.advance_to(start)
    conversation.started(first)
    conversation.ready(2)  # and idle
    deadline = conversation.scheduler.next_deadline(conversation.clock.now())
    assert deadline == start + TAKE_BACK_AFTER_S
    conversation.clock.advance_to(deadline)
    (back,) = only(conversation.tick(), d.Withdraw)
    assert (back.batch_id, back.dispatch) == (second.batch.batch_id, 1)
    assert conversation.tick(0.1) == d.NOTHING  # asked once
    returned = conversation.say(e.OrderReturned(worker_id=1, batch_id=back.batch_id, dispatch=1))
    assert run_of(returned).worker_id == 2


def test_a_deadline_is_never_in_the_past() -> None:
    conversation = Talk(POLICY)
    conversation.claimed("a")
    for _ in range(20):
        deadline = conversation.scheduler.next_deadline(conversation.clock.now())
        if deadline is None:
            break
        assert deadline > conversation.clock.mono
        conversation.clock.advance_to(deadline)
        conversation.tick()


# ---------------------------------------------------------------- the breaker
def opened(conversation: Talk) -> d.RunBatch:
    """The environment fails the first batch."""
    run = run_of(conversation.claimed("a"))
    conversation.failed(run, FailureKind.ENVIRONMENT)
    assert conversation.house.breaker.is_open
    return run


def test_while_the_breaker_is_open_one_batch_at_a_time_is_tried_after_each_pause() -> None:
    conversation = Talk(POLICY)
    opened(conversation)
    assert not settle(conversation, "b", "c")
    assert not only(conversation.tick(0.9), d.RunBatch)
    run = run_of(conversation.tick(0.2))
    assert conversation.tick(1.0) == d.NOTHING
    scored = conversation.scored(run)
    assert not only(scored, d.Claim)
    published = conversation.say(e.BatchPublished(batch_id=run.batch.batch_id, dispatch=run.batch.dispatch))
    assert len(only(published, d.Claim)) == 2
    assert not conversation.house.breaker.is_open


def test_every_second_probe_is_a_new_file_and_a_claim_that_gets_nothing_is_no_probe() -> None:
    conversation = Talk(POLICY)
    opened(conversation)
    settle(conversation, "b", "c")
    run = run_of(conversation.tick(1.1))
    conversation.failed(run, FailureKind.ENVIRONMENT)
    (claim,) = only(conversation.tick(2.1), d.Claim)
    empty = conversation.say(e.BatchClaimed(ticket=claim.ticket, batch_id=batch_id(8), files=(), vanished=1))
    (another,) = only(empty, d.Claim)
    got = conversation.say(e.BatchClaimed(ticket=another.ticket, batch_id=batch_id(9), files=(file("c"),)))
    assert run_of(got).batch.batch_id == batch_id(9)


def test_a_claim_that_failed_opens_it_and_the_probe_s_place_is_free_again() -> None:
    conversation = Talk(POLICY)
    (claim,) = settle(conversation, "a")
    conversation.say(e.ClaimFailed(ticket=claim.ticket, message="read-only"))
    assert conversation.scheduler.health() == ["claiming is stopped: read-only"]
    settle(conversation, "a")
    for _ in range(3):
        assert conversation.house.breaker.until is not None
        conversation.clock.advance_to(conversation.house.breaker.until)
        (probe,) = only(conversation.tick(), d.Claim)
        conversation.say(e.ClaimFailed(ticket=probe.ticket, message="read-only"))
        settle(conversation, "a")


def test_a_probe_that_is_divided_by_name_closes_the_breaker() -> None:
    conversation = Talk(replace(POLICY, batch=BatchLimits(max_files=2, max_wait_s=0.5)))
    run = run_of(conversation.claimed("good", "bad"))
    conversation.failed(run, FailureKind.ENVIRONMENT)
    again = run_of(conversation.tick(1.1))
    divided = conversation.scored(again, succeeded=1, failed_files=(("bad", "it raised"),))
    (divide,) = only(divided, d.Divide)
    assert [[each.relpath for each in files] for _, files in divide.halves] == [["good"], ["bad"]]
    assert not conversation.house.breaker.is_open


def test_a_batch_all_of_whose_files_failed_by_name_is_a_failed_batch() -> None:
    conversation = Talk(POLICY)
    run = run_of(conversation.claimed("bad"))
    answer = conversation.scored(run, succeeded=0, failed_files=(("bad", "it raised"),))
    assert not only(answer, d.Divide)
    assert [record.now for record in only(answer, BatchMoved)] == [S.SEALED]
    again = run_of(conversation.tick(1.0))
    last = conversation.scored(again, succeeded=0, failed_files=(("bad", "it raised"),))
    assert only(last, d.SetAside)


# ---------------------------------------------------------------- the disk
def test_what_the_disk_could_not_do_is_asked_again_and_holds_claims_up_meanwhile() -> None:
    conversation = Talk(POLICY)
    run = run_of(conversation.claimed("a"))
    conversation.scored(run)
    conversation.say(e.ActionFailed(batch_id=run.batch.batch_id, message="no room"))
    assert conversation.scheduler.health() == ["owed: no room"]
    assert not settle(conversation, "b")
    assert not only(conversation.tick(1.9), d.Publish)
    assert only(conversation.tick(0.2), d.Publish)


def test_inputs_that_changed_are_read_again_and_none_left_is_no_batch() -> None:
    conversation = Talk(POLICY)
    run = run_of(conversation.claimed("a"))
    conversation.scored(run)
    changed = replace(file("a"), size=99)
    why = failure(FailureKind.INPUT_CHANGED)
    told = e.PublishFailed(batch_id=run.batch.batch_id, dispatch=1, failure=why, inputs=(changed,))
    (record,) = only(conversation.say(told), BatchMoved)
    assert (record.now, record.files) == (S.SEALED, (changed,))
    assert conversation.say(told) == d.NOTHING  # said twice
    again = run_of(conversation.tick(1.0))
    conversation.scored(again)
    gone = e.PublishFailed(batch_id=run.batch.batch_id, dispatch=2, failure=why, inputs=())
    last = conversation.say(gone)
    assert [each.now for each in only(last, BatchMoved)] == [S.VOID]
    assert only(last, d.DropClaim)
