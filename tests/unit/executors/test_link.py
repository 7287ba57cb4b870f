"""One worker's socket, with a hand on its other end."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from scorewatch.executors.local.link import Link, StoppedReadingError
from scorewatch.worker.messages import GarbageError, encode

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Link(ours, pile_bytes=1_000_000), theirs


def test_messages_come_whole_however_they_were_cut(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    heard = []
    for byte in encode({"say": "hello"}) + encode({"say": "ready"}):
        theirs.send(bytes([byte]))
        heard += list(link.receive(1000))
    assert heard == [{"say": "hello"}, {"say": "ready"}]


def test_what_comes_before_garbage_is_heard(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    theirs.send(encode({"say": "hello"}) + b"[]\n" + encode({"say": "ready"}))
    heard = link.receive(1000)
    assert next(heard) == {"say": "hello"}
    with pytest.raises(GarbageError, match="not an object"):
        next(heard)


def test_no_more_is_heard_in_a_turn_than_its_budget(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    theirs.settimeout(0)
    lines = b"{}\n" * 20_000
    sent = theirs.send(lines) + theirs.send(lines)
    list(link.receive(1000))
    assert 0 < link.received <= 64 * 1024
    assert not link.drained
    while not link.drained:
        list(link.receive(1000))
    assert link.received == sent


def test_a_short_read_is_believed_but_not_at_the_end(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    theirs.send(b"{}\n")
    assert list(link.receive(1000)) == [{}]
    assert not link.drained
    theirs.send(b"{}\n")
    assert list(link.receive(1000, to_the_end=True)) == [{}]
    assert link.drained


def test_the_end_is_seen_behind_the_last_words(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    link.send(b"unread")  # makes the end a reset
    theirs.send(b"{}\n")
    theirs.close()
    assert list(link.receive(1000, to_the_end=True)) == [{}]
    assert link.closed
    assert list(link.receive(1000)) == []


def test_what_the_socket_does_not_take_is_sent_later_and_in_order(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    orders = [b"%07d\n" % number * 10_000 for number in range(12)]
    for order in orders:
        link.send(order)
    assert link.wants_room
    got = b""
    while link.wants_room:
        got += theirs.recv(1 << 20)
        link.flush()
    theirs.settimeout(0)
    while len(got) < sum(map(len, orders)):
        got += theirs.recv(1 << 20)
    assert got == b"".join(orders)


def test_orders_pile_up_to_a_bound(ends: tuple[Link, socket.socket]) -> None:
    link, _ = ends
    link.send(b"x" * 3_000_000)  # of any size, as nothing waited before it
    with pytest.raises(StoppedReadingError, match=r"left \d+ bytes"):
        link.send(b"y")


def test_a_line_that_broke_is_to_be_looked_at(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    theirs.shutdown(socket.SHUT_RD)
    theirs.send(b"{}\n")
    link.send(b"order")
    assert link.wants_room
    assert list(link.receive(1000, to_the_end=True)) == [{}]
    assert link.closed


def test_a_flood_of_carriage_returns_is_one_piece(
    ends: tuple[Link, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    link, theirs = ends
    pieces: list[int] = []

    def feed(piece: bytes) -> list[object]:
        pieces.append(len(piece))
        return []

    monkeypatch.setattr(link._splitter, "feed", feed)
    theirs.send(b"\r" * 1000 + b"\n" + b"\r" * 500)
    list(link.receive(2000))
    assert pieces == [1001, 500]
