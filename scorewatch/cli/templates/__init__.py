"""What `scorewatch init` writes: a small deployment that runs at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from scorewatch.model.errors import ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

STARTER = Path(__file__).parent / "starter"
CONFIG = "scorewatch.toml"
_NAMELESS = "my-deployment"
_LONGEST_NAME = 64  # characters


def write_template(directory: Path) -> Path:
    """Write the starter into a directory, which may exist, and return its configuration's path.

    The deployment is named after the directory.

    Raises:
        ScorewatchError: where a file or folder of the starter stands there already; nothing is written then.
    """
    named = (STARTER / CONFIG).read_text(encoding="utf-8").replace(*_line_of(deployment_name(directory)))
    write_tree(STARTER, directory, {CONFIG: named.encode()})
    return directory / CONFIG


def deployment_name(directory: Path) -> str:
    """The directory's own name in letters that a deployment's may have; `my-deployment` where none is left."""
    base = os.path.basename(os.path.realpath(directory)).lower()  # noqa: PTH119 - "." has a name only once it is resolved
    return re.sub(r"[^a-z0-9]+", "-", base)[:_LONGEST_NAME].strip("-") or _NAMELESS


def _line_of(name: str) -> tuple[str, str]:
    """The line of the starter, and the one for it; what is said behind it stays where it is where there is room."""
    before, after = (f'name = "{each}"' for each in (_NAMELESS, name))
    width = len(before) + 14  # up to the comment
    return before.ljust(width), after.ljust(width - 2) + "  "


def write_tree(source: Path, directory: Path, instead: Mapping[str, bytes] | None = None) -> None:
    """Copy a tree that came with the package into a directory, which may exist; never over anything.

    Args:
        source: the tree.
        directory: made if it isn't there.
        instead: other contents of some files, by their paths in the tree.

    Raises:
        ScorewatchError: where something of the tree's top stands there already, or can't be written.
    """
    for part in sorted(source.iterdir()):
        if os.path.lexists(directory / part.name):
            raise ScorewatchError(
                "stands there already, and nothing is overwritten",
                where=directory / part.name,
                hint="name another directory, it will be made",
            )
    try:
        for path in sorted(source.rglob("*")):
            _write(path, directory / path.relative_to(source), (instead or {}).get(str(path.relative_to(source))))
    except OSError as error:
        raise ScorewatchError(
            f"can't be written: {error.strerror or error}",
            where=error.filename or directory,
            hint="name a directory that you may write to",
        ) from error


def _write(source: Path, target: Path, instead: bytes | None) -> None:
    if source.is_dir() or source.parent.name == "__pycache__":
        return  # the folders come with their files
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:  # x: what appeared meanwhile is not overwritten either
        file.write(source.read_bytes() if instead is None else instead)
