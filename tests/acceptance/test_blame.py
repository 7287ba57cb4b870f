"""Who pays when a batch fails: it is tried again, then halved until the guilty file is alone; the others are scored.

Each story drops eight files, one of them guilty in a way of its own, as one batch.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deployment_kit import Deployment, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD = ["a", "b", "c", "d", "e", "f", "g"]

#: Notes each init() and each run(); what the guilty file's name says is done.
SCRIPT = """
import ctypes, os, sys, time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def note(what):
    with open(os.path.join(HERE, "notes"), "a") as notes:
        notes.write(what + "\\n")


def init():
    note(f"init {os.getpid()}")


def endless(n):
    return endless(n + 1)


def run(mini_batch):
    note("run " + " ".join(sorted(os.path.basename(path) for path in mini_batch)))
    rows = []
    for path in mini_batch:
        how = os.path.basename(path)
        print("looking at " + how, flush=True)
        if how == "raises": raise ValueError("this one is broken")
        if how == "none": return None
        if how == "text": return "predictions"
        if how == "dict": return {"id": 1}
        if how == "generator": return ({"id": p} for p in mini_batch)
        if how == "hangs": time.sleep(600)
        if how == "exits": os._exit(3)
        if how == "segfaults": ctypes.string_at(0)
        if how == "sysexit": sys.exit(4)
        if how == "systemexit": raise SystemExit("enough")
        if how == "interrupt": raise KeyboardInterrupt
        if how == "recursion": endless(0)
        if how == "spins":
            while True: pass
        if how == "memory":
            hoard = bytearray()
            while True: hoard += bytes(1 << 20)
        with open(path) as file:
            rows.append({"id": file.read()})
    return rows
"""

#: guilty file -> the failure's kind, and words of its message
WAYS = {
    "raises": ("script_raised", "this one is broken"),
    "none": ("bad_result", "None"),
    "text": ("bad_result", "str"),
    "dict": ("bad_result", "dict"),
    "generator": ("bad_result", "generator"),
    "hangs": ("timed_out", "run() took longer than 0.5 s"),
    "spins": ("timed_out", "run() took longer than 0.5 s"),
    "exits": ("worker_died", "ended with exit code 3"),
    "segfaults": ("worker_died", "killed by signal 11"),
    "sysexit": ("script_raised", "4"),
    "systemexit": ("script_raised", "enough"),
    "interrupt": ("script_raised", "KeyboardInterrupt"),
    "recursion": ("script_raised", "recursion"),
}
KEEPS_ITS_WORKER = {kind for kind, (blame, _) in WAYS.items() if blame in {"script_raised", "bad_result"}}


class Story:
    """One deployment with one worker, and one batch of the good files and a guilty one."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def play(self, *guilty: str) -> None:
        for name in [*GOOD, *guilty]:
            self.deployment.drop(name)
        daemon = self.deployment.once(within=60)
        assert daemon.process.returncode == 0, daemon.last_words()
        self.daemon = daemon

    def notes(self, what: str) -> list[str]:
        lines = (self.deployment.root / "notes").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(what)]

    def check_companions(self, *guilty: str) -> None:
        """Everyone but the guilty was scored once; the guilty were set aside and listed once."""
        deployment = self.deployment
        assert deployment.scored() == dict.fromkeys(GOOD, 1)
        assert deployment.scored_files() == dict.fromkeys(GOOD, 1)
        assert deployment.kept("quarantine") == dict.fromkeys(guilty, 1)
        assert sorted(line["path"] for line in deployment.errors()) == sorted(guilty)
        assert (deployment.waiting(), deployment.claims(), deployment.staged()) == ([], [], [])


@pytest.fixture
def story(deploy: Callable[..., Deployment]) -> Story:
    return Story(
        deploy(
            SCRIPT,
            batch={"mini_batch_size": 8},
            workers={"max_concurrency_per_instance": 1},
            retry_settings={"max_retries": 1, "timeout": 0.5},
        )
    )


@pytest.mark.parametrize("guilty", WAYS)
def test_the_guilty_file_is_found_and_its_companions_are_scored_once(story: Story, guilty: str) -> None:
    kind, words = WAYS[guilty]
    story.play(guilty)
    story.check_companions(guilty)
    [record] = story.deployment.records()
    assert record["kind"] == kind
    assert words in record["message"] + record["exception"]
    assert record["files"] == [guilty]
    assert f"looking at {guilty}" in record["log_tail"]
    assert ("in run" in record["traceback"]) == (kind == "script_raised")
    [line] = story.deployment.errors()
    assert line["reason"] == kind
    runs = story.notes("run")
    assert [len(run.split()) for run in runs if guilty in run.split()] == [8, 8, 4, 2, 1]
    inits = story.notes("init")
    if guilty in KEEPS_ITS_WORKER:
        assert len(inits) == 1
    else:
        assert len(inits) in (
            5,
            6,
        )  # each of the five attempts ended a worker; the last one may not be replaced in time


def test_without_retries_a_batch_is_halved_at_once(story: Story) -> None:
    story.deployment.configure(retry_settings={"max_retries": 0})
    story.play("raises")
    story.check_companions("raises")
    assert [len(run.split()) for run in story.notes("run") if "raises" in run] == [8, 4, 2, 1]


def test_without_bisecting_the_whole_batch_is_set_aside(story: Story) -> None:
    story.deployment.configure(retry_settings={"bisect": False, "max_retries": 2})
    story.play("raises")
    deployment = story.deployment
    assert deployment.rows() == []
    assert deployment.kept("quarantine") == dict.fromkeys([*GOOD, "raises"], 1)
    assert sorted(line["path"] for line in deployment.errors()) == [*GOOD, "raises"]
    assert [line["status"] for line in deployment.summary()] == ["quarantined"]
    assert [len(run.split()) for run in story.notes("run")] == [8, 8, 8]
    assert (deployment.waiting(), deployment.claims()) == ([], [])


def test_two_guilty_files_in_one_batch(story: Story) -> None:
    story.deployment.configure(batch={"mini_batch_size": 9})
    story.play("exits", "raises")
    story.check_companions("exits", "raises")
    assert sorted(record["kind"] for record in story.deployment.records()) == ["script_raised", "worker_died"]


def test_with_per_file_an_exception_costs_one_file_and_no_second_run_of_the_others(story: Story) -> None:
    story.deployment.configure(output={"per_file": True})
    story.play("raises")
    story.check_companions("raises")
    [record] = story.deployment.records()
    assert record["kind"] == "script_raised"
    assert "this one is broken" in record["message"]
    assert {row["file"] for row in story.deployment.rows()} == set(GOOD)
    assert all(len(run.split()) == 1 for run in story.notes("run"))


def test_with_per_file_a_file_that_kills_the_worker_is_found_too(story: Story) -> None:
    story.deployment.configure(output={"per_file": True})
    story.play("segfaults")
    story.check_companions("segfaults")


def test_a_model_that_fails_on_everything_sets_every_file_aside_once(story: Story) -> None:
    """As a batch job: the breaker, which would wait for better times, has none to wait for."""
    for name in ("r1", "r2", "r3"):
        story.deployment.drop(f"{name}/raises")
    daemon = story.deployment.once()
    assert daemon.process.returncode == 0
    assert sorted(line["path"] for line in story.deployment.errors()) == ["r1/raises", "r2/raises", "r3/raises"]


# ---------------------------------------------------------------- out of memory
@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A memory cgroup (version 1) of 60 MB."""
    top = Path("/sys/fs/cgroup/memory")
    if os.geteuid() != 0 or not (top / "memory.limit_in_bytes").exists():
        pytest.skip("takes root and a memory cgroup of version 1")
    group = top / f"scorewatch-test-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("60000000")
    yield group

    def removed() -> bool:
        try:
            group.rmdir()
        except OSError:
            return False
        return True

    until(removed, "the cgroup is empty")


def test_a_file_that_eats_all_memory_is_set_aside_after_the_third_death(story: Story, small_memory: Path) -> None:
    deployment = story.deployment
    deployment.configure(retry_settings={"max_retries": 1, "timeout": 60})
    hold = "import time, os\nwhile os.path.exists(os.path.join(HERE, 'hold')): time.sleep(0.01)\n"
    deployment.script.write_text(SCRIPT + "\n" + hold)
    (deployment.root / "hold").touch()
    daemon = deployment.start()
    confined: set[int] = set()

    def confine() -> None:
        """Each worker, before it may go on."""
        for pid in set(daemon.workers()) - confined:
            confined.add(pid)
            try:
                (small_memory / "cgroup.procs").write_text(str(pid))
            except ProcessLookupError:
                continue

    until(lambda: confine() or confined, "a first worker")
    (deployment.root / "hold").unlink()
    for name in [*GOOD, "memory"]:
        deployment.drop(name)

    def over() -> bool:
        confine()
        return bool(deployment.errors()) and len(deployment.rows()) == len(GOOD)

    until(over, "the eater is set aside and the others are scored", within=60)
    assert daemon.stops() == 0
    story.check_companions("memory")
    [record] = deployment.records()
    assert record["kind"] == "worker_died"
    assert "out of memory?" in record["message"]
    assert record["attempt"] == 3
    assert record["signal"] == signal.SIGKILL


def test_a_lone_file_is_set_aside_only_after_the_third_death_by_sigkill(story: Story) -> None:
    """SIGKILL comes from outside: it says little about the file."""
    deployment = story.deployment
    deployment.configure(retry_settings={"max_retries": 0, "timeout": 60})
    daemon = deployment.start().ready()
    deployment.drop("hangs")
    notes = deployment.root / "notes"
    for deaths in (1, 2, 3):
        until(lambda deaths=deaths: notes.read_text().count("run hangs") == deaths, "it runs")  # type: ignore[misc]
        assert deployment.errors() == []
        [worker] = daemon.workers()
        os.kill(worker, signal.SIGKILL)
    until(deployment.errors, "it is set aside")
    assert daemon.stops() == 0
    assert deployment.kept("quarantine") == {"hangs": 1}
    assert deployment.records()[0]["attempt"] == 3
