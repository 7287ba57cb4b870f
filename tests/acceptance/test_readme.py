"""What the pages tell users to type, typed: the README, the quickstart, and how to read the outbox."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = {"sh", "console", "bash", "shell"}
BY_OTHERS = {"make demo", "make test"}  # the demo has tests of its own; a test that runs all tests would not end
NOT_COPIED = {".git", "__pycache__", ".hypothesis", "build", "dist"}
TRIED_IN_PLACE = {"inbox", "outbox", "state"}  # what somebody left who ran an example where it lies


def blocks(page: str, *languages: str) -> list[str]:
    found = BLOCK.findall((REPOSITORY / page).read_text())
    return [body for language, body in found if language in languages]


def commands(body: str) -> list[str]:
    """The lines of a block, without what is said about them."""
    lines = [re.sub(r"\s+# .*", "", line).removeprefix("$ ") for line in body.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def not_in_a_checkout(folder: str, names: list[str]) -> set[str]:
    made = {name for name in names if name.startswith(".venv") or name.endswith((".egg-info", "_cache"))}
    return made | (set(names) & (NOT_COPIED | (TRIED_IN_PLACE if Path(folder).parent.name == "examples" else set())))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this repository, as somebody has it who just got it."""
    return shutil.copytree(REPOSITORY, tmp_path / "checkout", ignore=not_in_a_checkout, symlinks=True)


def type_in(folder: Path, script: str, *, at_most: float = 280) -> str:
    """Run what is to be typed in one shell, its first failure its end; python3 is the interpreter of the tests."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = {**clean, "PATH": f"{programs}:{clean['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=at_most,
        check=False,
    )
    assert done.returncode == 0, f"{script}\nended with {done.returncode}\n{done.stdout}\n{done.stderr[-5000:]}"
    return done.stdout


def test_the_readme_s_first_commands_are_targets_of_the_makefile() -> None:
    first, *_ = blocks("README.md", *SHELL)
    assert set(commands(first)) == BY_OTHERS
    for command in commands(first):
        subprocess.run([*command.split(), "-n"], cwd=REPOSITORY, check=True, capture_output=True)


@pytest.mark.slow
def test_the_readme_s_commands_work(checkout: Path) -> None:
    typed = [body for body in blocks("README.md", *SHELL) if not BY_OTHERS & set(commands(body))]
    assert len(typed) == 1
    said = type_in(checkout, "\n".join(typed))
    assert "3 files scored: " in said
    assert "fox.txt: scored; its result: " in said
    assert "all is well, and nothing was changed" in said


@pytest.mark.slow
def test_the_quickstart_leads_from_nothing_to_predictions(checkout: Path) -> None:
    said = type_in(checkout, "\n".join(blocks("docs/quickstart.md", *SHELL)))
    assert "fox.txt" in said
    assert '{"street": "Elm Row", "price": 273000, "file": "elm-row.json"}' in said
    assert "ash-lane.json: in quarantine, and why is told beside it: " in said
    last = said.splitlines()[-2:]
    assert "price" in last[0]
    assert "Elm Row  273000  elm-row.json" in last[1]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's folder after a run, with one file that was skipped."""
    folder = tmp_path_factory.mktemp("scored") / "first"
    scorewatch = [sys.executable, "-m", "scorewatch"]
    subprocess.run([*scorewatch, "init", folder], check=True, capture_output=True)
    (folder / "inbox" / "link").symlink_to("nowhere")
    subprocess.run([*scorewatch, "run", folder / "scorewatch.toml", "--once"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def scored_as(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The same in another format, in two batches."""

    def make(form: str) -> Path:
        folder = tmp_path_factory.mktemp(form) / "first"
        scorewatch = [sys.executable, "-m", "scorewatch"]
        subprocess.run([*scorewatch, "init", folder], check=True, capture_output=True)
        config = folder / "scorewatch.toml"
        text = config.read_text().replace("mini_batch_size = 10", "mini_batch_size = 2")
        config.write_text(text.replace('format = "parquet"', f'format = "{form}"'))
        subprocess.run([*scorewatch, "run", config, "--once"], check=True, capture_output=True)
        return folder

    return make


@pytest.fixture
def copied(scored: Path, tmp_path: Path) -> Path:
    """The same, for a test that changes it."""
    return shutil.copytree(scored, tmp_path / "copied", symlinks=True)


#: What is looked at after each block of docs/how-to/read-the-outbox.md, by what the block imports or says.
LOOKS = {
    "everything = ": "assert sorted(everything['file']) == ['fox.txt', 'one-line.txt', 'prices.csv']",
    "one_day = ": "assert len(one_day) == 3",
    "from_csv = ": "assert sorted(from_csv['file']) == ['fox.txt', 'one-line.txt', 'prices.csv']",
    "from_lines = ": "assert from_lines['words'].sum() == 20",
    "import duckdb": "assert len(rows.fetchall()) == per_day.fetchall()[0][1] == batches.fetchall()[0][1] == 3",
    "import pyarrow": "assert rows == 3",
    "def new_batches": "assert list(new_batches()) == [] and len(seen) == 1",
    "failed = ": "assert failed[0]['reason'].tolist() == ['symlink']",
}
OTHER_FORMATS = {"from_csv = ": "csv", "from_lines = ": "jsonl"}
READING = blocks("docs/how-to/read-the-outbox.md", "python")


def test_every_way_to_read_is_looked_at() -> None:
    assert [[mark for mark in LOOKS if mark in body] for body in READING] == [[mark] for mark in LOOKS]


@pytest.mark.parametrize("mark", LOOKS)
def test_the_outbox_can_be_read_like_that(scored: Path, scored_as: Callable[[str], Path], mark: str) -> None:
    if mark == "import duckdb" and find_spec("duckdb") is None:
        pytest.skip("duckdb is not installed")
    [body] = [body for body in READING if mark in body]
    program = f"{body}\n{LOOKS[mark]}\n"
    folder = scored_as(OTHER_FORMATS[mark]) if mark in OTHER_FORMATS else scored
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program}\n{done.stderr}"


def test_outputs_can_be_collected_like_that(scored: Path) -> None:
    [body] = blocks("docs/how-to/read-the-outbox.md", *SHELL)
    for line in commands(body):
        program, *arguments = line.split()
        assert program == "scorewatch"
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments], cwd=scored, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("3 rows of 1 batch: ")


def test_files_arrive_by_renames_like_that(copied: Path) -> None:
    (copied / "order.csv").write_text("1,2\n")
    [body] = blocks("docs/how-to/choose-how-files-arrive.md", *SHELL)
    type_in(copied, body)
    assert (copied / "inbox" / "order.csv").read_text() == "1,2\n"
    subprocess.run(
        [sys.executable, "-m", "scorewatch", "run", "scorewatch.toml", "--once"],
        cwd=copied,
        check=True,
        capture_output=True,
    )
    assert not (copied / "inbox" / "order.csv").exists()


def test_the_ledger_is_made_again_like_that(copied: Path) -> None:
    before = sorted(path.name for path in (copied / "outbox" / "batches").glob("*/*"))
    [body] = blocks("docs/how-to/back-up-and-move.md", *SHELL)
    for line in commands(body):
        program, *arguments = line.split()
        subprocess.run([sys.executable, "-m", program, *arguments], cwd=copied, check=True, capture_output=True)
    assert sorted(path.name for path in (copied / "outbox" / "batches").glob("*/*")) == before


def test_failures_are_looked_into_like_that(copied: Path) -> None:
    [body] = blocks("docs/how-to/deal-with-failures.md", *SHELL)
    for line in commands(body):
        program, *arguments = [word.replace("FILE", "fox.txt") for word in line.split()]
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments], cwd=copied, capture_output=True, text=True, check=False
        )
        assert done.returncode == (1 if "retry" in arguments else 0), done.stderr  # it is in no quarantine
