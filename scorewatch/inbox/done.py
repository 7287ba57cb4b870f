"""Where claims go when nothing is owed any more: to `done/<day>/`, or away.

Every move can be repeated: what isn't there any more was moved before, since the caller has verified the inbox.
"""

from __future__ import annotations

import errno
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scorewatch.inbox import moves
from scorewatch.inbox.layout import DONE

if TYPE_CHECKING:
    from scorewatch.inbox.layout import InboxRoot

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOST_NAMESAKES = 100


def day_of(now: float) -> str:
    """The UTC day of a time in seconds since 1970, as `2026-11-22`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


class Archive:
    """The days of `done/`. None is held open: the inbox may be mounted anew, or a day pruned, between two claims."""

    def __init__(self, root: InboxRoot) -> None:
        self._root = root

    def take(self, batch_id: str, now: float) -> None:
        """Move a claim in with one rename, unless it is gone already."""
        with moves.Folders(self._root.meta_fd, make=True) as folders:
            day_fd = folders.at(f"{DONE}/{day_of(now)}")
            for name in (batch_id, *(f"{batch_id}.{n}" for n in range(2, _MOST_NAMESAKES))):
                try:
                    os.rename(batch_id, name, src_dir_fd=self._root.claim_fd, dst_dir_fd=day_fd)
                except FileNotFoundError:
                    return
                except OSError as error:
                    if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                        continue  # another one of that name, which isn't ours to mix with
                    raise
                return
        raise FileExistsError(errno.EEXIST, "too many archived claims of this name", batch_id)

    def prune(self, keep_days: int, now: float) -> list[str]:
        """Delete the days that ended more than `keep_days` days ago; their names."""
        oldest = (datetime.fromtimestamp(now, UTC) - timedelta(days=keep_days)).strftime("%Y-%m-%d")
        try:
            done = moves.open_folder(self._root.meta_fd, DONE)
        except FileNotFoundError:
            return []
        try:
            days = [day for day in moves.names(done) if _DAY.fullmatch(day) and day < oldest]
            for day in days:
                moves.remove_tree(done, day)
        finally:
            os.close(done)
        return days
