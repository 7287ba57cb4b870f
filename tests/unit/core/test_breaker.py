from __future__ import annotations

from scorewatch.core.breaker import Breaker
from scorewatch.model.policy import BreakerLimits

LIMITS = BreakerLimits(batches=3, window_files=10, window_share=0.5, first_pause_s=1.0, longest_pause_s=4.0)


def opened(*, at_once: bool = False) -> Breaker:
    breaker = Breaker(LIMITS)
    for root in ("x", "y", "z")[: 1 if at_once else 3]:
        breaker.failed(root, "why", 10.0, at_once=at_once)
    assert breaker.is_open
    return breaker


def test_it_opens_when_so_many_different_batches_failed_with_no_success_between() -> None:
    breaker = Breaker(LIMITS)
    for root in ("x", "x", "x", "y"):
        breaker.failed(root, "why", 10.0)
    assert not breaker.is_open
    breaker.succeeded(1)
    breaker.failed("z", "why", 10.0)
    assert not breaker.is_open
    breaker.failed("x", "why", 10.0)
    breaker.failed("y", "why", 10.0)
    assert breaker.is_open
    assert breaker.until == 11.0


def test_the_environment_opens_it_at_once() -> None:
    assert opened(at_once=True).by_environment


def test_each_failed_probe_doubles_the_pause_up_to_a_ceiling_and_a_success_closes_it() -> None:
    breaker = opened()
    pauses = []
    for _ in range(3):
        breaker.probing = "probe"
        breaker.failed("probe", "again", 20.0)
        assert breaker.until is not None
        pauses.append(breaker.until - 20.0)
        assert breaker.probing is None
    assert pauses == [2.0, 4.0, 4.0]
    breaker.succeeded(1)
    assert not breaker.is_open
    assert (breaker.pauses, breaker.reason) == (0, "")


def test_what_was_under_way_when_it_opened_makes_no_pause_longer() -> None:
    breaker = opened()
    for root in "abcdefgh":
        breaker.failed(root, "why", 10.5, at_once=root > "d")
    assert (breaker.until, breaker.pauses) == (11.0, 1)
    breaker.probing = "probe"
    breaker.failed("z", "why", 12.0)
    assert breaker.probing == "probe"
    breaker.failed("probe", "why", 12.0)
    assert breaker.until == 14.0


def test_a_claim_that_fails_as_the_probe_makes_the_pause_longer() -> None:
    breaker = opened()
    breaker.failed("claim 7", "why", 11.0, at_once=True)
    assert breaker.until == 13.0


def test_where_the_environment_opened_it_the_end_of_that_trouble_ends_the_pause() -> None:
    breaker = opened(at_once=True)
    breaker.hurry(10.2)
    assert breaker.may_probe(10.2)
    model = opened()
    model.hurry(10.2)
    assert not model.may_probe(10.2)


def test_one_probe_at_a_time_and_only_after_the_pause() -> None:
    breaker = opened()
    assert not breaker.may_probe(10.9)
    assert breaker.may_probe(11.0)
    breaker.probing = "one"
    assert not breaker.may_probe(11.0)
    assert not Breaker(LIMITS).may_probe(99.0)


def test_only_the_probe_of_a_breaker_that_the_environment_opened_proves_that_it_recovered() -> None:
    breaker = opened(at_once=True)
    breaker.probing = "probe"
    assert breaker.proves_recovery("probe")
    assert not breaker.proves_recovery("another")
    model = opened()
    model.probing = "probe"
    assert not model.proves_recovery("probe")


def test_a_window_with_too_many_quarantined_files_opens_it_and_is_forgotten_when_it_closes() -> None:
    breaker = Breaker(LIMITS)
    breaker.succeeded(5)
    breaker.set_aside(4, "why", 10.0)
    assert not breaker.is_open  # nine files are no window
    breaker.set_aside(2, "why", 10.0)
    assert breaker.is_open
    breaker.close()
    breaker.set_aside(9, "why", 10.0)
    assert not breaker.is_open


def test_a_batch_job_has_no_breaker_of_its_own_but_the_environment_still_holds_it_up() -> None:
    breaker = Breaker(BreakerLimits(batches=0, window_files=2))
    for root in "abcdefghijkl":
        breaker.failed(root, "why", 10.0)
        breaker.set_aside(1, "why", 10.0)
    assert not breaker.is_open
    breaker.failed("m", "why", 10.0, at_once=True)
    assert breaker.is_open
