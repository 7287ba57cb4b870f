"""What the kernel and the clock allow: inotify's limits, open files, capabilities."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scorewatch.cli.findings import bad, ok, warn
from scorewatch.cli.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scorewatch.cli.findings import Finding
    from scorewatch.settings.schema import Settings

ABOUT = "kernel"
_INOTIFY = Path("/proc/sys/fs/inotify")
_FEW_INSTANCES = 64
_FILES_EACH = 8  # descriptors that a worker costs the daemon
_FILES_BESIDE = 256  # and what it needs for itself
_CAP_LEASE = 28
_SANE_SINCE = 1_704_067_200  # 2024: a clock before that was never set
_CLOCK_SLACK_S = 5.0


def kernel(settings: Settings, folders: int) -> Iterator[Finding]:
    """The limits of inotify and of open files.

    Args:
        settings: of the deployment.
        folders: how many the inbox has, each of which takes a watch.
    """
    watches, instances = _limit("max_user_watches"), _limit("max_user_instances")
    if watches is None or instances is None:
        yield warn(ABOUT, "there is no inotify: the inbox is read regularly", "run it on a kernel that has inotify")
    elif folders * 2 > watches:
        more = max(524_288, folders * 4)
        yield warn(
            ABOUT,
            f"the inbox has {count(folders, 'folder')}, and this user may watch {watches:,}",
            f"sysctl -w fs.inotify.max_user_watches={more}",
        )
    elif instances < _FEW_INSTANCES:
        yield warn(
            ABOUT, f"this user may have {instances} inotify instances", "sysctl -w fs.inotify.max_user_instances=512"
        )
    else:
        yield ok(
            ABOUT, f"inotify: {watches:,} watches, {instances:,} instances; the inbox has {count(folders, 'folder')}"
        )
    yield _open_files(settings.workers.max_concurrency_per_instance)


def _open_files(workers: int) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = workers * _FILES_EACH + _FILES_BESIDE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return ok(ABOUT, f"{soft:,} files may be open")
    mend = f"LimitNOFILE={max(4096, needed)}  (in the unit; or `ulimit -n {max(4096, needed)}`)"
    return warn(ABOUT, f"only {soft:,} files may be open (at most {hard:,}), and {needed:,} may be needed", mend)


def clock(written: Iterable[Path]) -> Finding:
    """Whether the clock is set: batch ids and days are made of it.

    Args:
        written: files that were written in the past.
    """
    now = time.time()
    ahead = max((_mtime(path) for path in written), default=0.0) - now
    if now < _SANE_SINCE or ahead > _CLOCK_SLACK_S:
        why = f"files here were written {ahead:.0f} s in its future" if ahead > _CLOCK_SLACK_S else "it was never set"
        return bad("clock", f"the clock is wrong: {why}", "timedatectl set-ntp true")
    return ok("clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def may_lease_foreign_files() -> bool:
    """Whether this process can ask for leases on files of other users."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_LEASE & 1)
    return os.geteuid() == 0


def _limit(name: str) -> int | None:
    try:
        return int((_INOTIFY / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
