"""Each example, as a user runs it: copy the folder, make its data, score it once, and look at what came out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
MADE = shutil.ignore_patterns("inbox", "outbox", "state", "truth.csv", "__pycache__")  # by who tried it in place


@pytest.fixture
def example(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the example that the test is about."""
    return shutil.copytree(EXAMPLES / request.param, tmp_path / request.param, ignore=MADE)


def only(name: str) -> Any:
    return pytest.mark.parametrize("example", [name], indirect=True)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_and_score(folder: Path, *size: str) -> None:
    run(folder, "make_data.py", *size)
    run(folder, "-m", "scorewatch", "run", "scorewatch.toml", "--once")
    assert [path.name for path in (folder / "inbox").iterdir()] == [".scorewatch"]


def summary(folder: Path) -> list[dict[str, Any]]:
    lines = [line for day in (folder / "outbox" / "summary").iterdir() for line in day.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def once_each(names: pd.Series[str] | list[str]) -> list[str]:
    """The names, sorted, each as often as it is there: a set would not see that one came twice."""
    return sorted(Counter(names).elements())


@only("digits")
def test_digits_are_read_one_row_a_picture(example: Path) -> None:
    make_and_score(example, "--files", "40")
    truth = pd.read_csv(example / "truth.csv")
    found = pd.read_parquet(example / "outbox" / "batches")
    assert len(truth) == 40
    assert once_each(found["file"]) == once_each(truth["file"])
    both = found.merge(truth, on="file", suffixes=("", "_true"))
    assert (both["digit"] == both["digit_true"]).mean() > 0.85
    assert found["confidence"].between(0, 1).all()
    assert sum(len(line["files"]) for line in summary(example)) == 40
    assert max(len(line["files"]) for line in summary(example)) == 10


@only("tabular")
def test_tables_give_one_row_for_each_of_their_rows(example: Path) -> None:
    make_and_score(example, "--tables", "5")
    truth = pd.read_csv(example / "truth.csv")
    found = pd.read_parquet(example / "outbox" / "batches")
    assert len(truth) == 5 * 25
    assert once_each(found["patient"]) == once_each(truth["patient"])
    assert Counter(found["file"]) == {f"patients-{number:02}.csv": 25 for number in range(1, 6)}
    both = found.merge(truth, on="patient", suffixes=("", "_true"))
    assert (both["malignant"] == both["malignant_true"]).mean() > 0.9
    assert (found["malignant"] == (found["chance"] >= 0.5)).all()


@only("mini_batch")
def test_tickets_are_answered_sixty_at_once(example: Path) -> None:
    make_and_score(example, "--files", "130")
    truth = pd.read_csv(example / "truth.csv")
    found = pd.read_parquet(example / "outbox" / "batches")
    assert once_each(found["file"]) == once_each(truth["file"])
    both = found.merge(truth, on="file", suffixes=("", "_true"))
    assert (both["topic"] == both["topic_true"]).mean() > 0.95
    assert once_each([str(len(line["files"])) for line in summary(example)]) == ["10", "60", "60"]


@only("own_files")
def test_the_script_s_own_pictures_are_published_and_nothing_else(example: Path) -> None:
    make_and_score(example, "--files", "19")
    inputs = [path for path in (example / "inbox" / ".scorewatch" / "done").rglob("*") if path.is_file()]
    assert len(inputs) == 19
    published = [path for path in (example / "outbox" / "batches").rglob("*") if path.is_file()]
    pictures = [path for path in published if path.name != "_manifest.json"]
    assert once_each([path.name for path in pictures]) == once_each([f"{path.name}.small.png" for path in inputs])
    for path in pictures:
        with Image.open(path) as image:
            assert max(image.size) == 96
    assert [line["status"] for line in summary(example)] == ["committed"] * 3
    assert sum(line["succeeded"] for line in summary(example)) == 19
