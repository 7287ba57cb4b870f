"""The worker program, driven over its socket as the daemon does."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
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
            assert data, f"end of file; log: {self.logged()}"
            self._heard.extend(self._splitter.feed(data))
        message = self._heard.popleft()
        assert not expected or message["say"] in expected, f"{message}; log: {self.logged()}"
        return message

    def hears_nothing(self, within: float) -> bool:
        return not self._heard and not select.select([self._ours], [], [], within)[0]

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

    def make(script: str, **init: Any) -> Annex:
        worker = Annex(tmp_path / str(len(made)), **init)
        made.append(worker)
        (worker.code / "score.py").write_text(script)
        return worker

    yield make
    for worker in made:
        worker.close()


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
