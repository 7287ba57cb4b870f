"""Whole stories: files come, some are poisonous, and each ends where it belongs, once."""

from __future__ import annotations

from collections import Counter

from scorewatch.model.decisions import Exit, KillWorker, RunBatch, StartWorker
from scorewatch.model.errors import ExitCode
from scorewatch.model.policy import BreakerLimits, Policy
from scorewatch.testing.history import History
from scorewatch.testing.luck import Run


def test_good_files_come_out_in_batches_of_the_size_that_was_asked_for() -> None:
    story = History(files=list("abcde"), batch_size=2)
    story.play()
    assert story.batches == [("a", "b"), ("c", "d"), ("e",)]
    assert story.quarantined == Counter()
    assert set(story.states.values()) == {"released"}


def test_a_batch_that_kills_its_worker_is_halved_until_the_culprit_is_alone() -> None:
    story = History(files=["a", "b", "deadly", "d"], deadly={"deadly"}, max_attempts=1)
    story.play()
    assert story.committed == Counter(["a", "b", "d"])
    assert story.quarantined == Counter(["deadly"])
    assert len(story.actions(StartWorker)) == 4  # one for each death: of four, of two, of one


def test_a_batch_has_its_tries_and_a_half_has_one() -> None:
    story = History(files=["good", "bad"], raising={"bad"}, max_attempts=3)
    story.play()
    assert story.runs() == 3 + 2
    assert story.committed == Counter(["good"])
    assert story.quarantined == Counter(["bad"])


def test_what_hangs_is_killed_and_its_companions_are_scored() -> None:
    story = History(files=["a", "stuck"], hanging={"stuck"}, max_attempts=1)
    story.play()
    assert story.committed == Counter(["a"])
    assert story.quarantined == Counter(["stuck"])
    assert [kill.because for kill in story.actions(KillWorker)] == ["run() took longer than 5 s"] * 2


def test_without_bisecting_the_whole_batch_is_set_aside() -> None:
    story = History(files=["a", "bad"], raising={"bad"}, max_attempts=2, bisect=False)
    story.play()
    assert story.quarantined == Counter(["a", "bad"])
    assert story.committed == Counter()


def test_a_batch_that_waited_at_a_worker_that_died_is_not_blamed() -> None:
    story = History(files=["deadly", "innocent"], deadly={"deadly"}, batch_size=1, max_attempts=1)
    story.play()
    assert story.committed == Counter(["innocent"])
    assert {order.batch.attempt for order in story.actions(RunBatch)} == {1}


def test_a_file_that_takes_the_machine_down_is_set_aside_and_nobody_else() -> None:
    for workers in (1, 2):
        for size in (1, 4):
            story = History(files=list("abcdef"), fatal={"c"}, batch_size=size, workers=workers)
            story.play()
            assert story.committed == Counter("abdef"), (workers, size)
            assert story.quarantined == Counter("c")


def test_an_environment_that_fails_costs_no_attempt() -> None:
    story = History(files=["a"], batch_size=1, max_attempts=1, runs={1: Run(ends="environment")})
    story.play()
    assert story.committed == Counter(["a"])
    assert [order.batch.attempt for order in story.actions(RunBatch)] == [1, 1]


def test_a_broken_model_costs_few_files_and_the_rest_wait() -> None:
    story = History(
        files=[f"file{number:02}" for number in range(30)],
        batch_size=2,
        max_attempts=2,
        runs={number: Run(ends="raises") for number in range(1, 12)},
        policy=Policy(breaker=BreakerLimits(batches=3, first_pause_s=1.0)),
    )
    story.play()
    assert story.committed.total() + story.quarantined.total() == 30
    assert set(story.committed.values()) == {1}
    assert story.quarantined.total() <= 3 * 2


def test_a_poisonous_file_that_is_all_that_is_left_is_not_probed_for_ever() -> None:
    story = History(files=["bad"], raising={"bad"}, batch_size=1, runs={1: Run(ends="environment")})
    story.play()
    assert story.quarantined == Counter(["bad"])


def test_once_ends_by_itself_when_nothing_is_left() -> None:
    story = History(files=list("abc"), batch_size=2, policy=Policy(once=True))
    story.play()
    assert story.committed == Counter("abc")
    assert [action.code for action in story.actions(Exit)] == [ExitCode.DONE]


def test_more_failures_than_allowed_end_the_service_and_nothing_is_handed_out_in_the_same_breath() -> None:
    story = History(
        files=["bad", "a", "b"],
        raising={"bad"},
        batch_size=1,
        max_attempts=1,
        policy=Policy(error_threshold=0, grace_s=0.0),
    )
    story.play()
    assert story.world.exits[0] is ExitCode.ERROR_THRESHOLD
    ends = [said for _, said in story.decisions if any(isinstance(action, Exit) for action in said.actions)]
    assert ends
    assert not any(isinstance(action, RunBatch) for said in ends for action in said.actions)
    assert story.committed == Counter(["a", "b"])  # by the next start
    assert story.starts() == 2
