"""A deployment in a folder of the test's own, driven from outside as users do: files, signals, and what came out.

Everything is counted, never collected into sets. Nothing here sleeps for a time: `until` waits for a condition.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PROGRAM = (sys.executable, str(Path(sys.executable).with_name("scorewatch")))
PATIENCE_S = float(os.environ.get("SCOREWATCH_TEST_PATIENCE", "30"))
LOOK_EVERY_S = 0.005

T = TypeVar("T")

ECHO = """
def run(mini_batch):
    return [{"id": open(path).read()} for path in mini_batch]
"""


def until(condition: Callable[[], T], what: str = "", *, within: float = PATIENCE_S) -> T:
    """The first true answer of `condition`."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within:g} s: {what or condition}")
        time.sleep(LOOK_EVERY_S)


class Daemon:
    """One running `scorewatch run`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, state: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log
        self._state = state

    # ------------------------------------------------------------ what it says
    def log(self) -> list[dict[str, Any]]:
        """Its log so far; a last line without its end is not read yet."""
        whole = self._log.read_text("ascii", errors="backslashreplace").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def said(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Every line of this event with these fields."""
        return [
            line for line in self.log() if line["event"] == event and all(line.get(k) == v for k, v in fields.items())
        ]

    def says(self, event: str, *, within: float = PATIENCE_S, **fields: Any) -> dict[str, Any]:
        """Wait until it says that; the first such line."""

        def found() -> list[dict[str, Any]]:
            lines = self.said(event, **fields)
            assert lines or self.process.poll() is None, f"it ended without {event}: {self.last_words()}"
            return lines

        return until(found, f"{event} {fields}", within=within)[0]

    def last_words(self, most: int = 3000) -> str:
        """The end of its log."""
        return self._log.read_text(errors="backslashreplace")[-most:]

    def ready(self, workers: int | None = None) -> Daemon:
        """Wait for the first worker, or for so many of them."""
        self.says("service_ready")
        if workers is not None:
            until(lambda: len(self.said("worker_ready")) >= workers, f"{workers} workers")
        return self

    # ------------------------------------------------------------ signals
    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self, within: float = PATIENCE_S) -> int:
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {within:g} s: {self.last_words()}") from None

    def stops(self, within: float = PATIENCE_S) -> int:
        """SIGTERM; the exit code."""
        self.send(signal.SIGTERM)
        return self.ends(within)

    def kill(self) -> None:
        """SIGKILL to the daemon alone."""
        self.process.kill()
        self.process.wait()

    # ------------------------------------------------------------ its workers
    def workers(self) -> list[int]:
        """Processes that run in this deployment's own scratch folders: no other test's are among them."""
        return workers_of(self._state)


def workers_of(state: Path) -> list[int]:
    """The worker processes of the deployment with this state folder, whoever started them."""
    below = os.path.realpath(state) + "/"
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str((entry / "cwd").readlink()).startswith(below) and _lives(entry):
                    found.append(int(entry.name))
    return found


def _lives(process: Path) -> bool:
    return process.joinpath("stat").read_text().rpartition(") ")[2][0] not in "ZX"


class Deployment:
    """Inbox, outbox, state, code and configuration in one folder."""

    def __init__(self, root: Path, script: str = ECHO, **tables: Mapping[str, Any]) -> None:
        self.root = root
        self.inbox, self.outbox, self.state = root / "inbox", root / "outbox", root / "state"
        self.config, self.script = root / "scorewatch.toml", root / "code" / "score.py"
        self.elsewhere = root / "elsewhere"  # on the inbox's file system, to rename from
        self._daemons: list[Daemon] = []
        for folder in (self.inbox, self.script.parent, self.elsewhere):
            folder.mkdir(parents=True)
        self.script.write_text(script)
        self.tables: dict[str, dict[str, Any]] = {
            "deployment": {"name": "t", "scoring_script": "code/score.py"},
            "inbox": {"path": "inbox", "rescan_seconds": 1},
            "batch": {"mini_batch_size": 8, "max_wait_seconds": 0.1},
            "output": {"path": "outbox", "format": "jsonl"},
            "logging": {"format": "json"},
        }
        self.configure(**tables)

    def configure(self, **tables: Mapping[str, Any]) -> None:
        """Change some keys of the configuration, and write it."""
        for name, values in tables.items():
            self.tables.setdefault(name, {}).update(values)
        lines = []
        for name, values in self.tables.items():
            lines += [f"[{name}]", *(f"{key} = {toml(value)}" for key, value in values.items())]
        self.config.write_text("\n".join(lines) + "\n")

    # ------------------------------------------------------------ files
    def drop(self, name: str, content: str | None = None) -> Path:
        """A file that is there all at once; by default it contains its own name."""
        target = self.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        made = self.elsewhere / "made"
        made.write_text(name if content is None else content)
        return made.rename(target)

    def waiting(self) -> list[str]:
        """What lies in the inbox, besides what is ours."""
        found = []
        for folder, folders, files in os.walk(self.inbox):
            folders[:] = [each for each in folders if each != ".scorewatch"]
            found += [os.path.relpath(os.path.join(folder, each), self.inbox) for each in files]  # noqa: PTH118 - any bytes
        return sorted(found)

    # ------------------------------------------------------------ the program
    def start(
        self,
        *arguments: str,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        new_session: bool = False,
    ) -> Daemon:
        """`scorewatch run`, its log in a file."""
        log = self.root / f"log-{len(self._daemons)}"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*wrapper, *PROGRAM, "run", str(self.config), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self.root,
                env={**os.environ, **(environment or {})},
                start_new_session=new_session,
            )
        daemon = Daemon(process, log, self.state)
        self._daemons.append(daemon)
        return daemon

    def once(self, within: float = 120, wrapper: Sequence[str] = ()) -> Daemon:
        """`scorewatch run --once`, to its end."""
        daemon = self.start("--once", wrapper=wrapper)
        daemon.ends(within)
        return daemon

    def close(self) -> None:
        """Leave no process behind, whatever the test came to."""
        for daemon in self._daemons:
            if daemon.process.poll() is None:
                daemon.kill()
        for pid in workers_of(self.state):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    # ------------------------------------------------------------ what came out
    def outputs(self) -> list[Path]:
        """The folders of the committed batches."""
        return sorted(path.parent for path in self.outbox.glob("batches/*/*/_manifest.json"))

    def manifests(self) -> list[dict[str, Any]]:
        return [json.loads(folder.joinpath("_manifest.json").read_text()) for folder in self.outputs()]

    def rows(self) -> list[dict[str, Any]]:
        """Every row of every committed batch."""
        found = []
        for folder in self.outputs():
            found += jsonl(folder / "predictions.jsonl")
        return found

    def scored(self) -> Counter[str]:
        """How often each content was scored: the `id` that the scripts of these tests return."""
        return Counter(row["id"] for row in self.rows())

    def scored_files(self) -> Counter[str]:
        """How often each relpath stands in a manifest."""
        return Counter(file["path"] for manifest in self.manifests() for file in manifest["files"])

    def own_files(self) -> Counter[str]:
        """How often each file that scripts wrote by themselves was published."""
        return Counter(path.name for folder in self.outputs() for path in folder.glob("_files/**/*"))

    def summary(self) -> list[dict[str, Any]]:
        return [line for day in sorted(self.outbox.glob("summary/*")) for line in jsonl(day)]

    def errors(self) -> list[dict[str, Any]]:
        return [line for day in sorted(self.outbox.glob("errors/*")) for line in jsonl(day)]

    def kept(self, kind: str) -> Counter[str]:
        """Base names below done/, quarantine/ or skipped/, records apart."""
        walk = os.walk(self.inbox / ".scorewatch" / kind)
        return Counter(name for _, _, files in walk for name in files if not name.startswith("_error"))

    def records(self, kind: str = "quarantine") -> list[dict[str, Any]]:
        """The `_error.json` of each batch in quarantine."""
        found = sorted((self.inbox / ".scorewatch" / kind).glob("*/_error.json"))
        return [json.loads(path.read_text()) for path in found]

    def claims(self) -> list[str]:
        """The claims that stand."""
        return sorted(path.name for path in self.inbox.glob(".scorewatch/claim/*/[0-9]*"))

    def staged(self) -> list[str]:
        """What lies in staging."""
        return sorted(os.path.relpath(path, self.outbox) for path in self.outbox.glob(".staging/**/*"))

    def status(self) -> dict[str, Any]:
        """The status file; empty while there is none."""
        try:
            found: dict[str, Any] = json.loads(self.state.joinpath("status.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def red(self, words: str) -> str:
        """Wait until the status says that something is wrong, in these words."""

        def told() -> str:
            return next((said for said in self.status().get("health", ()) if words in said), "")

        return until(told, f"health says {words!r}: {self.status().get('health')}")

    def green(self) -> None:
        """Wait until the status says that nothing is wrong."""
        until(lambda: self.status().get("health") == [], "health is good again")


def toml(value: Any) -> str:
    """A value as TOML spells it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def jsonl(path: Path) -> list[dict[str, Any]]:
    """Each line of a file, which must all be whole."""
    text = path.read_text()
    assert not text or text.endswith("\n"), f"{path} ends in the middle of a line"
    return [json.loads(line) for line in text.splitlines()]
