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
        name: relative to the inbox; or a path that leads into it, absolute or from a folder outside of it, as a
            shell completes one. The file itself need not be there any more.
        inbox: its absolute path.

    Raises:
        ScorewatchError: it leads out of the inbox.
    """
    inside = _below(os.path.normpath(name), inbox) if name.startswith("/") else _as_typed(name, inbox)
    if inside in {"", ".", ".."} or inside.startswith("../"):
        raise ScorewatchError("this is no name inside the inbox", where=name, hint=f"names are relative to {inbox}")
    return inside


def _as_typed(name: str, inbox: Path) -> str:
    here = os.getcwd()  # noqa: PTH109 - compared as text, like the rest
    if _below(here, inbox) or not (inside := _below(os.path.normpath(f"{here}/{name}"), inbox)):
        return os.path.normpath(name)
    return inside


def _below(path: str, inbox: Path) -> str:
    """The rest of a path inside the inbox; empty: it is outside."""
    roots = (str(inbox), os.path.realpath(inbox))
    return next((os.path.relpath(path, root) for root in roots if path.startswith(root + os.sep)), "")
