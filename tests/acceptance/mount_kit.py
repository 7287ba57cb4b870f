"""Mounts of a test's own, for tests that run as root: small disks, and the same folder in two places."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Mounts:
    """Mounts that are gone when the test is."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def tmpfs(self, folder: Path, size: str) -> Path:
        """A small disk."""
        return self._mount(folder, "-t", "tmpfs", "-o", f"size={size},mode=0700", "scorewatch-test")

    def bind(self, source: Path, folder: Path, *, read_only: bool = False) -> Path:
        """The same folder in a second place."""
        self._mount(folder, "--bind", str(source))
        if read_only:
            run("mount", "-o", "remount,bind,ro", str(folder))
        return folder

    def unmount(self, folder: Path) -> None:
        """As an administrator does it who doesn't wait: at once, whoever still uses it."""
        run("umount", "-l", str(folder))

    def _mount(self, folder: Path, *arguments: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        run("mount", *arguments, str(folder))
        self._stack.callback(subprocess.run, ["umount", "-l", str(folder)], capture_output=True, check=False)
        return folder


def run(*command: str) -> None:
    """A command that must work; where mounting isn't allowed at all, the test is skipped."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and command[0] == "mount" and "permission denied" in done.stderr:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    assert done.returncode == 0, f"{command}: {done.stderr}"


@contextmanager
def mounting() -> Iterator[Mounts]:
    """Mounts for a while; skips where the tests are not run by root."""
    if os.geteuid() != 0:
        pytest.skip("takes root: mounts are made")
    with ExitStack() as stack:
        yield Mounts(stack)
