"""The worker program, driven over its socket as the daemon does."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scorewatch.worker import messages

PROGRAM = Path(messages.__file__).with_name("__main__.py")
WAIT = 30.0  # seconds; a machine under load


class Annex:
    """One worker process and our end of its socket."""

    def __init__(self, tmp: Path, python: str = sys.executable, **init: Any) -> None:
        self.inbox = tmp / "claim"
        self.staging = tmp / "outbox" / ".staging" / "7-1"
        self.scratch = tmp / "scratch"
        self.code = tmp / "code"
        for folder in (self.inbox, self.scratch, self.code):
            folder.mkdir(parents=True, exist_ok=True)
        self.log = tmp / "log.txt"
        self._ours, theirs = socket.socketpair()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, str(PROGRAM), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=tmp,
            )
        theirs.close()
        self._splitter = messages.Splitter()
        self._heard: deque[dict[str, Any]] = deque()
        fields = {"code": str(self.code), "script": "score.py", "deployment": "d", "durability": "process"}
        self.init = {**fields, "staging": str(self.staging), "scratch": str(self.scratch), **init}

    def say(self, do: str, **fields: Any) -> None:
        self._ours.sendall(messages.encode({"do": do, **fields}))

    def hear(self, *expected: str, within: float = WAIT) -> dict[str, Any]:
        while not self._heard:
            assert select.select([self._ours], [], [], within)[0], f"silence; log: {self.logged()}"
            data = self._ours.recv(65536)
            assert data, f"it ended with {self.process.wait(WAIT)}; log: {self.logged()}"
            self._heard.extend(self._splitter.feed(data))
        message = self._heard.popleft()
        assert not expected or message["say"] in expected, f"{message}; log: {self.logged()}"
        return message

    def hears_nothing(self, within: float) -> bool:
        return not self._heard and not select.select([self._ours], [], [], within)[0]

    def hears_the_end(self) -> bool:
        return bool(select.select([self._ours], [], [], WAIT)[0]) and not self._ours.recv(1)

    def load(self) -> dict[str, Any]:
        self.hear("hello")
        self.say("init", **self.init)
        return self.hear("ready", "init_failed")

    def order(self, batch: str, files: dict[str, str], **more: Any) -> None:
        for name, content in files.items():
            (self.inbox / name).parent.mkdir(parents=True, exist_ok=True)
            (self.inbox / name).write_text(content)
        order = {"dispatch": 1, "index": 0, "root": str(self.inbox), "timeout_s": WAIT, "schema": [], **more}
        self.say("run", batch_id=batch, files=list(files), **order)

    def settle(self) -> dict[str, Any]:
        """Hear one batch to its end, granting whatever schema is asked for."""
        schema: list[list[str]] = []
        while True:
            message = self.hear()
            if message["say"] == "schema":
                schema += message["columns"]
                which = {"batch_id": message["batch_id"], "dispatch": message["dispatch"]}
                self.say("schema", **which, columns=schema)
            elif message["say"] in {"done", "failed"}:
                return message

    def run(self, batch: str, files: dict[str, str], **more: Any) -> dict[str, Any]:
        self.order(batch, files, **more)
        return self.settle()

    def stop(self) -> int:
        self.say("stop")
        return self.process.wait(WAIT)

    def hang_up(self) -> None:
        self._ours.close()

    def logged(self) -> str:
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        self._ours.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WAIT)


@pytest.fixture
def annex(tmp_path: Path) -> Any:
    made: list[Annex] = []

    def make(source: str, **init: Any) -> Annex:
        worker = Annex(tmp_path / str(len(made)), **init)
        made.append(worker)
        (worker.code / "score.py").write_text(source)
        return worker

    yield make
    for worker in made:
        worker.close()


def names_in(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


UPPER = """
import os
def run(mini_batch):
    return [open(path).read().upper() for path in mini_batch]
"""


def test_a_batch_becomes_a_parquet_file(annex: Any) -> None:
    worker = annex(UPPER)
    assert worker.load()["say"] == "ready"
    done = worker.run("b1", {"a.txt": "x", "sub/b.txt": "y"})
    assert (done["rows"], done["succeeded"], done["failed_files"]) == (2, 2, [])
    assert done["staging"] == f"{worker.staging}/b1.1"
    table = pq.read_table(Path(done["staging"]) / "predictions.parquet")
    assert table.to_pydict() == {"prediction": ["X", "Y"], "file": ["a.txt", "sub/b.txt"]}
    size = (Path(done["staging"]) / "predictions.parquet").stat().st_size
    assert done["outputs"] == [{"name": "predictions.parquet", "size_bytes": size}]
    assert worker.stop() == 0


def test_the_handshake_tells_who_it_is(annex: Any) -> None:
    worker = annex(UPPER, model=None)
    hello = worker.hear("hello")
    assert hello["pid"] == worker.process.pid
    assert hello["executable"] == sys.executable
    worker.say("init", **worker.init)
    ready = worker.hear("ready")
    assert ready["rss_bytes"] > 1_000_000
    assert ready["init_s"] > 0
    assert ready["script_sha256"] == hashlib.sha256(UPPER.encode()).hexdigest()


TELL = """
import json, os, sys
def run(mini_batch):
    seen = sorted(m for m in sys.modules if m.startswith("scorewatch") or m.startswith("_scorewatch"))
    import messages, scoring
    return [{
        "argv": json.dumps(sys.argv), "path": json.dumps(sys.path), "cwd": os.getcwd(), "modules": json.dumps(seen),
        "theirs": scoring.WHOSE + messages.WHOSE, "task_id": mini_batch.task_id, "list": isinstance(mini_batch, list),
        "env": json.dumps(dict(os.environ)), "model": json.dumps(sorted(os.listdir(os.environ["AZUREML_MODEL_DIR"]))),
        "score": open(os.environ["AZUREML_MODEL_DIR"] + "/weights.bin").read(), "name": __name__,
        "oom": open("/proc/self/oom_score_adj").read().strip(),
    }]
"""


def test_a_script_finds_what_azure_promises_and_nothing_of_ours(annex: Any, tmp_path: Path) -> None:
    model = tmp_path / "weights.bin"
    model.write_text("w")
    worker = annex(
        TELL,
        format="jsonl",
        output_file_name="predictions.jsonl",
        model=str(model),
        arguments=["--threshold", "0.5"],
        environment_variables={"MINE": "1"},
        run_id="run-7",
        mini_batch_size=32,
        run_max_try=4,
    )
    for name in ("scoring", "messages"):
        (worker.code / f"{name}.py").write_text("WHOSE = 'theirs'\n")
    assert worker.load()["say"] == "ready"
    done = worker.run("b", {"a": ""}, index=41)
    row = json.loads((Path(done["staging"]) / "predictions.jsonl").read_text())
    argv, env = json.loads(row["argv"]), json.loads(row["env"])
    assert argv[0] == "driver/amlbi_main.py"
    assert argv[-2:] == ["--threshold", "0.5"]
    flags = dict(zip(argv[1:-2:2], argv[2:-2:2], strict=True))
    assert flags["--logging_level"] == "INFO"
    assert (flags["--mini_batch_size"], flags["--run_max_try"]) == ("32", "4")
    assert flags["--append_row_file_name"] == "predictions.jsonl"
    path = json.loads(row["path"])
    assert path[0] == str(worker.code)
    assert str(PROGRAM.parent) not in path
    assert all(name.startswith("_scorewatch_worker") for name in json.loads(row["modules"]))
    assert (row["theirs"], row["task_id"], row["list"], row["name"]) == ("theirstheirs", "41", True, "score")
    assert row["cwd"] == str(worker.scratch)
    assert env["AZUREML_BI_OUTPUT_PATH"] == f"{worker.staging}/out"
    assert (env["MINE"], env["AZUREML_RUN_ID"], env["AZUREML_NODE_COUNT"]) == ("1", "run-7", "1")
    assert json.loads(row["model"]) == ["weights.bin"]
    assert row["score"] == "w"
    assert int(row["oom"]) >= 500


@pytest.mark.parametrize(
    ("script", "said", "kind"),
    [
        ("def run(m:\n", "a syntax error in score.py, line 1", "script_raised"),
        ("import no_such_thing\ndef run(m): return []", "could not be imported: ModuleNotFoundError", "script_raised"),
        ("def init(): pass", "has no run(mini_batch)", "script_raised"),
        ("def init(): raise ValueError('no weights')\ndef run(m): return []", "init() of the scoring script raised V", "script_raised"),  # noqa: E501 - one case a line
        ("def init(): raise SystemExit(3)\ndef run(m): return []", "init() of the scoring script called sys.exit(3)", "script_raised"),  # noqa: E501 - as above
        ("raise KeyboardInterrupt\n", "could not be imported: KeyboardInterrupt", "script_raised"),
        ("def run(): return []", "run() must take the mini-batch", "script_raised"),
        ("def run(a, b, c): return []", "run() must take (mini_batch) or (mini_batch, context)", "script_raised"),
        ("def init():\n try:\n  raise OSError(28, 'full')\n except OSError as e:\n  raise RuntimeError('x') from e\ndef run(m): return []", "raised RuntimeError: x", "environment"),  # noqa: E501 - as above
    ],
)  # fmt: skip
def test_a_script_that_cannot_be_loaded_is_told_in_a_sentence(annex: Any, script: str, said: str, kind: str) -> None:
    worker = annex(script, format="csv")
    answer = worker.load()
    assert answer["say"] == "init_failed"
    assert said in answer["message"]
    assert answer["kind"] == kind
    assert "_scorewatch_worker" not in answer["traceback"]
    assert str(PROGRAM.parent) not in answer["traceback"]
    assert worker.process.wait(WAIT) == 3


def test_a_missing_script_is_told_in_a_sentence(annex: Any) -> None:
    worker = annex(UPPER, script="other.py")
    assert f"the scoring script does not exist: {worker.code}/other.py" in worker.load()["message"]


def test_the_traceback_begins_in_the_users_code(annex: Any) -> None:
    worker = annex("def run(m):\n    return deeper(m)\ndef deeper(m):\n    return 1 / 0\n", format="csv")
    worker.load()
    failed = worker.run("b", {"a": ""})
    assert (failed["say"], failed["kind"], failed["exception"]) == ("failed", "script_raised", "ZeroDivisionError")
    assert failed["message"] == "run() of the scoring script raised ZeroDivisionError: division by zero"
    lines = failed["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "score.py" in lines[1]
    assert "in run" in lines[1]


@pytest.mark.parametrize("raising", ["raise SystemExit(1)", "raise KeyboardInterrupt", "raise MemoryError"])
def test_whatever_run_raises_the_worker_lives_on_and_init_is_not_called_again(annex: Any, raising: str) -> None:
    script = f"inits = 0\ndef init():\n    global inits\n    inits += 1\ndef run(m):\n    if 'bad' in m[0]: {raising}\n    return [inits]"  # noqa: E501 - one script
    worker = annex(script, format="jsonl", output_file_name="p.jsonl")
    worker.load()
    assert worker.run("b1", {"bad": ""})["kind"] == "script_raised"
    assert not (worker.staging / "b1.1").exists()
    done = worker.run("b2", {"good": ""})
    assert json.loads((Path(done["staging"]) / "p.jsonl").read_text())["prediction"] == 1


@pytest.mark.parametrize("no", ["ENOSPC", "EMFILE", "EIO", "EROFS", "ESTALE", "EDQUOT", "ENFILE"])
def test_a_machine_in_trouble_blames_no_file(annex: Any, no: str) -> None:
    worker = annex(f"import errno\ndef run(m):\n    raise OSError(errno.{no}, 'trouble')", format="csv")
    worker.load()
    assert worker.run("b", {"a": ""})["kind"] == "environment"


def test_a_missing_file_is_the_scripts_own_error(annex: Any) -> None:
    worker = annex("def run(m):\n    open('/nowhere')", format="csv")
    worker.load()
    assert worker.run("b", {"a": ""})["kind"] == "script_raised"


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        ("None", "None (NoneType)"),
        ("'text'", "'text' (str)"),
        ("{'a': 1}", "{'a': 1} (dict)"),
        ("iter([1])", "(list_it"),
    ],
)
def test_what_azure_refuses_is_refused_in_its_words(annex: Any, returned: str, shown: str) -> None:
    worker = annex(f"def run(m):\n    return {returned}", format="csv")
    worker.load()
    failed = worker.run("b", {"a": ""})
    assert failed["kind"] == "bad_result"
    assert failed["message"].startswith("run() should return a list or a pandas DataFrame; it returned ")
    assert shown in failed["message"]


def test_files_of_the_script_move_with_its_batch(annex: Any) -> None:
    script = """
import os
OUT = os.environ["AZUREML_BI_OUTPUT_PATH"]
def init():
    os.makedirs(OUT + "/masks/deep")
def run(m):
    for path in m:
        with open(f"{OUT}/masks/{os.path.basename(path)}.txt", "w") as file:
            file.write(os.path.basename(path))
    if "bad" in m[0]:
        raise ValueError
    return m if "none" not in m[0] else m
"""
    worker = annex(script, format="azure", output_file_name="predictions.csv", durability="power")
    worker.load()
    first = worker.run("b1", {"a": "", "b": ""})
    names = [output["name"] for output in first["outputs"]]
    assert names == ["_files/masks/a.txt", "_files/masks/b.txt", "predictions.csv"]
    assert worker.run("b2", {"bad": ""})["kind"] == "script_raised"
    second = worker.run("b3", {"c": ""})
    assert [output["name"] for output in second["outputs"]] == ["_files/masks/c.txt", "predictions.csv"]
    assert sorted(path.name for path in worker.staging.iterdir()) == ["b1.1", "b3.1", "out"]
    assert sorted(str(p.relative_to(worker.staging)) for p in (worker.staging / "out").rglob("*")) == [
        "out/masks",
        "out/masks/deep",
    ]


def test_without_files_of_the_script_there_is_no_files_folder(annex: Any) -> None:
    worker = annex(UPPER, format="csv", output_file_name="p.csv")
    worker.load()
    done = worker.run("b", {"a": "x"})
    assert names_in(done["staging"]) == ["p.csv"]


def test_in_summary_only_the_scripts_files_are_the_batch(annex: Any) -> None:
    script = """
import os
def run(m):
    open(os.environ["AZUREML_BI_OUTPUT_PATH"] + "/x.bin", "wb").close()
    return m[:1]
"""
    worker = annex(script, output_action="summary_only")
    worker.load()
    done = worker.run("b", {"a": "", "b": ""})
    assert (done["rows"], done["succeeded"]) == (1, 1)
    assert done["outputs"] == [{"name": "x.bin", "size_bytes": 0}]
    assert "which of them failed can't be known" in done["note"]
    assert names_in(done["staging"]) == ["x.bin"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("globals()['kept'] = open(OUT + '/kept.txt', 'w')", "'kept.txt'; close it"),
        ("globals().setdefault('kept', open(OUT + '/kept.txt', 'a')); os.unlink(OUT + '/kept.txt'); open(OUT + '/b', 'w').close()", "'kept.txt'; close it"),  # noqa: E501 - one case a line
        ("os.symlink('/etc/passwd', OUT + '/link')", "'link' in $AZUREML_BI_OUTPUT_PATH, which is no plain file"),
        ("os.mkfifo(OUT + '/pipe')", "'pipe' in $AZUREML_BI_OUTPUT_PATH, which is no plain file"),
        ("os.rmdir(OUT); os.symlink('/etc', OUT)", "a symbolic link in the place of"),
    ],
)  # fmt: skip
def test_only_plain_closed_files_are_published(annex: Any, body: str, said: str) -> None:
    script = f"import os\nOUT = os.environ['AZUREML_BI_OUTPUT_PATH']\ndef run(m):\n    if 'bad' in m[0]:\n        {body}\n    return m"  # noqa: E501 - one script
    worker = annex(script, format="csv")
    worker.load()
    failed = worker.run("b1", {"bad": ""})
    assert (failed["say"], failed["kind"]) == ("failed", "bad_result")
    assert said in failed["message"]
    assert names_in(worker.staging / "out") == []
    assert Path("/etc/passwd").exists()


def test_a_file_that_init_keeps_open_fails_every_batch_and_loses_nothing_silently(annex: Any) -> None:
    script = """
import os
def init():
    global log
    log = open(os.environ["AZUREML_BI_OUTPUT_PATH"] + "/log.csv", "w")
def run(m):
    log.write("row"); log.flush()
    return m
"""
    worker = annex(script, format="csv")
    worker.load()
    for batch in ("b1", "b2"):
        assert "'log.csv'" in worker.run(batch, {"a": ""})["message"]


def test_a_file_held_only_by_a_cycle_is_no_open_file(annex: Any) -> None:
    script = """
import gc, os
gc.disable()
def run(m):
    file = open(os.environ["AZUREML_BI_OUTPUT_PATH"] + "/a", "w")
    file.write("whole")
    ring = [file]; ring.append(ring)
    return m
"""
    worker = annex(script, format="csv", output_file_name="p.csv")
    worker.load()
    done = worker.run("b", {"a": ""})
    assert {"name": "_files/a", "size_bytes": 5} in done["outputs"]


def test_of_very_many_files_as_many_are_listed_as_a_message_can_name(annex: Any) -> None:
    script = """
import os
def run(m):
    for n in range(10_001):
        os.mknod(f"{os.environ['AZUREML_BI_OUTPUT_PATH']}/{n:05}")
    return m
"""
    worker = annex(script, output_action="summary_only")
    worker.load()
    done = worker.run("b", {"a": ""})
    assert len(done["outputs"]) == 10_000
    assert done["unlisted"] == 1
    assert "only 10000 of 10001 files" in done["note"]


def test_of_files_with_long_names_fewer_are_listed_and_the_rows_first(annex: Any) -> None:
    script = """
import os
def run(m):
    for n in range(4200):
        os.mknod(f"{os.environ['AZUREML_BI_OUTPUT_PATH']}/{n:04}" + "\u20ac" * 80)
    return m
"""
    worker = annex(script, format="csv", output_file_name="zzz.csv", durability="process")
    worker.load()
    done = worker.run("b", {"a": ""})
    assert done["unlisted"] > 0
    assert len(done["outputs"]) + done["unlisted"] == 4201
    assert done["outputs"][-1]["name"] == "zzz.csv"


def test_staging_that_cannot_be_made_is_the_machines_fault(annex: Any) -> None:
    worker = annex(UPPER)
    worker.staging.mkdir(parents=True)  # a path is never used twice
    answer = worker.load()
    assert (answer["say"], answer["kind"]) == ("init_failed", "environment")
    assert "the worker could not get ready: FileExistsError" in answer["message"]


def test_per_file_an_exception_costs_one_file(annex: Any) -> None:
    script = "def run(m):\n    assert len(m) == 1\n    if 'bad' in m[0]: raise ValueError('torn')\n    return [1, 2]"
    worker = annex(script, per_file=True, format="csv", output_file_name="p.csv")
    worker.load()
    done = worker.run("b1", {"a": "", "bad": "", "c": ""})
    assert (done["rows"], done["succeeded"]) == (4, 2)
    assert done["failed_files"] == [["bad", "run() of the scoring script raised ValueError: torn"]]
    assert (Path(done["staging"]) / "p.csv").read_text() == "prediction,file\n1,a\n2,a\n1,c\n2,c\n"
    failed = worker.run("b2", {"bad1": "", "bad2": ""})
    assert (failed["kind"], failed["file"]) == ("script_raised", "bad1")
    assert "torn" in failed["traceback"]


SLOW = """
import os, time
def run(m):
    while "slow" in m[0] and not os.path.exists(m[0] + ".go"):
        time.sleep(0.005)
    return m
def shutdown():
    print("last call", flush=True)
"""


def test_a_waiting_order_can_be_withdrawn_a_started_one_not(annex: Any) -> None:
    worker = annex(SLOW, format="csv")
    worker.load()
    worker.order("b1", {"slow": ""})
    worker.order("b2", {"b": ""})
    assert worker.hear("start")["batch_id"] == "b1"
    worker.say("withdraw", batch_id="b1", dispatch=1)
    worker.say("withdraw", batch_id="b2", dispatch=2)  # another hand-out: not this one
    worker.say("withdraw", batch_id="b2", dispatch=1)
    assert worker.hear("returned") == {"say": "returned", "batch_id": "b2", "dispatch": 1}
    (worker.inbox / "slow.go").touch()
    assert worker.settle()["say"] == "done"


def test_stop_ends_what_was_started_and_returns_the_rest(annex: Any) -> None:
    worker = annex(SLOW, format="csv")
    worker.load()
    worker.order("b1", {"slow": ""})
    worker.order("b2", {"b": ""})
    worker.hear("start")
    worker.say("stop")
    assert worker.hear("returned")["batch_id"] == "b2"
    worker.order("b3", {"c": ""})
    assert worker.hear("returned")["batch_id"] == "b3"
    (worker.inbox / "slow.go").touch()
    assert worker.settle()["batch_id"] == "b1"
    assert worker.process.wait(WAIT) == 0
    assert worker.logged().count("last call") == 1


def test_the_next_run_starts_while_rows_wait_for_the_schema(annex: Any) -> None:
    worker = annex(UPPER)
    worker.load()
    for batch in ("b1", "b2", "b3"):
        worker.order(batch, {batch: "x"})
    for expected, batch in (("start", "b1"), ("ran", "b1")):
        assert (worker.hear(expected))["batch_id"] == batch
    heard = sorted((m["say"], m["batch_id"]) for m in (worker.hear() for _ in range(3)))
    assert heard == [("ran", "b2"), ("schema", "b1"), ("start", "b2")]
    assert worker.hears_nothing(0.2)  # b3 waits: one is being written, one is waiting
    columns = [["prediction", "string"], ["file", "string"]]
    worker.say("schema", batch_id="b1", dispatch=1, columns=columns)
    rest = [worker.hear() for _ in range(5)]  # b2's own order knew no schema, but the answer is remembered
    assert [m["batch_id"] for m in rest if m["say"] == "done"] == ["b1", "b2", "b3"]
    assert [m["say"] for m in rest if m["batch_id"] == "b3"] == ["start", "ran", "done"]


def test_a_worker_whose_daemon_is_gone_ends_even_in_a_busy_run(annex: Any) -> None:
    worker = annex("def run(m):\n    while True: pass", format="csv")
    worker.load()
    worker.order("b", {"a": ""})
    worker.hear("start")
    worker.hang_up()
    assert worker.process.wait(WAIT) == 1


def test_a_hang_leaves_its_stack_in_the_log(annex: Any) -> None:
    worker = annex("import time\ndef run(m):\n    time.sleep(60)  # here\n", format="csv")
    worker.load()
    worker.order("b", {"a": ""}, timeout_s=0.4)
    worker.hear("start")
    deadline = time.monotonic() + WAIT
    while "score.py" not in worker.logged():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "line 3 in run" in worker.logged()


def test_a_healthy_run_leaves_no_stack_in_the_log(annex: Any) -> None:
    worker = annex("def run(m):\n    return m", format="csv")
    worker.load()
    worker.run("b", {"a": ""}, timeout_s=0.2)
    assert worker.hears_nothing(0.5)
    assert worker.logged() == ""


def test_what_a_script_says_is_in_the_log(annex: Any) -> None:
    script = """
import logging, sys
logging.getLogger("theirs").debug("not this")
logging.getLogger("theirs").info("by name")
print("printed \\udcff")
def run(m):
    sys.stdout.write("no newline")
    sys.stderr.write("an error")
    return m
"""
    worker = annex(script, format="csv")
    worker.load()
    worker.run("b", {"a": ""})
    logged = worker.logged()
    assert "INFO theirs: by name" in logged
    assert "printed \\udcff" in logged
    assert "no newline" in logged
    assert "an error" in logged
    assert "not this" not in logged


def test_a_script_may_configure_logging_by_itself(annex: Any) -> None:
    script = """
import logging
logging.basicConfig(format="mine %(message)s", level="DEBUG")
logging.debug("this")
def run(m):
    return m
"""
    worker = annex(script, format="csv")
    worker.load()
    assert worker.logged() == "mine this\n"


def test_a_script_that_closes_what_it_did_not_open_does_no_harm(annex: Any) -> None:
    script = "import os, sys\ndef run(m):\n    os.closerange(3, 256)\n    sys.stdout = sys.stderr = None\n    return m"
    worker = annex(script, format="csv")
    worker.load()
    assert worker.run("b1", {"a": ""})["say"] == "done"
    assert worker.run("b2", {"a": ""})["say"] == "done"


def test_children_of_the_script_do_not_hold_the_socket(annex: Any) -> None:
    script = """
import os, subprocess, sys, time
def run(m):
    subprocess.Popen(["sleep", "60"], close_fds=False)
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    return m
"""
    worker = annex(script, format="csv")
    worker.load()
    worker.run("b", {"a": ""})
    worker.process.kill()
    worker.process.wait(WAIT)
    assert worker.hears_the_end()
    os.killpg(worker.process.pid, signal.SIGKILL)


def test_signals_and_asyncio_work_in_run_and_a_coroutine_is_run(annex: Any) -> None:
    script = """
import asyncio, signal
async def init():
    signal.signal(signal.SIGALRM, lambda *_: None)
    globals()["loop"] = asyncio.get_running_loop()
async def run(m, mini_batch_context):
    await asyncio.sleep(0)
    return [f"{mini_batch_context.minibatch_index} {asyncio.get_running_loop() is loop}"]
"""
    worker = annex(script, format="azure", output_file_name="p.csv")
    worker.load()
    done = worker.run("b", {"a": ""}, index=3)
    assert (Path(done["staging"]) / "p.csv").read_text() == "3 True\n"


def test_a_spawned_pool_of_the_script_works(annex: Any) -> None:
    script = """
import multiprocessing
def double(batch):
    return [path * 2 for path in batch]
def run(m):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(double, [m])[0]
"""
    worker = annex(script, format="azure", output_file_name="p.csv")
    worker.load()
    done = worker.run("b", {"a": ""})
    assert (Path(done["staging"]) / "p.csv").read_text() == f"{worker.inbox}/a" * 2 + "\n"


@pytest.mark.parametrize("name", ["queue.py", "code/score.py", "my-folder/sub/score.py", "v1.2/score.py", "pkg.score"])
def test_scripts_are_found_whatever_their_names(annex: Any, name: str) -> None:
    worker = annex(UPPER, script=name, format="csv")
    path = worker.code / ("pkg/score.py" if name == "pkg.score" else name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("def run(m):\n    return [__file__]")
    (worker.code / "score.py").unlink()
    assert worker.load()["say"] == "ready"
    done = worker.run("b", {"a": ""})
    assert str(path) in (Path(done["staging"]) / "predictions.parquet").read_text()


def test_a_script_outside_the_code_finds_its_neighbours(annex: Any, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "neighbour.py").write_text("X = 1")
    (tmp_path / "else" / "away.py").write_text("import neighbour\ndef run(m): return [neighbour.X]")
    worker = annex(UPPER, script=str(tmp_path / "else" / "away.py"), format="csv")
    assert worker.load()["say"] == "ready"


@pytest.mark.parametrize("format_", ["azure", "csv", "jsonl", "parquet"])
def test_full_staging_blames_no_file(annex: Any, format_: str) -> None:
    script = """
import resource
def run(m):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    return ["x" * 1000]
"""
    worker = annex(script, format=format_, output_file_name="p.csv")
    worker.load()
    failed = worker.run("b", {"a": ""})
    assert (failed["say"], failed["kind"]) == ("failed", "output_failed"), failed
    assert not (worker.staging / "b.1").exists()


def test_a_result_of_the_last_run_may_be_changed_in_the_next(annex: Any) -> None:
    script = "rows = []\ndef run(m):\n    rows.clear()\n    rows.extend({'v': p[-1]} for p in m)\n    return rows"
    worker = annex(script)
    worker.load()
    for batch in ("1", "2", "3"):
        worker.order(f"b{batch}", {batch: ""})
    for batch in ("1", "2", "3"):
        done = worker.settle()
        assert pq.read_table(Path(done["staging"]) / "predictions.parquet")["v"].to_pylist() == [batch]


def test_long_texts_are_cut_to_fit_a_message(annex: Any) -> None:
    worker = annex("def run(m):\n    raise ValueError('\\x00' * 10_000_000)", format="csv")
    worker.load()
    failed = worker.run("b", {"a": ""})
    assert len(failed["message"]) <= 2100
    assert len(failed["traceback"]) <= 64_200


def test_too_many_rows_are_refused_where_a_limit_is_set(annex: Any) -> None:
    worker = annex("def run(m):\n    return [0] * 11", format="csv", max_result_rows=10)
    worker.load()
    assert worker.run("b", {"a": ""})["message"] == "run() returned 11 rows; more than 10 are not allowed"


def test_files_with_names_that_are_no_text_are_scored(annex: Any) -> None:
    worker = annex("def run(m):\n    return [open(p).read() for p in m]")
    worker.load()
    done = worker.run("b", {"odd\udcff": "x", "=two\nlines": "y"})
    table = pq.read_table(Path(done["staging"]) / "predictions.parquet").to_pydict()
    assert table == {"prediction": ["x", "y"], "file": ["odd\\xff", "=two\nlines"]}


OLDER = sorted(Path("~/.pyenv/versions").expanduser().glob("3.9.*/bin/python"))


@pytest.mark.skipif(not OLDER, reason="no Python 3.9 here")
@pytest.mark.parametrize("format_", ["csv", "jsonl", "azure"])
def test_the_oldest_python_needs_nothing_but_its_standard_library(annex: Any, format_: str) -> None:
    worker = annex(UPPER, python=str(OLDER[-1]), format=format_, output_file_name="p")
    assert worker.load()["say"] == "ready"
    done = worker.run("b", {"a": "x"})
    expected = {"csv": "prediction,file\nX,a\n", "jsonl": '{"prediction": "X", "file": "a"}\n', "azure": "X\n"}
    assert (Path(done["staging"]) / "p").read_text() == expected[format_]
    assert worker.stop() == 0


@pytest.mark.skipif(not OLDER, reason="no Python 3.9 here")
def test_parquet_without_pyarrow_names_the_remedy(annex: Any) -> None:
    answer = annex(UPPER, python=str(OLDER[-1])).load()
    assert answer["say"] == "init_failed"
    assert "pip install pyarrow" in answer["message"]
    assert '"csv" or "jsonl"' in answer["message"]


def test_pandas_is_not_imported_for_a_list(annex: Any) -> None:
    worker = annex("import sys\ndef run(m):\n    return [{'s': 'pandas' in sys.modules, 'n': 1, 'f': 0.5}]")
    worker.load()
    first, second = worker.run("b1", {"a": ""}), worker.run("b2", {"a": ""})
    assert first["say"] == "done"
    assert pq.read_table(Path(second["staging"]) / "predictions.parquet")["s"].to_pylist() == [False]
