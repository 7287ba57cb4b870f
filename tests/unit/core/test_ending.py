from __future__ import annotations

from dataclasses import replace

from scorewatch.core.ending import DISMISSAL_S, ONCE_TROUBLE_S
from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model.batches import BatchState as S
from scorewatch.model.errors import ExitCode
from scorewatch.model.policy import BatchLimits, CrewLimits, Policy, RetryLimits
from scorewatch.model.records import BatchMoved
from scorewatch.testing.makers import Talk, file, only

POLICY = Policy(
    batch=BatchLimits(max_files=1, max_wait_s=0.5),
    retry=RetryLimits(max_retries=0, run_timeout_s=500.0),
    crew=CrewLimits(slots=1, depth=2),
    grace_s=60.0,
    once_patience_s=3.0,
)


def run_of(decision: d.Decision) -> d.RunBatch:
    (run,) = only(decision, d.RunBatch)
    return run


def leave(decision: d.Decision) -> d.Exit:
    (action,) = only(decision, d.Exit)
    return action


def test_a_drain_lets_what_runs_end_takes_back_what_waits_and_claims_nothing() -> None:
    conversation = Talk(POLICY)
    first, second = run_of(conversation.claimed("a")), run_of(conversation.claimed("b"))
    conversation.started(first)
    stop = conversation.say(e.StopRequested())
    assert [back.batch_id for back in only(stop, d.Withdraw)] == [second.batch.batch_id]
    back = e.OrderReturned(worker_id=1, batch_id=second.batch.batch_id, dispatch=1)
    assert not only(conversation.say(back), d.RunBatch)
    assert not only(conversation.say(e.FilesSettled((file("c"),))), d.Claim)
    conversation.ran(first)
    conversation.scored(first)
    published = conversation.say(e.BatchPublished(batch_id=first.batch.batch_id, dispatch=1))
    assert not only(published, d.StopWorker)  # its inputs are still to be released
    assert only(conversation.say(e.BatchReleased(batch_id=first.batch.batch_id)), d.StopWorker)
    assert leave(conversation.died(1, 0)).code is ExitCode.DONE


def test_a_drain_is_not_held_up_by_what_the_disk_can_t_do() -> None:
    conversation = Talk(POLICY)
    run = run_of(conversation.claimed("a"))
    conversation.scored(run)
    conversation.say(e.ActionFailed(batch_id=run.batch.batch_id, message="no room"))
    assert only(conversation.say(e.StopRequested()), d.StopWorker)


def test_a_worker_that_hangs_in_shutdown_is_not_waited_for() -> None:
    conversation = Talk(POLICY)
    assert only(conversation.say(e.StopRequested()), d.StopWorker)
    ended = conversation.tick(DISMISSAL_S + 0.1)
    assert leave(ended).code is ExitCode.DONE


def test_the_grace_time_over_what_runs_goes_back_at_no_cost() -> None:
    conversation = Talk(POLICY)
    run = run_of(conversation.claimed("a"))
    conversation.started(run)
    conversation.say(e.StopRequested())
    dropped = conversation.tick(60.1)
    (record,) = only(dropped, BatchMoved)
    assert (record.now, record.attempt, record.interruptions) == (S.SEALED, 0, 0)
    assert leave(dropped).code is ExitCode.DONE
    assert conversation.scheduler.next_deadline(conversation.clock.now()) is None


def test_a_second_request_ends_it_at_once_and_only_once() -> None:
    conversation = Talk(POLICY)
    conversation.started(run_of(conversation.claimed("a")))
    conversation.say(e.StopRequested())
    assert only(conversation.say(e.StopRequested(now=True)), d.Exit)
    assert not only(conversation.say(e.StopRequested(now=True)), d.Exit)


def test_a_stop_never_counts_as_an_interruption_whatever_else_succeeded() -> None:
    conversation = Talk(replace(POLICY, crew=CrewLimits(slots=2, depth=1)), workers=2)
    short, long = run_of(conversation.claimed("short")), run_of(conversation.claimed("long"))
    conversation.started(long)
    conversation.scored(short)
    conversation.say(e.BatchPublished(batch_id=short.batch.batch_id, dispatch=1))
    (record,) = only(conversation.say(e.StopRequested(now=True)), BatchMoved)
    assert (record.batch_id, record.interruptions) == (long.batch.batch_id, 0)


def test_a_stop_before_anything_was_taken_over_ends_it_and_what_comes_then_is_only_recorded() -> None:
    conversation = Talk(POLICY, workers=0)
    stop = conversation.say(e.StopRequested())
    assert [action.because for action in only(stop, d.KillWorker)] == []
    found = e.Remains(
        batch_id="20261122T213741Z-" + "0" * 20,
        row=None,
        state=S.CLAIMED,
        clean_stop=True,
        claim=(file("a"),),
        output=False,
    )
    taken = conversation.say(e.RemainsFound((found,)))
    assert not only(taken, d.RunBatch)
    assert taken.records


def test_a_worker_that_still_loads_its_model_is_not_waited_for() -> None:
    conversation = Talk(POLICY, workers=0)
    conversation.say(e.RemainsFound(()))
    stop = conversation.say(e.StopRequested())
    assert [kill.worker_id for kill in only(stop, d.KillWorker)] == [1]


def test_too_many_failed_files_end_it() -> None:
    conversation = Talk(replace(POLICY, error_threshold=0))
    conversation.failed(run_of(conversation.claimed("bad")))
    assert conversation.house.stop is not None
    assert conversation.house.stop.code is ExitCode.ERROR_THRESHOLD
    assert conversation.house.stop.message == "1 files failed, more than error_threshold = 0"


# ---------------------------------------------------------------- --once
ONCE = replace(POLICY, once=True, batch=BatchLimits(max_files=9, max_wait_s=99.0))


def test_once_seals_what_is_there_and_ends_when_all_is_done() -> None:
    conversation = Talk(ONCE)
    conversation.say(e.FilesSettled((file("a"),)))
    (claim,) = only(conversation.say(e.SweepEnded(offered=1, settling=0)), d.Claim)
    got = e.BatchClaimed(ticket=claim.ticket, batch_id="20261122T213741Z-" + "0" * 20, files=claim.files)
    run = run_of(conversation.say(got))
    conversation.say(e.SweepEnded(offered=0, settling=0))
    assert conversation.house.stop is None
    conversation.scored(run)
    conversation.say(e.BatchPublished(batch_id=run.batch.batch_id, dispatch=1))
    conversation.say(e.BatchReleased(batch_id=run.batch.batch_id))
    assert conversation.house.stop is not None
    assert conversation.house.stop.code is ExitCode.DONE


def test_once_waits_a_little_for_a_file_that_is_being_written_then_leaves_and_lists_it() -> None:
    conversation = Talk(ONCE)
    conversation.say(e.SweepEnded(offered=0, settling=1, unsettled=("half.csv",)))
    deadline = conversation.scheduler.next_deadline(conversation.clock.now())
    assert deadline == conversation.clock.mono + 3.0
    conversation.clock.advance_to(deadline)
    conversation.tick()
    assert conversation.house.stop is not None
    assert "half.csv" in conversation.house.stop.message


def test_once_goes_on_while_files_wait_to_be_claimed_again() -> None:
    conversation = Talk(ONCE)
    conversation.say(e.SweepEnded(offered=0, settling=0, waiting=1))
    conversation.tick(99.0)
    assert conversation.house.stop is None


def test_an_idle_service_ends_in_the_breath_in_which_it_is_asked() -> None:
    conversation = Talk(POLICY)
    assert only(conversation.say(e.StopRequested()), d.StopWorker)
    assert leave(conversation.died(1, 0)).code is ExitCode.DONE


def test_a_batch_job_whose_folder_stays_away_ends_with_the_reason() -> None:
    conversation = Talk(replace(POLICY, once=True))
    trouble = e.FolderTroubled(role=e.Role.INBOX, message="it is not there")
    conversation.say(trouble)
    assert conversation.scheduler.next_deadline(conversation.clock.now()) is not None
    conversation.say(trouble, ONCE_TROUBLE_S - 1)
    assert conversation.house.stop is None
    conversation.tick(1)
    assert leave(conversation.died(1, 0)).code is ExitCode.FOLDER_UNUSABLE


def test_a_batch_job_goes_on_when_its_folder_is_back_in_time() -> None:
    conversation = Talk(replace(POLICY, once=True))
    conversation.say(e.FolderTroubled(role=e.Role.INBOX, message="it is not there"))
    conversation.say(e.FolderFine(role=e.Role.INBOX), ONCE_TROUBLE_S - 1)
    conversation.tick(ONCE_TROUBLE_S)
    assert conversation.house.stop is None
