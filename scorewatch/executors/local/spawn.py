"""How a worker process comes to be: a command in a process group of its own, with one socket to the daemon.

Never a fork, and always from the thread that calls: the kernel tells a worker of its parent's death when the
*thread* that spawned it ends, so that has to be the main one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.executors.local import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: what belongs to the daemon alone: its own environment's name, and what its service manager told it
_DAEMONS_OWN = frozenset(
    {
        "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
        "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "MAINPID", "JOURNAL_STREAM",
    }
)  # fmt: skip
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerPlan:
    """What every worker of one generation is made from."""

    generation: int
    python: str  #: the interpreter
    init: Mapping[str, Any]  #: the INIT message, without what differs between workers
    environment: Mapping[str, str] = field(default_factory=dict)  #: added to the daemon's own
    devices: tuple[str, ...] = ()  #: CUDA devices, for the slots in turn; none: left as it is
    slots: int = 1  #: how many workers share the cores


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A worker process as the daemon holds it."""

    process: subprocess.Popen[bytes]
    line: socket.socket  #: non-blocking; its end of file is the worker's death
    pidfd: int
    scratch: str
    stdout: str  #: path of the log
    stderr: str


def spawn(plan: WorkerPlan, program: str, slot: int, *, scratch: str, stdout: str, stderr: str) -> Child:
    """Start a worker.

    Args:
        plan: what it is made from.
        program: the script that the interpreter runs.
        slot: which of the places, from 0.
        scratch: its working directory, made here.
        stdout: path of a log, made here; stands for the worker's stdout from its first byte.
        stderr: the same for stderr.

    Raises:
        OSError: it could not be started; nothing is left behind.
        ValueError: the environment holds a NUL.
    """
    with ExitStack() as undo:
        folder = Path(scratch)
        folder.mkdir(mode=0o700, parents=True)
        undo.callback(_quietly, folder.rmdir)
        ours, theirs = socket.socketpair()
        undo.callback(ours.close)
        # Leaving this block closes our copy of their end, so that the worker's death is our end of file.
        with theirs, ExitStack() as opened:
            out, err = (_log(path, opened, undo) for path in (stdout, stderr))
            process = subprocess.Popen(  # noqa: S603 - the operator's own interpreter
                [plan.python, program, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=scratch,
                env=environment(plan, slot),
            )
        undo.callback(_bury, process)
        pidfd = os.pidfd_open(process.pid)
        ours.settimeout(0.0)
        undo.pop_all()
    return Child(process=process, line=ours, pidfd=pidfd, scratch=scratch, stdout=stdout, stderr=stderr)


def environment(plan: WorkerPlan, slot: int) -> dict[str, str]:
    """The environment of the worker in a slot: set before anything is imported there."""
    env = {name: value for name, value in os.environ.items() if name not in _DAEMONS_OWN}
    if plan.python != sys.executable:
        env.pop("PYTHONHOME", None)  # where the daemon's own standard library is
    env.update(plan.environment)
    for name in _THREADS:
        env.setdefault(name, str(max(1, len(os.sched_getaffinity(0)) // plan.slots)))
    if plan.devices:
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        env["CUDA_VISIBLE_DEVICES"] = plan.devices[slot % len(plan.devices)]
    return env


def _log(path: str, opened: ExitStack, undo: ExitStack) -> int:
    descriptor = logs.create(path)
    opened.callback(os.close, descriptor)
    undo.callback(_quietly, Path(path).unlink)
    return descriptor


def _quietly(remove: Callable[[], None]) -> None:
    with suppress(OSError):
        remove()


def _bury(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
