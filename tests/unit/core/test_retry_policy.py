from __future__ import annotations

import pytest

from scorewatch.core.retry import SetAside, SplitInHalves, TryAgain, Verdict, is_suspect, judge
from scorewatch.model.outcomes import FailureKind as K
from scorewatch.model.policy import RetryLimits
from scorewatch.testing.makers import batch, failure

LIMITS = RetryLimits(max_retries=1, first_delay_s=1.0, longest_delay_s=3.0)
TWO, ONE = ("a", "b"), ("a",)


def again(pause: float, *, costs: bool) -> TryAgain:
    return TryAgain(pause_s=pause, costs_attempt=costs)


@pytest.mark.parametrize("kind", [K.SCRIPT_RAISED, K.WORKER_DIED, K.TIMED_OUT, K.BAD_RESULT])
@pytest.mark.parametrize(
    ("names", "attempt", "tries", "verdict"),
    [
        (TWO, 1, 2, again(1.0, costs=True)),
        (TWO, 2, 3, again(2.0, costs=True)),
        (TWO, 9, 10, again(3.0, costs=True)),  # the longest pause
        (TWO, 2, 2, SplitInHalves(tries=1)),
        (ONE, 1, 2, again(1.0, costs=True)),
        (ONE, 2, 2, SetAside()),
        (ONE, 1, 1, SetAside()),
    ],
)
def test_the_files_pay(kind: K, names: tuple[str, ...], attempt: int, tries: int, verdict: Verdict) -> None:
    assert judge(batch(*names, attempt=attempt, tries=tries), failure(kind), LIMITS) == verdict


def test_without_bisecting_all_are_set_aside() -> None:
    assert judge(batch(*TWO, attempt=2), failure(), RetryLimits(max_retries=1, bisect=False)) == SetAside()


@pytest.mark.parametrize("kind", [K.OUTPUT_FAILED, K.ENVIRONMENT, K.DAEMON_STOPPED, K.INTERRUPTED])
@pytest.mark.parametrize(
    ("names", "interruptions", "verdict"),
    [
        (TWO, 0, again(1.0, costs=False)),
        (TWO, 2, again(2.0, costs=False)),
        (TWO, 3, SplitInHalves(tries=2)),
        (ONE, 4, again(3.0, costs=False)),
        (ONE, 5, SetAside()),
    ],
)
def test_nobody_pays_but_what_is_always_there_is_looked_at(
    kind: K, names: tuple[str, ...], interruptions: int, verdict: Verdict
) -> None:
    assert judge(batch(*names, attempt=9, interruptions=interruptions), failure(kind), LIMITS) == verdict


def test_a_half_whose_input_changed_is_tried_again_though_it_has_one_try() -> None:
    half = batch("a", attempt=1, tries=1)
    assert judge(half, failure(K.INPUT_CHANGED), LIMITS) == again(1.0, costs=True)
    assert judge(batch("a", attempt=2, tries=1), failure(K.INPUT_CHANGED), LIMITS) == SetAside()


@pytest.mark.parametrize(("names", "interruptions", "suspect"), [(ONE, 2, False), (ONE, 3, True), (TWO, 3, False)])
def test_a_lone_file_that_was_interrupted_often_is_suspect(
    names: tuple[str, ...], interruptions: int, suspect: bool
) -> None:
    assert is_suspect(batch(*names, interruptions=interruptions)) is suspect
