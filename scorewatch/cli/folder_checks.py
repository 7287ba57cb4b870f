"""What inbox, outbox and state allow: who may write, whether renames and leases work, and how much room there is."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from typing import TYPE_CHECKING

from scorewatch.cli.findings import bad, ok, warn
from scorewatch.cli.kernel_checks import may_lease_foreign_files
from scorewatch.cli.words import size
from scorewatch.core.readiness import Lease
from scorewatch.core.room import Low, judge
from scorewatch.inbox.held import META
from scorewatch.inbox.permissions import judge_root, probe_rename
from scorewatch.inbox.probe import ask_lease, remote_filesystem
from scorewatch.model.errors import ScorewatchError
from scorewatch.outbox.outbox import room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scorewatch.cli.findings import Finding
    from scorewatch.settings.schema import Settings

_OCTAL = re.compile(r"\\(\d{3})")  # how the list of mounts spells a space
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def folders(settings: Settings) -> Iterator[Finding]:
    """All three, one after the other."""
    for name, path in (
        ("inbox", settings.inbox.path),
        ("outbox", settings.output.path),
        ("state", settings.state.path),
    ):
        if not path.is_dir():
            yield _missing(name, path)
            continue
        with _opened(path) as fd:
            yield from _file_system(name, path, fd)
            yield from _room(name, path)
            if name == "inbox":
                yield from _inbox(settings, fd)
            else:
                yield from _written(name, path)
    if settings.output.path.is_dir():
        yield _renames("outbox", _first(settings.output.path, ".staging"), _first(settings.output.path, "batches"))


def _missing(name: str, path: Path) -> Finding:
    if name == "inbox":
        return bad(name, f"{path} is not there", f"mkdir -p {path}")
    above = next(folder for folder in path.parents if folder.exists())
    if os.access(above, os.W_OK | os.X_OK):
        return ok(name, f"{path} is not there, and will be made")
    return bad(
        name, f"{path} is not there, and can't be made by this user", f"mkdir -p {path}, and give it to the service"
    )


# ---------------------------------------------------------------- each
def _file_system(name: str, path: Path, fd: int) -> Iterator[Finding]:
    kind, remote = file_system(path), remote_filesystem(fd)
    if not remote:
        yield ok(name, f"{path} lies on {kind}")
    elif name == "state":
        yield bad(
            name, f"{path} lies on {remote}, where a database is not safe", "[state] path = a folder on a local disk"
        )
    elif name == "inbox":
        what = f"{path} lies on {remote}: no events and no leases, so files are found by looking, and wait two seconds"
        yield warn(name, what, "have the files written to a local disk of this machine")
    else:
        what = f"{path} lies on {remote}: readers elsewhere may see a new batch late"
        yield warn(name, what, "[output] path = a folder on a local disk, copied from there")


def _room(name: str, path: Path) -> Iterator[Finding]:
    left = room(path)
    verdict = judge(left, was_low=False)
    inodes = f"{left.free_inodes:,} inodes" if left.total_inodes else "no limit of inodes"
    if isinstance(verdict, Low):
        yield bad(
            name, f"{path}: {verdict.message}", f"df -h {path}; df -i {path}  (nothing is claimed while it is full)"
        )
    else:
        yield ok(name, f"{size(left.free_bytes)} and {inodes} are free")


def _written(name: str, path: Path) -> Iterator[Finding]:
    if os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return
    yield bad(name, f"this user can't write {path}", f"chown -R {_user()} {path}")


def _inbox(settings: Settings, fd: int) -> Iterator[Finding]:
    path = settings.inbox.path
    if settings.inbox.claim == "ledger":
        yield warn(
            "inbox",
            'claim = "ledger": one process only, and the cost grows with the files kept',
            '[inbox] claim = "rename", if the inbox may be written',
        )
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        mend = f'let {_user()} write {path}, or set [inbox] claim = "ledger"'
        yield bad("inbox", f"this user can't write {path}, so no file can be claimed", mend)
        return
    try:
        judge_root(fd, str(path))
    except ScorewatchError as error:
        yield bad("inbox", error.what, error.hint)
    yield _renames("inbox", path, _first(path, META))
    yield _lease(path, fd)


def _renames(name: str, source: Path, target: Path) -> Finding:
    try:
        probe_rename(source, target)
    except ScorewatchError as error:
        return bad(name, error.what, error.hint)
    return ok(name, f"a file can be renamed from {source} to {target}")


def _lease(path: Path, folder: int) -> Finding:
    """Ask for a lease on a file of our own, which says whether the kernel gives any here."""
    name = f".scorewatch-{secrets.token_hex(8)}.tmp"
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder))
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        lease = ask_lease(fd)
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
    if lease is not Lease.QUIET:
        what = "the kernel does not tell here who is writing, so every file is left alone for two seconds first"
        return warn("inbox", what, 'have producers write elsewhere and rename, or set [inbox] ready_when = "marker"')
    if path.stat().st_mode & _OTHERS_WRITE and not may_lease_foreign_files():
        what = "others may drop files here, and this user can't ask who writes theirs: they wait two seconds"
        return warn("inbox", what, "AmbientCapabilities=CAP_LEASE  (in the unit)")
    return ok("inbox", "the kernel tells who is writing a file (leases work)")


# ---------------------------------------------------------------- helpers
def file_system(path: Path) -> str:
    """The type of the file system under a path, as the kernel's list of mounts names it."""
    real, best, found = os.path.realpath(path), "", "an unknown file system"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123 - no file of ours
        for line in mounts:
            mount, kind = _OCTAL.sub(_letter, line.split()[4]), line.partition(" - ")[2].split()[0]
            if (real == mount or real.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
                best, found = mount, kind
    return found


def _letter(octal: re.Match[str]) -> str:
    return chr(int(octal[1], 8))


def _first(path: Path, name: str) -> Path:
    return path / name if (path / name).is_dir() else path


def _user() -> str:
    return str(os.geteuid())


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
