"""Which names were refused and still lie in the inbox: what can't be read, or could not be moved aside."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorewatch.inbox import moves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scorewatch.ledger.reading import SkipRow
    from scorewatch.model.files import Refusal

LAST_SKIPS = 200  #: how many of the newest rows of the ledger are looked at


@dataclass(frozen=True, slots=True)
class Refused:
    """One that is still there."""

    path: str  #: relative to the inbox
    reason: str
    message: str  #: a sentence
    at: float  #: when the daemon listed it, in seconds since 1970


def still_refused(skips: Iterable[SkipRow], inbox: int) -> Iterator[Refused]:
    """Each name once, as it was refused last.

    Args:
        skips: newest first.
        inbox: the inbox, open.
    """
    seen: set[str] = set()
    with moves.Folders(inbox) as folders:
        for skip in skips:
            for one in skip.refusals:
                if one.relpath not in seen and not one.moved and _stands(folders, one, skip.at):
                    yield Refused(one.relpath, str(one.reason), one.detail, skip.at)
                seen.add(one.relpath)


def _stands(folders: moves.Folders, refusal: Refusal, at: float) -> bool:
    """Whether it is there, and not mended: changed since then, and now this user may read it."""
    folder, base = moves.split(refusal.relpath)
    try:
        above = folders.at(folder)
        found = os.stat(base, dir_fd=above, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    if found.st_ctime <= at or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return True
    wanted = os.R_OK | os.X_OK if stat.S_ISDIR(found.st_mode) else os.R_OK
    return not os.access(base, wanted, dir_fd=above, effective_ids=True)
