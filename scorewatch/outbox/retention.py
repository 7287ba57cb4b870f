"""Removing old outputs, a whole day at a time, so that a reader never sees half of one."""

from __future__ import annotations

import os
from datetime import date, timedelta
from typing import TYPE_CHECKING

from scorewatch.outbox.durable import folder
from scorewatch.outbox.journal import ERRORS, SUMMARY
from scorewatch.outbox.publish import BATCHES
from scorewatch.outbox.staging import STAGING, remove_tree

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_DAY_PREFIX = "sealed_date="
_LINES_SUFFIX = ".jsonl"
_DATED = ((BATCHES, _DAY_PREFIX, ""), (SUMMARY, "", _LINES_SUFFIX), (ERRORS, "", _LINES_SUFFIX))


def prune_outputs(outbox: Path, keep_days: int, today: date, spare: Collection[str] = ()) -> list[str]:
    """Remove the outputs, summaries and error lists of days that are too old.

    Args:
        outbox: the outbox.
        keep_days: so many days before today are kept; 0: all, for ever.
        today: the day now, UTC.
        spare: days (`2026-11-22`) to be kept all the same: those of batches that are not released yet. An
            output that vanished before its inputs were released would be made a second time.

    Returns:
        what was removed, relative to the outbox.
    """
    if keep_days <= 0:
        return []
    oldest = today - timedelta(days=keep_days)
    removed = []
    with folder(outbox) as root:
        for place, prefix, suffix in _DATED:
            with folder(place, root) as inside:
                for name in sorted(_old(inside, prefix, suffix, oldest, spare)):
                    _remove(name, inside, root)
                    removed.append(f"{place}/{name}")
    return removed


def _old(inside: int, prefix: str, suffix: str, oldest: date, spare: Collection[str]) -> list[str]:
    with os.scandir(inside) as entries:
        names = [entry.name for entry in entries]
    return [
        name
        for name in names
        if (day := _day_of(name, prefix, suffix)) is not None and day < oldest and day.isoformat() not in spare
    ]


def _day_of(name: str, prefix: str, suffix: str) -> date | None:
    """The day in a name of ours; None for any other name."""
    if not (name.startswith(prefix) and name.endswith(suffix)):
        return None
    try:
        day = date.fromisoformat(name[len(prefix) : len(name) - len(suffix)])
    except ValueError:
        return None
    return day if name == f"{prefix}{day.isoformat()}{suffix}" else None


def _remove(name: str, inside: int, root: int) -> None:
    """Out of sight with one rename, then gone; what a crash leaves is cleared with staging at the next start."""
    with folder(STAGING, root) as staging:
        away = f".pruned-{name}"
        remove_tree(away, staging)
        os.rename(name, away, src_dir_fd=inside, dst_dir_fd=staging)
        remove_tree(away, staging)
