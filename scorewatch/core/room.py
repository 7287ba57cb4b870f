"""When a disk is too full to go on, and when there is room again: two thresholds, so that it does not flutter."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024

#: Stop below this much: the smaller of an absolute figure and a share of the whole, so that small disks work too.
LOW_BYTES = 64 * _MIB
LOW_BYTES_SHARE = 0.05
LOW_INODES = 1000
LOW_INODES_SHARE = 0.02

#: Go on only above this multiple of the lower threshold.
HIGH = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a file system has left for this user. Total inodes are 0 where it has no limit (btrfs)."""

    free_bytes: int
    free_inodes: int
    total_bytes: int
    total_inodes: int


@dataclass(frozen=True, slots=True)
class Low:
    """There is too little room; says how much is missing."""

    message: str


@dataclass(frozen=True, slots=True)
class Fine:
    """There is room."""


def judge(room: Room, *, was_low: bool) -> Low | Fine:
    """Whether there is room to go on.

    Args:
        room: what is left.
        was_low: the last answer; more is asked for to go on than to stop.
    """
    factor = HIGH if was_low else 1.0
    bytes_wanted = int(min(LOW_BYTES, LOW_BYTES_SHARE * room.total_bytes) * factor)
    inodes_wanted = int(min(LOW_INODES, LOW_INODES_SHARE * room.total_inodes) * factor)
    missing = []
    if room.free_bytes < bytes_wanted:
        missing.append(f"{_size(room.free_bytes)} are free, {_size(bytes_wanted)} are needed to go on")
    if room.free_inodes < inodes_wanted:  # never so where there is no limit: 0 of 0 are wanted
        missing.append(f"{room.free_inodes} inodes are free, {inodes_wanted} are needed to go on")
    return Low("the disk is nearly full: " + "; ".join(missing)) if missing else Fine()


def _size(count: int) -> str:
    """Bytes for a human."""
    for unit, factor in (("GiB", 1024 * _MIB), ("MiB", _MIB), ("KiB", 1024)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
