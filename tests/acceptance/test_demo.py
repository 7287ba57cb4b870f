"""`scorewatch demo`: the real one end to end, and its counting with daemons that lose, double, or die."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from scorewatch.cli.demo import drops
from scorewatch.cli.demo.command import play
from scorewatch.cli.demo.outcomes import Account, Outcomes
from scorewatch.cli.demo.report import Voice
from scorewatch.cli.demo.stage import BROKEN, KIT, Stage
from scorewatch.model.errors import ScorewatchError

REPOSITORY = Path(__file__).parents[2]
SCOREWATCH = [sys.executable, "-m", "scorewatch"]

# A daemon of a few lines, which knows the truth, and does to some files what it is told to: scorewatch must never.
FAKE_DAEMON = """
import csv, json, pathlib, signal, sys, time
import pandas as pd

home = pathlib.Path(sys.argv[-1]).parent
todo = json.loads((home / "misdeeds.json").read_text())
truth = {row["file"]: int(row["digit"]) for row in csv.DictReader((home / "truth.csv").open())}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
seen = set()
number = 0


def commit(names):
    global number
    number += 1
    staging = home / "outbox" / f".staging-{number}"
    staging.mkdir(parents=True)
    rows = [{"digit": truth[name], "confidence": 0.5, "file": name} for name in names]
    pd.DataFrame(rows).to_parquet(staging / "predictions.parquet")
    (staging / "_manifest.json").write_text(json.dumps({"files": [{"path": name} for name in names]}))
    (home / "outbox/batches/sealed_date=2026-01-01").mkdir(parents=True, exist_ok=True)
    staging.rename(home / "outbox/batches/sealed_date=2026-01-01" / f"batch-{number}")


def set_aside(name):
    errors = home / "outbox/errors"
    errors.mkdir(parents=True, exist_ok=True)
    line = {"path": name, "outcome": "quarantined", "message": "image file is truncated", "where": "aside/" + name}
    with (errors / "2026-01-01.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\n")


while True:
    whole = {p.name for p in (home / "inbox").glob("[!.]*") if p.read_bytes()[-8:-4] == b"IEND"} - seen
    torn = {p.name for p in (home / "inbox").glob("torn*")} - seen
    if whole:
        commit(sorted(whole - set(todo["lose"])))
    for name in sorted(whole & set(todo["double"])):
        commit([name])
    for name in torn:
        set_aside(name)
    seen |= whole | torn
    if todo["die"] and len(seen) > 1:
        print("error: the disk is full")
        sys.exit(6)
    time.sleep(0.05)
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The demo's folder with a dozen pictures, and the fake daemon in the place of the real one."""
    monkeypatch.setattr("scorewatch.cli.demo.command.PATIENCE", 3.0)
    made = Stage.make(tmp_path / "demo", files=12)
    (tmp_path / "fake.py").write_text(FAKE_DAEMON)
    made.scorewatch = [sys.executable, str(tmp_path / "fake.py")]
    return made


def misdeeds(stage: Stage, *, lose: str = "", double: str = "", die: bool = False) -> None:
    told = {"lose": [lose], "double": [double], "die": die}
    (stage.folder / "misdeeds.json").write_text(json.dumps(told))


@pytest.mark.slow
def test_the_demo_scores_every_picture_once_and_sets_the_broken_one_aside(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [*SCOREWATCH, "demo", "--json", "--dir", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout)
    assert (story["dropped"], story["rows"]) == (900, 899)
    assert (story["lost"], story["doubled"]) == ([], [])
    assert story["accuracy"] > 0.94
    [aside] = story["set_aside"]
    assert aside["path"] == BROKEN
    assert "truncated" in aside["why"]
    assert Path(aside["where"]).read_bytes() == (tmp_path / "demo" / "pictures" / BROKEN).read_bytes()
    assert story["outbox"] == str(tmp_path / "demo" / "outbox")
    assert took < 60, f"the demo took {took:.0f} s"


@pytest.mark.slow
def test_a_human_reads_a_table_the_account_and_where_everything_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SCOREWATCH, "demo", "--files", "40", "--dir", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Files: 41 dropped = 40 results + 1 set aside; none lost, none doubled." in done.stdout
    assert re.search(r"digit-0\d{3}\.png +\d +\d +\d+%", done.stdout)
    assert f"Set aside: {BROKEN}, because " in done.stdout
    assert "\x1b" not in done.stdout  # no terminal, no colours
    assert done.stdout.splitlines()[-1] == f"Results: {tmp_path / 'demo' / 'outbox'}"


def test_with_an_honest_daemon_the_account_is_even(stage: Stage) -> None:
    misdeeds(stage)
    story = play(stage, Voice(as_json=True))
    assert (story["dropped"], story["rows"], story["right"]) == (13, 12, 12)
    assert (story["lost"], story["doubled"]) == ([], [])
    assert [line["path"] for line in story["set_aside"]] == [BROKEN]


def test_a_file_that_is_lost_and_one_that_is_doubled_are_named(stage: Stage) -> None:
    misdeeds(stage, lose="digit-0903.png", double="digit-0905.png")
    story = play(stage, Voice(as_json=True))
    assert story["lost"] == ["digit-0903.png"]
    assert story["doubled"] == ["digit-0905.png"]


@pytest.mark.timeout(60)
def test_the_last_words_of_a_daemon_that_dies_are_passed_on_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorewatch.cli.demo.command.PATIENCE", 1000.0)
    misdeeds(stage, die=True)
    with pytest.raises(ScorewatchError, match="exit code 6: error: the disk is full") as caught:
        play(stage, Voice(as_json=True))
    assert caught.value.exit_code == 6


def test_a_folder_with_a_deployment_in_it_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "scorewatch.toml").write_text("mine")
    with pytest.raises(ScorewatchError, match="nothing is overwritten"):
        Stage.make(tmp_path, files=8)
    assert [path.name for path in tmp_path.iterdir()] == ["scorewatch.toml"]


def test_without_the_libraries_it_says_what_to_install(tmp_path: Path) -> None:
    block = "import sys; sys.modules['sklearn'] = None; sys.path.pop(0)"
    program = f"{block}; from scorewatch.cli.demo.stage import require_libraries as ask; ask()"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (
        'the demo needs scikit-learn, which scorewatch itself does not; pip install "scorewatch[demo]"' in done.stderr
    )


def test_every_way_of_dropping_brings_every_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drops, "PAUSE", 0.0)
    source, inbox = tmp_path / "source", tmp_path / "inbox"
    source.mkdir()
    inbox.mkdir()
    for number in range(60):
        (source / f"{number:02}").write_bytes(bytes([number]) * (1 + 7 * number))
    plan = drops.plan(sorted(source.iterdir()))
    assert min(len(plan.slow), len(plan.renamed), len(plan.burst)) > 5
    drops.drop_all(inbox, plan)
    assert {p.name: p.read_bytes() for p in inbox.iterdir()} == {p.name: p.read_bytes() for p in source.iterdir()}


def test_a_slow_file_is_there_in_part_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "slow.bin"
    path.write_bytes(b"0123456789")
    (tmp_path / "inbox").mkdir()
    sizes = []

    class Stopped:
        def wait(self, seconds: float) -> None:
            assert seconds > 0
            sizes.append((tmp_path / "inbox" / "slow.bin").stat().st_size)

    drops.write_slowly(path, tmp_path / "inbox", Stopped())  # type: ignore[arg-type]
    assert sizes == [2, 4, 6, 8, 10]


def test_the_account_counts_and_compares_no_sets() -> None:
    assert Account.of(["a", "b"], Counter({"a": 1, "b": 1})) == Account(lost=[], doubled=[])
    assert Account.of(["a", "b"], Counter({"a": 3})) == Account(lost=["b"], doubled=["a", "a"])
    assert Account.of(["a"], Counter({"a": 1, "stranger": 1})).doubled == ["stranger"]


def test_a_torn_last_line_in_errors_is_not_read_yet(tmp_path: Path) -> None:
    (tmp_path / "errors").mkdir()
    day = tmp_path / "errors" / "2026-01-01.jsonl"
    day.write_text('{"path": "a"}\n{"path": "b')
    outcomes = Outcomes(tmp_path)
    assert outcomes.look() == 1
    day.write_text('{"path": "a"}\n{"path": "b"}\n')
    assert outcomes.look() == 2


def test_the_kit_is_the_digits_example_to_the_byte() -> None:
    example = REPOSITORY / "examples" / "digits"
    shipped = {path.relative_to(KIT / "digits"): path.read_bytes() for path in files_of(KIT / "digits")}
    assert shipped
    assert shipped == {path: (example / path).read_bytes() for path in shipped}


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
