from __future__ import annotations

import pytest

from scorewatch.core.batching import Accumulator
from scorewatch.model.batches import SealReason
from scorewatch.model.files import UNKNOWN_SIZE
from scorewatch.model.policy import BatchLimits
from scorewatch.testing.makers import file


def waiting(*sizes: int, files: int = 3, room: int | None = None, wait: float = 1.0) -> Accumulator:
    accumulator = Accumulator(BatchLimits(max_files=files, max_bytes=room, max_wait_s=wait))
    accumulator.add(tuple(file(f"f{index}", size) for index, size in enumerate(sizes)), now=10.0)
    return accumulator


@pytest.mark.parametrize(
    ("sizes", "files", "room", "count", "because"),
    [
        ((1, 1, 1), 3, None, 3, SealReason.FILES),
        ((1, 1, 1, 1), 3, None, 3, SealReason.FILES),
        ((50, 50), 9, 100, 2, SealReason.BYTES),  # exactly full
        ((50, 60), 9, 100, 1, SealReason.BYTES),  # sealed before the newcomer
        ((500,), 9, 100, 1, SealReason.BYTES),  # the first file always fits
        ((500, 1), 9, 100, 1, SealReason.BYTES),
        ((UNKNOWN_SIZE, 100), 9, 100, 2, SealReason.BYTES),
    ],
)
def test_a_full_batch_is_sealed_at_once(
    sizes: tuple[int, ...], files: int, room: int | None, count: int, because: SealReason
) -> None:
    taken = waiting(*sizes, files=files, room=room).take(now=10.0)
    assert taken is not None
    assert (len(taken[0]), taken[1]) == (count, because)


def test_what_is_not_full_waits_for_its_first_file_s_time_and_later_files_never_extend_it() -> None:
    accumulator = waiting(1)
    accumulator.add((file("late"),), now=10.9)
    assert accumulator.due() == 11.0
    assert accumulator.take(now=10.99) is None
    assert accumulator.take(now=11.0) == ((file("f0", 1), file("late")), SealReason.WAIT)


def test_what_is_left_over_waits_since_its_own_arrival() -> None:
    accumulator = waiting(1, 1, 1)
    accumulator.add((file("late"),), now=12.0)
    assert accumulator.take(now=12.0) is not None
    assert accumulator.due() == 13.0


def test_a_flush_takes_what_is_there_and_nothing_from_nothing() -> None:
    accumulator = waiting(1, 1)
    taken = accumulator.take(now=10.0, flush=True)
    assert taken is not None
    assert taken[1] is SealReason.FLUSH
    assert accumulator.take(now=99.0, flush=True) is None
    assert accumulator.due() is None
    assert len(accumulator) == 0
