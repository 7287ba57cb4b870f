"""What is checked once, at the start: that files can be renamed out of the inbox, and that nobody else can meddle."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from scorewatch.inbox import moves
from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from pathlib import Path

LEDGER_HINT = 'let the service write to the inbox, or set [inbox] claim = "ledger"'


def unusable(what: str, where: object, hint: str = "") -> ScorewatchError:
    """The error that ends a start: exit 6."""
    return ScorewatchError(what, where=where, hint=hint, exit_code=ExitCode.FOLDER_UNUSABLE)


def judge_root(root_fd: int, path: str) -> None:
    """Refuse a sticky inbox of somebody else: we could never rename the files of other users out of it."""
    st = os.fstat(root_fd)
    sticky = st.st_mode & stat.S_ISVTX and st.st_mode & stat.S_IWOTH
    if sticky and os.geteuid() not in {0, st.st_uid}:
        raise unusable(
            "the inbox is sticky and belongs to another user, so the files of others can't be moved out of it",
            path,
            "make the service's user its owner, or remove the sticky bit",
        )


def judge_owner(meta_fd: int, path: str) -> None:
    """Refuse a `.scorewatch` that somebody else made, and close ours to others."""
    st = os.fstat(meta_fd)
    if st.st_uid != os.geteuid():
        hint = "remove it if it holds nothing, or run the service as its owner"
        raise unusable(f"it belongs to user {st.st_uid}, and the service runs as user {os.geteuid()}", path, hint)
    if stat.S_IMODE(st.st_mode) & 0o077:
        os.fchmod(meta_fd, 0o700)


def probe_rename(inbox: str | Path, target: str | Path) -> None:
    """Prove with a real file that a rename from the inbox to `target` works.

    Equal device numbers don't prove it: two bind mounts of one file system refuse (EXDEV).

    Raises:
        ScorewatchError: it doesn't; exit 6.
    """
    name = f".scorewatch-{secrets.token_hex(8)}.tmp"
    try:
        with contextlib.ExitStack() as stack:
            src = os.open(inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, src)
            dst = os.open(target, moves.FOLDER_FLAGS)
            stack.callback(os.close, dst)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o600, dir_fd=src))
            try:
                os.rename(name, name, src_dir_fd=src, dst_dir_fd=dst)
            except OSError:
                os.unlink(name, dir_fd=src)
                raise
            os.unlink(name, dir_fd=dst)
    except OSError as error:
        raise unusable(
            f"files can't be renamed from the inbox to {target}: {error.strerror}", inbox, LEDGER_HINT
        ) from error
