"""What is known of a file in the inbox."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

UNKNOWN_SIZE = -1


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at one file; an identity only between that look and the next.

    `relpath` is relative to the inbox and decoded with surrogateescape, so any name survives the round trip.
    `size` is `UNKNOWN_SIZE` where the sweep saw only the name.
    """

    relpath: str
    size: int = UNKNOWN_SIZE  #: bytes
    mtime_ns: int = 0
    ctime_ns: int = 0
    dev: int = 0
    inode: int = 0
    quiet: bool = False  #: somebody looked whether a writer still has it open, and nobody had

    def same_content(self, other: Observation) -> bool:
        """Whether nothing says that the content changed between the two looks."""
        return (
            self.size == other.size
            and self.mtime_ns == other.mtime_ns
            and self.ctime_ns == other.ctime_ns
            and self.inode == other.inode
        )


class RefusalReason(StrEnum):
    """Why a file is skipped: a policy, never a failure of the scorer."""

    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    DEVICE = "device"
    EMPTY = "empty"
    TOO_BIG = "too_big"
    NEVER_COMPLETED = "never_completed"
    ORPHAN_MARKER = "orphan_marker"
    UNREADABLE = "unreadable"  #: no permission to read it, or to look into the folder


@dataclass(frozen=True, slots=True)
class Refusal:
    """A name in the inbox that policy refuses, with the reason in words."""

    relpath: str
    reason: RefusalReason
    detail: str  #: a sentence for a human
    size: int = UNKNOWN_SIZE
    moved: bool = True  #: False: it could not be moved to `skipped/` and stays where it is, listed once
