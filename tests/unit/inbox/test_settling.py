"""The book of files that are not whole yet."""

from __future__ import annotations

from scorewatch.core.readiness import READY, Lease, Look, Quiet, Wait
from scorewatch.inbox.settling import Settling
from scorewatch.model.files import Observation


def busy(at: float, relpath: str = "a") -> Look:
    return Look(at, Observation(relpath, 1), Lease.BUSY)


def quiet(at: float, relpath: str = "a") -> Look:
    return Look(at, Observation(relpath, 1), Lease.QUIET)


def test_what_waits_is_due_later_and_leaves_when_it_is_ready() -> None:
    book = Settling()
    assert isinstance(book.judge("d/a", busy(0.0), Quiet()), Wait)
    assert ("d/a" in book, len(book), book.any_in("d"), book.any_in("")) == (True, 1, True, False)
    assert book.due(0.0) == []
    assert book.due(1.0) == ["d/a"]
    assert book.judge("d/a", quiet(1.0), Quiet()) is READY
    assert ("d/a" in book, book.any_in("d"), book.next_due()) == (False, False, None)


def test_a_second_look_replaces_the_first_one_s_time() -> None:
    book = Settling()
    book.judge("a", busy(0.0), Quiet())
    book.judge("a", busy(0.01), Quiet())
    assert book.due(0.06) == []
    assert book.due(10.0) == ["a"]
    assert book.due(10.0) == []


def test_many_waiting_files_are_looked_at_less_often() -> None:
    book = Settling()
    for n in range(4000):
        book.judge(str(n), busy(0.0), Quiet())
    assert len(book.due(1.0, most=10_000)) < 2500


def test_a_full_book_takes_no_more_and_says_so() -> None:
    book = Settling(most=2)
    for name in "abc":
        book.judge(name, busy(0.0), Quiet())
    assert (book.full, "c" in book, book.few()) == (True, False, ("a", "b"))
    book.forget("a")
    book.forget("a")
    book.judge("c", busy(0.0), Quiet())
    assert book.few(1) == ("b",)
