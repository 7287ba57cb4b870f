"""Every command, tried from outside as users do: the installed program, its exit codes, and what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = (sys.executable, str(Path(sys.executable).with_name("scorewatch")))
PATIENCE_S = 60.0
NASTY = b"odd\n\x1b[31m\xff.txt"

PICKY = """
import os
def init():
    print("init was here")
def run(mini_batch):
    for path in mini_batch:
        if "poison" in os.path.basename(path):
            raise ValueError("poison \\x1b[31m in " + os.path.basename(path))
    return [{"size": os.path.getsize(path)} for path in mini_batch]
"""
HANGS = "import time\ndef run(mini_batch):\n    time.sleep(3600)\n"
BROKEN = "def init():\n    raise RuntimeError('no model \\x1b[31m here')\ndef run(mini_batch):\n    return mini_batch\n"
DIES = "import os\ndef run(mini_batch):\n    print('last words', flush=True)\n    os._exit(7)\n"


class Kit:
    """A deployment made by `init`, and the program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "scorewatch.toml"
        self.inbox = folder / "inbox"
        self.say("init", str(folder))

    def call(self, *arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
        environment = {name: value for name, value in os.environ.items() if name != "SCOREWATCH_DEBUG"}
        return subprocess.run(
            [*PROGRAM, *arguments], capture_output=True, check=False, timeout=PATIENCE_S, cwd="/", env=environment
        )

    def say(self, *arguments: str | bytes, code: int = 0) -> str:
        """What it prints, if it ends with this exit code; nothing of a traceback or an escape code is in it."""
        ended = self.call(*arguments)
        assert ended.returncode == code, ended.stderr.decode(errors="replace")
        assert b"\x1b" not in ended.stdout + ended.stderr
        return ended.stdout.decode()

    def json(self, command: str, *arguments: str | bytes, code: int = 0) -> dict[str, Any]:
        """The one JSON object that it prints."""
        found = json.loads(self.say(command, str(self.config), *arguments, "--json", code=code))
        assert isinstance(found, dict)
        return found

    def script(self, text: str) -> None:
        (self.folder / "code" / "score.py").write_text(text)

    def change(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def once(self, code: int = 0) -> dict[str, Any]:
        return self.json("run", "--once", code=code)

    def tree(self) -> dict[str, tuple[int, int]]:
        """Everything that lies in the deployment, with its size and time of change."""
        found = {}
        for folder, folders, files in os.walk(self.folder):
            for name in (*folders, *files):
                path = os.path.join(folder, name)  # noqa: PTH118 - names are any bytes
                seen = os.lstat(path)
                if name != "__pycache__" and "__pycache__" not in folder:
                    found[path] = (seen.st_size, seen.st_mtime_ns if name in files else 0)
        return found


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path / "d")


@pytest.fixture
def daemon(kit: Kit) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts the daemon, and waits until its status says that it runs."""
    started = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*PROGRAM, "run", str(kit.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        started.append(process)
        deadline = time.monotonic() + PATIENCE_S
        while kit.json("status")["daemon"]["phase"] != "running":
            assert time.monotonic() < deadline, "it never ran"
            assert process.poll() is None, "it ended"
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


# ---------------------------------------------------------------- the way of a file
def test_from_init_to_collect(kit: Kit, tmp_path: Path) -> None:
    assert kit.once() == {
        "scored": 3,
        "failed": 0,
        "skipped": 0,
        "left": 0,
        "unsettled": [],
        "outbox": str(kit.folder / "outbox"),
    }
    status = kit.json("status")
    assert status["files"] == {"waiting": 0, "claimed": 0, "running": 0, "done": 3, "quarantined": 0, "skipped": 0}
    assert status["health"] == []
    told = kit.json("explain", "fox.txt")
    assert Path(told["path"]).is_dir()
    assert told["batches"][0]["output"] == told["path"]
    assert [Path(path).name for path in told["done"]] == ["fox.txt"]
    target = tmp_path / "all.csv"
    assert kit.json("collect", "--to", str(target)) == {"path": str(target), "rows": 3, "batches": 1, "since": None}
    assert len(target.read_text().splitlines()) == 4
    assert kit.json("collect", "--to", str(target), "--since", "2100-01-01")["batches"] == 0


def test_success_ends_with_the_path_of_what_was_made(kit: Kit, tmp_path: Path) -> None:
    target = tmp_path / "all.jsonl"
    assert kit.say("run", str(kit.config), "--once").splitlines()[-1] == f"3 files scored: {kit.folder / 'outbox'}"
    assert kit.say("collect", str(kit.config), "--to", str(target)).splitlines()[-1].endswith(f": {target}")


def test_a_poisoned_file_is_quarantined_explained_put_back_and_scored_once_the_script_is_mended(kit: Kit) -> None:
    kit.script(PICKY)
    (kit.inbox / "poison.txt").write_text("p")
    kit.change("max_retries = 3", "max_retries = 0")
    assert (once := kit.once())["scored"] == 3
    assert once["failed"] == 1
    assert [each["path"] for each in kit.json("status")["set_aside"]] == ["poison.txt"]

    told = kit.json("explain", "poison.txt")
    assert Path(told["path"]).name == "_error.json"
    assert "ValueError" in told["quarantine"][0]["traceback"]
    assert [batch["outcome"] for batch in told["batches"]] == ["split", "split", "quarantined"]
    story = kit.say("explain", str(kit.config), "poison.txt")
    assert "in quarantine" in story.splitlines()[-1]
    assert "ValueError: poison \\x1b[31m in poison.txt" in story

    (kit.inbox / "poison.txt").write_text("another one of this name")
    refused = kit.json("retry", "poison.txt", code=1)
    assert (refused["back"], refused["files"][0]["why"]) == (0, "a file of this name is in the inbox")
    assert (kit.inbox / "poison.txt").read_text() == "another one of this name"
    (kit.inbox / "poison.txt").unlink()

    assert kit.json("retry", "--all")["back"] == 1
    assert kit.json("explain", "poison.txt")["verdict"] == "waits in the inbox"
    kit.script(PICKY.replace("poison", "something else"))
    assert kit.once()["scored"] == 1
    assert kit.json("explain", "poison.txt")["verdict"] == "scored; its result"
    assert kit.json("status")["files"]["quarantined"] == 0


def test_names_of_any_bytes_come_through_and_are_spelled_out_for_humans(kit: Kit) -> None:
    (Path(os.fsdecode(os.fsencode(kit.inbox) + b"/" + NASTY))).write_text("x")
    assert kit.json("explain", NASTY)["verdict"] == "waits in the inbox"
    kit.once()
    told = kit.json("explain", NASTY)
    assert os.fsencode(told["file"]) == NASTY
    assert told["verdict"] == "scored; its result"
    assert "odd\\n\\x1b[31m\\udcff.txt" in kit.say("explain", str(kit.config), NASTY)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("a.tmp", "lies in the inbox and is never taken: its name matches *.tmp"),
        (".hidden", "lies in the inbox and is never taken: its name matches .*"),
        ("never", "never seen: nothing here knows a file of this name"),
    ],
)
def test_what_is_never_taken_is_explained(kit: Kit, name: str, verdict: str) -> None:
    for each in ("a.tmp", ".hidden"):
        (kit.inbox / each).write_text("x")
    assert kit.json("explain", name)["verdict"] == verdict
    assert kit.json("explain", str(kit.inbox / name))["verdict"] == verdict


def test_a_name_that_was_never_seen_brings_the_one_that_was_meant(kit: Kit) -> None:
    (kit.inbox / "sub").mkdir()
    (kit.inbox / "sub" / "order.csv").write_text("x")
    assert kit.json("explain", "order.csv")["nearest"] == "sub/order.csv"
    kit.once()
    assert kit.json("explain", "order.csv")["nearest"] == "sub/order.csv"
    assert kit.say("explain", str(kit.config), "fxo.txt").splitlines()[-1] == "  did you mean fox.txt?"
    assert kit.json("explain", "entirely-other")["nearest"] is None
    assert kit.json("explain", "fox.txt")["nearest"] is None


def test_a_skipped_link_is_explained(kit: Kit) -> None:
    (kit.inbox / "link").symlink_to("/etc/passwd")
    assert "will be skipped" in kit.json("explain", "link")["verdict"]
    assert kit.once()["skipped"] == 1
    assert kit.json("explain", "link")["verdict"].startswith("skipped: a symbolic link")


def test_a_file_that_is_being_written_is_left_and_listed(kit: Kit) -> None:
    with (kit.inbox / "slow.txt").open("w") as file:
        file.write("half")
        file.flush()
        assert kit.json("explain", "slow.txt")["verdict"] == "still being written"
        once = kit.once()
    assert (once["scored"], once["left"], once["unsettled"]) == (3, 1, ["slow.txt"])


def test_in_an_inbox_that_is_never_written_a_scored_file_does_not_wait(kit: Kit) -> None:
    kit.change("[inbox]", '[inbox]\nclaim = "ledger"\nafter = "keep"')
    kit.once()
    assert kit.json("status")["files"]["waiting"] == 0
    assert kit.json("explain", "fox.txt")["verdict"] == "scored; its result"
    (kit.inbox / "fox.txt").write_text("another content")
    assert kit.json("explain", "fox.txt")["verdict"] == "waits in the inbox"
    assert not (kit.inbox / ".scorewatch").exists()


def test_a_new_ledger_that_knows_nothing_is_helped_out_by_the_outbox(kit: Kit) -> None:
    kit.once()
    for part in kit.folder.glob("state/ledger.db*"):
        part.unlink()
    told = kit.json("explain", "fox.txt")
    assert told["batches"] == []
    assert Path(told["path"]).is_dir()


# ---------------------------------------------------------------- check
def test_check_scores_and_changes_nothing(kit: Kit) -> None:
    before = kit.tree()
    found = kit.json("check", *map(str, sorted(kit.inbox.iterdir())))
    assert kit.tree() == before
    assert [row["file"] for row in found["rows"]] == ["fox.txt", "one-line.txt", "prices.csv"]
    assert found["failed"] == 0
    assert set(found["scorer"]["seconds"]) == {"start", "init"}
    assert set(found["batches"][0]["seconds"]) == {"load", "run", "write"}


@pytest.mark.parametrize("form", ["csv", "jsonl", "azure"])
def test_check_shows_rows_in_every_format(kit: Kit, form: str) -> None:
    kit.change('format = "parquet"', f'format = "{form}"')
    found = kit.json("check", str(kit.inbox / "fox.txt"))
    assert found["failed"] == 0
    assert "45" in json.dumps(found["rows"])


def test_check_takes_mini_batches_of_the_configured_size(kit: Kit) -> None:
    kit.change("mini_batch_size = 10", "mini_batch_size = 2")
    found = kit.json("check", *map(str, sorted(kit.inbox.iterdir())))
    assert [len(batch["files"]) for batch in found["batches"]] == [2, 1]


def test_a_scorer_that_cannot_be_loaded_is_three_with_its_own_traceback(kit: Kit) -> None:
    kit.script(BROKEN)
    ended = kit.call("check", str(kit.config))
    assert ended.returncode == 3
    assert b"RuntimeError: no model \\x1b[31m here" in ended.stderr
    assert b"score.py" in ended.stderr
    assert b"scorewatch/worker" not in ended.stderr
    error = kit.json("check", code=3)["error"]
    assert error["exit_code"] == 3
    assert "RuntimeError" in error["traceback"]


def test_a_file_that_fails_is_one_with_its_traceback_and_the_others_are_scored(kit: Kit) -> None:
    kit.script(PICKY)
    kit.change("mini_batch_size = 10", "mini_batch_size = 1")
    (kit.inbox / "poison.txt").write_text("p")
    found = kit.json("check", str(kit.inbox / "poison.txt"), str(kit.inbox / "fox.txt"), code=1)
    assert found["failed"] == 1
    assert "ValueError" in found["batches"][0]["failure"]["traceback"]
    assert found["batches"][1]["succeeded"] == 1


def test_a_script_that_hangs_is_ended_by_its_timeout(kit: Kit) -> None:
    kit.script(HANGS)
    kit.change("timeout = 30", "timeout = 0.5")
    kit.change("mini_batch_size = 10", "mini_batch_size = 1")
    found = kit.json("check", *map(str, sorted(kit.inbox.iterdir())), code=1)
    assert found["batches"][0]["failure"]["kind"] == "timed_out"
    assert found["failed"] == 3
    assert len(found["untried"]) == 2


def test_a_script_that_ends_its_process_is_told_with_its_last_words(kit: Kit) -> None:
    kit.script(DIES)
    failure = kit.json("check", str(kit.inbox / "fox.txt"), code=1)["batches"][0]["failure"]
    assert "exit code 7" in failure["message"]
    assert "last words" in failure["log_tail"]


@pytest.mark.parametrize("name", ["nothing-here.txt", "."])
def test_check_refuses_what_is_no_file(kit: Kit, name: str) -> None:
    assert kit.json("check", str(kit.inbox / name), code=2)["error"]["where"].startswith(str(kit.inbox))


def test_check_says_that_the_inbox_is_not_there_and_how_run_will_end(kit: Kit) -> None:
    kit.inbox.rename(kit.folder / "away")
    (warning,) = kit.json("check")["warnings"]
    assert warning == f"the inbox {kit.inbox} is not there: make it, or `scorewatch run` will end with exit code 6"
    assert f"  ! {warning}" in kit.say("check", str(kit.config)).splitlines()
    assert kit.json("run", code=6)["error"]["exit_code"] == 6


# ---------------------------------------------------------------- beside a running daemon
def test_beside_a_daemon_status_shows_it_and_no_rebuild_is_made(
    kit: Kit, daemon: Callable[[], subprocess.Popen[bytes]]
) -> None:
    process = daemon()
    status = kit.json("status")
    assert (status["daemon"]["alive"], status["daemon"]["pid"]) == (True, process.pid)
    assert all(Path(worker["stderr"]).is_file() for worker in status["workers"])
    refused = json.loads(kit.say("ledger", "rebuild", str(kit.config), "--json", code=5))
    assert refused["error"]["exit_code"] == 5
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert kit.json("status")["daemon"] | {"updated_at": "", "started_at": ""} == {
        "alive": False,
        "pid": None,
        "phase": "not running",
        "version": 1,
        "started_at": "",
        "updated_at": "",
        "ended_well": True,
    }


def test_a_daemon_that_was_killed_is_not_running_and_did_not_end_well(
    kit: Kit, daemon: Callable[[], subprocess.Popen[bytes]]
) -> None:
    process = daemon()
    process.kill()
    process.wait()
    assert kit.json("status")["daemon"]["ended_well"] is False


# ---------------------------------------------------------------- the ledger, the doctor, the schema
def test_a_lost_state_is_rebuilt_and_nothing_is_scored_twice(kit: Kit) -> None:
    kit.once()
    for path in sorted((kit.folder / "state").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (kit.folder / "state").rmdir()
    assert kit.json("run", "--once", code=6)["error"]["exit_code"] == 6
    made = json.loads(kit.say("ledger", "rebuild", str(kit.config), "--json"))
    assert (made["open_batches"], made["committed"], made["quarantined"]) == (0, 1, 0)
    assert kit.once()["scored"] == 0
    assert kit.json("explain", "fox.txt")["verdict"] == "scored; its result"


def test_the_doctor_finds_a_fresh_deployment_fit_and_leaves_it_alone(kit: Kit) -> None:
    before = kit.tree()
    found = kit.json("doctor")
    assert kit.tree() == before
    assert found["bad"] == 0
    assert {"kernel", "inbox", "outbox", "state", "workers", "gpu", "clock"} <= {f["about"] for f in found["findings"]}


def test_the_doctor_ends_with_six_where_something_is_bad(kit: Kit) -> None:
    kit.inbox.rename(kit.folder / "away")
    assert kit.json("doctor", code=6)["bad"] == 1


def test_the_schema_is_one_of_json(kit: Kit) -> None:
    assert json.loads(kit.say("schema"))["properties"].keys() >= {"deployment", "inbox", "output"}


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    "arguments",
    [["status"], ["check"], ["explain", "x"], ["retry", "--all"], ["run"], ["doctor"], ["collect", "--to", "x.csv"]],
)
def test_a_configuration_that_is_not_there_is_two_and_a_sentence(kit: Kit, arguments: list[str]) -> None:
    command, *rest = arguments
    told = json.loads(kit.say(command, "/nowhere/scorewatch.toml", *rest, "--json", code=2))["error"]
    assert (told["what"], told["where"]) == ("there is no such file", "/nowhere/scorewatch.toml")


def test_init_never_writes_over_anything(kit: Kit) -> None:
    assert "nothing is overwritten" in json.loads(kit.say("init", str(kit.folder), "--json", code=2))["error"]["what"]


def test_retry_wants_to_know_what(kit: Kit) -> None:
    assert kit.json("retry", code=2)["error"]["exit_code"] == 2
    assert kit.json("retry", "a", "--all", code=2)["error"]["exit_code"] == 2
