"""Bugs that anybody could have made, planted one at a time: the simulation must see each, and break no promise without.

A patch that does not apply any more must be made anew: plant the same bug in the code as it is now, and put what
`git diff` shows over the old patch, below the line that names a world in which it was seen. That world is tried first,
and many others where it has nothing to say any more.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HOUSE = HERE.parents[1] / "scorewatch"
BUGS = sorted((HERE / "bugs").glob("*.patch"))
WORLDS = 1500  #: seeds until a bug must have been seen
SOUND = 150

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    rooms = shutil.ignore_patterns("__pycache__", "cli", "demo_kit", "worker/scorers", "telemetry")
    shutil.copytree(HOUSE, tmp_path / "scorewatch", ignore=rooms)
    return tmp_path


def _simulate(copy: Path, first: int, last: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", str(HERE / "simulate.py"), str(first), str(last)]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, cwd=copy, capture_output=True, text=True, timeout=250, check=False)


def _plant(bug: Path, copy: Path) -> None:
    outside_of_any_repository = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    command = ["git", "apply", str(bug)]
    applied = subprocess.run(
        command, cwd=copy, env=outside_of_any_repository, capture_output=True, text=True, check=False
    )
    if applied.returncode:
        pytest.fail(f"{bug.name} does not fit the code any more; make it anew (see above): {applied.stderr}")


def test_the_copy_keeps_every_promise_where_nothing_is_planted(copy: Path) -> None:
    ended = _simulate(copy, 0, SOUND)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert "every promise kept" in ended.stdout


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.stem)
def test_a_planted_bug_is_seen(bug: Path, copy: Path) -> None:
    _plant(bug, copy)
    known = re.match(r"First seen in world (\d+)", bug.read_text())
    ended = _simulate(copy, int(known[1]), int(known[1]) + 1) if known else None
    if ended is None or ended.returncode == 0:
        ended = _simulate(copy, 0, WORLDS)
    assert ended.returncode == 1, f"{bug.stem} was not seen in {WORLDS} worlds"
    first_line = ended.stdout.partition("\n")[0]
    assert "BrokenPromiseError" in first_line, ended.stdout[-3000:] + ended.stderr[-3000:]


def test_there_are_enough_of_them() -> None:
    assert len(BUGS) >= 12
