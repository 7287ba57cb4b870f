from __future__ import annotations

import select
import threading
from typing import TYPE_CHECKING

import pytest

from scorewatch.daemon.mailbox import Mailbox, Recorded, ReloadRequested
from scorewatch.model.events import ClockTicked, StopRequested

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    yield box
    box.close()


def rings(box: Mailbox) -> bool:
    return bool(select.select([box.bell], [], [], 0)[0])


def test_letters_come_in_their_order_and_the_bell_rings_until_they_are_taken(mailbox: Mailbox) -> None:
    assert mailbox.collect() == []
    assert not rings(mailbox)
    letters = [StopRequested(), Recorded(()), ReloadRequested(), ClockTicked()]
    for letter in letters:
        mailbox.post(letter)
    assert rings(mailbox)
    assert mailbox.collect() == letters
    assert not rings(mailbox)
    assert mailbox.collect() == []


def test_many_threads_may_post_and_no_letter_is_lost(mailbox: Mailbox) -> None:
    threads = [threading.Thread(target=lambda: [mailbox.post(ClockTicked()) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += len(mailbox.collect())
    assert taken + len(mailbox.collect()) == 800
