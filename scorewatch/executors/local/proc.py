"""What /proc says of a process; every answer is a best effort, and none is an error."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EXITING = 0x4  # PF_EXITING of the kernel's task flags
_FLAGS = 6  # field of /proc/<pid>/stat, counted behind the name


def rss_bytes(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where it can't be known."""
    try:
        return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def is_exiting(pid: int) -> bool:
    """Whether a process is past the point of no return, though not gone yet; False where it can't be known."""
    try:
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # the name may hold anything, a ")" too
        return fields[0] in b"ZX" or bool(int(fields[_FLAGS]) & _EXITING)
    except (OSError, IndexError, ValueError):
        return False


def oom_kills() -> int | None:
    """How many processes the kernel's OOM killer took since boot, cgroups included; None where it can't be known."""
    try:
        for line in _read("/proc/vmstat").splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    except (OSError, IndexError, ValueError):
        pass
    return None


def _read(path: str) -> bytes:
    return Path(path).read_bytes()
