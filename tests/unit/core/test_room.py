from __future__ import annotations

import pytest

from scorewatch.core.room import Fine, Low, Room, judge

MIB = 1024 * 1024


def a_room(**values: int) -> Room:
    plenty = {"free_bytes": 10**12, "free_inodes": 10**6, "total_bytes": 2 * 10**12, "total_inodes": 10**7}
    return Room(**{**plenty, **values})


def low(room: Room, *, was_low: bool = False) -> str | None:
    verdict = judge(room, was_low=was_low)
    return verdict.message if isinstance(verdict, Low) else None


def test_plenty_is_fine() -> None:
    assert judge(a_room(), was_low=False) == Fine()
    assert judge(a_room(), was_low=True) == Fine()


@pytest.mark.parametrize(
    ("free", "was_low", "stops"),
    [(64 * MIB, False, False), (64 * MIB - 1, False, True), (64 * MIB, True, True), (96 * MIB, True, False)],
)
def test_a_large_disk_stops_at_64_mib_and_goes_on_at_96(free: int, was_low: bool, stops: bool) -> None:
    assert (low(a_room(free_bytes=free), was_low=was_low) is not None) is stops


@pytest.mark.parametrize(
    ("free", "was_low", "stops"), [(50, False, False), (49, False, True), (74, True, True), (75, True, False)]
)
def test_a_small_disk_stops_at_a_twentieth(free: int, was_low: bool, stops: bool) -> None:
    assert (low(a_room(free_bytes=free, total_bytes=1000), was_low=was_low) is not None) is stops


@pytest.mark.parametrize(
    ("free", "total", "was_low", "stops"),
    [
        (1000, 10**6, False, False),
        (999, 10**6, False, True),
        (1499, 10**6, True, True),
        (1500, 10**6, True, False),
        (1, 64, False, False),
        (0, 64, False, True),
        (0, 0, False, False),
        (0, 0, True, False),
    ],
)
def test_inodes_count_too_unless_there_is_no_limit(free: int, total: int, was_low: bool, stops: bool) -> None:
    assert (low(a_room(free_inodes=free, total_inodes=total), was_low=was_low) is not None) is stops


def test_the_message_says_how_much_is_there_and_how_much_is_needed() -> None:
    text = low(a_room(free_bytes=10 * MIB, free_inodes=3), was_low=True)
    assert text == (
        "the disk is nearly full: 10.0 MiB are free, 96.0 MiB are needed to go on; "
        "3 inodes are free, 1500 are needed to go on"
    )
