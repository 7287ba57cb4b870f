"""Drops files into an inbox the way people and programs do: all the ways at once.

Each way is one that has a well-known mistake: a half-written file scored, a renamed one never noticed, a burst of
which some are lost.
"""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

WRITERS_AT_ONCE = 8
MOST_SLOW = 24  #: files that are written slowly
CHUNKS = 5
PAUSE = 0.25  #: seconds between two chunks


@dataclass(frozen=True, slots=True)
class Plan:
    """Which files come in which way."""

    renamed: Sequence[Path]
    slow: Sequence[Path]
    burst: Sequence[Path]

    def __len__(self) -> int:
        return len(self.renamed) + len(self.slow) + len(self.burst)


def plan(files: Sequence[Path]) -> Plan:
    """A few slowly, a third by renaming, all others in one burst."""
    slow = min(MOST_SLOW, len(files) // 4)
    renamed = slow + (len(files) - slow) // 3
    return Plan(slow=files[:slow], renamed=files[slow:renamed], burst=files[renamed:])


def drop_all(inbox: Path, what: Plan) -> None:
    """Drop everything, from many threads at once; returns when the last file is whole.

    Raises:
        OSError: as soon as any of the threads met one.
    """
    stopped = Event()
    half = len(what.burst) // 2
    with ThreadPoolExecutor(WRITERS_AT_ONCE + 3) as pool:
        jobs = [pool.submit(write_slowly, path, inbox, stopped) for path in what.slow[:WRITERS_AT_ONCE]]
        jobs += [
            pool.submit(rename_in, what.renamed, inbox),
            pool.submit(copy_in, what.burst[:half], inbox),
            pool.submit(copy_in, what.burst[half:], inbox),
        ]
        jobs += [pool.submit(write_slowly, path, inbox, stopped) for path in what.slow[WRITERS_AT_ONCE:]]
        _wait_for(jobs, stopped)


def rename_in(files: Iterable[Path], inbox: Path) -> None:
    """Written under a name that is ignored, then renamed: how rsync and careful programs do it."""
    for path in files:
        hidden = inbox / f".{path.name}.part"
        shutil.copyfile(path, hidden)
        hidden.rename(inbox / path.name)


def copy_in(files: Iterable[Path], inbox: Path) -> None:
    """Copied in place, one after the other and as fast as it goes: how `cp` does it."""
    for path in files:
        shutil.copyfile(path, inbox / path.name)


def write_slowly(path: Path, inbox: Path, stopped: Event) -> None:
    """Written in place in pieces, with pauses: how a slow upload looks; half a file is there most of the time."""
    content = path.read_bytes()
    step = max(1, -(-len(content) // CHUNKS))
    with (inbox / path.name).open("wb", buffering=0) as target:
        for start in range(0, len(content), step):
            target.write(content[start : start + step])
            stopped.wait(PAUSE)


def _wait_for(jobs: Sequence[Future[None]], stopped: Event) -> None:
    try:
        for job in jobs:
            job.result()
    finally:
        stopped.set()  # on Ctrl-C the slow writers need not wait any longer
