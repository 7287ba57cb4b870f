"""Which file somebody may have meant who named one that was never seen."""

from __future__ import annotations

import difflib
from itertools import chain, islice
from typing import TYPE_CHECKING

from scorewatch.cli.looking import InboxLook
from scorewatch.ledger.reading import LedgerReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.cli.opened import Deployment

_MOST = 2000  #: names that are compared: this is a courtesy, and must not take long
_LAST_BATCHES = 50
_ALIKE = 0.8


def nearest(deployment: Deployment, relpath: str) -> str:
    """A name that waits, lies aside or was scored lately; empty: none is near.

    One with the same base name in another folder comes first, then one that is spelled alike.
    """
    names = list(dict.fromkeys(islice(_names(deployment), _MOST)))
    base = relpath.rpartition("/")[2]
    if same := [name for name in names if name.rpartition("/")[2] == base]:
        return same[0]
    return next(iter(difflib.get_close_matches(relpath, names, n=1, cutoff=_ALIKE)), "")


def _names(deployment: Deployment) -> Iterator[str]:
    with InboxLook(deployment.settings.inbox) as look:
        aside = (each.relpath for each in chain(look.quarantined(), look.skipped()))
        yield from islice(chain(aside, look.waiting()), _MOST // 2)
    if deployment.ledger.exists():
        with LedgerReader(deployment.ledger) as ledger:
            for batch in ledger.last_batches(_LAST_BATCHES):
                yield from (file.relpath for file in ledger.members(batch.batch_id))
