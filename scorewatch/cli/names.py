"""Which file of the inbox somebody means: by a name relative to it, or by a path that leads into it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scorewatch.model.errors import ScorewatchError

if TYPE_CHECKING:
    from pathlib import Path


def relative_to_inbox(name: str, inbox: Path) -> str:
    """The path relative to the inbox, as the ledger knows it.

    Args:
        name: relative to the inbox, or absolute and inside it; the file itself need not be there any more.
        inbox: its absolute path.

    Raises:
        ScorewatchError: it leads out of the inbox.
    """
    if not os.path.isabs(name):
        inside = os.path.normpath(name)
    else:
        path, roots = os.path.normpath(name), (str(inbox), os.path.realpath(inbox))
        inside = next((os.path.relpath(path, root) for root in roots if path.startswith(root + os.sep)), "")
    if inside in {"", ".", ".."} or inside.startswith("../"):
        raise ScorewatchError("this is no name inside the inbox", where=name, hint=f"names are relative to {inbox}")
    return inside
