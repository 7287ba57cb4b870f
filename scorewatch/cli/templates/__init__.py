"""What `scorewatch init` writes: a small deployment that runs at once."""

from __future__ import annotations

import os
from pathlib import Path

from scorewatch.model.errors import ScorewatchError

STARTER = Path(__file__).parent / "starter"


def write_template(directory: Path) -> Path:
    """Write the starter into a directory, which may exist, and return its configuration's path.

    Raises:
        ScorewatchError: where a file or folder of the starter stands there already; nothing is written then.
    """
    write_tree(STARTER, directory)
    return directory / "scorewatch.toml"


def write_tree(source: Path, directory: Path) -> None:
    """Copy a tree that came with the package into a directory, which may exist; never over anything.

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
            _write(path, directory / path.relative_to(source))
    except OSError as error:
        raise ScorewatchError(
            f"can't be written: {error.strerror or error}",
            where=error.filename or directory,
            hint="name a directory that you may write to",
        ) from error


def _write(source: Path, target: Path) -> None:
    if source.is_dir() or source.parent.name == "__pycache__":
        return  # the folders come with their files
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:  # x: what appeared meanwhile is not overwritten either
        file.write(source.read_bytes())
