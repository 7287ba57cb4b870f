"""The identity file that inbox, outbox and state each hold: an unmounted disk looks empty, and must not be believed.

<inbox>/.scorewatch/identity.json    <outbox>/.identity.json    <state>/identity.json
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.inbox import moves

if TYPE_CHECKING:
    from collections.abc import Mapping

INBOX = ".scorewatch/identity.json"
OUTBOX = ".identity.json"
STATE = "identity.json"


def read(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What an identity file says; None: there is none, or it says no `id`.

    Raises:
        OSError: the folder that it should be in can't be opened, for another reason than that it isn't there.
    """
    folder = Path(path).parent
    try:
        fd = os.open(folder, moves.FOLDER_FLAGS)
    except FileNotFoundError:
        return None
    try:
        content = moves.read_json(fd, Path(path).name)
    finally:
        os.close(fd)
    return content if content is not None and isinstance(content.get("id"), str) else None


def create(path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write a new identity file, durably; one that stands there is never replaced.

    Args:
        path: of the file; its folder must be there.
        extra: more keys; an `id` among them is kept instead of a new one.

    Raises:
        FileExistsError: there is one.
    """
    content = {"id": secrets.token_hex(16), **(extra or {})}
    fd = os.open(Path(path).parent, moves.FOLDER_FLAGS)
    temporary = f".{secrets.token_hex(8)}.tmp"
    try:
        moves.write_json(fd, temporary, content, durable=True)
        try:
            moves.move(fd, temporary, fd, Path(path).name)
        except OSError:
            os.unlink(temporary, dir_fd=fd)
            raise
        moves.sync_folder(fd)
    finally:
        os.close(fd)
    return content
