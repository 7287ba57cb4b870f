"""The demo's folder and its programs: the digits example, its data, and a real daemon.

What loads tables or models runs as a process of its own (`scorewatch.demo_kit`): the house never does.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scorewatch
from scorewatch.cli.templates import write_tree
from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KIT = Path(scorewatch.__file__).parent / "demo_kit"
LIBRARIES = {"sklearn": "scikit-learn", "PIL": "pillow"}  # as they are imported, and as pip calls them
BROKEN = "torn-scan.png"
STOP_SECONDS = 70.0  # longer than the daemon's own grace time
OURS = [sys.executable, "-P"]  # -P: a module in the folder that somebody stands in is not ours


def require_libraries() -> None:
    """Say what to install, where the demo's own libraries are missing.

    Raises:
        ScorewatchError: naming them.
    """
    missing = [name for module, name in LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise ScorewatchError(
            f"the demo needs {' and '.join(missing)}, which scorewatch itself does not",
            where="scorewatch demo",
            hint='pip install "scorewatch[demo]"',
        )


class Stage:
    """The demo's folder: a deployment like any other, with the pictures that are going to be dropped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "scorewatch.toml"
        self.pictures = folder / "pictures"
        self.inbox = folder / "inbox"
        self.outbox = folder / "outbox"
        self.log = folder / "daemon.log"
        self.scorewatch: Sequence[str] = [*OURS, "-m", "scorewatch"]

    @classmethod
    def make(cls, folder: Path | None, files: int | None) -> Stage:
        """Train the model and draw the pictures, one of them torn; a temporary folder where none is named."""
        require_libraries()
        stage = cls(folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="scorewatch-demo-")))
        write_tree(KIT / "digits", stage.folder)
        wanted = ["--files", str(files)] if files else []
        _output_of([*OURS, str(stage.folder / "make_data.py"), "--to", stage.pictures.name, *wanted])
        stage.inbox.mkdir()
        whole = min(stage.pictures.iterdir()).read_bytes()
        (stage.pictures / BROKEN).write_bytes(whole[: len(whole) // 2])
        return stage

    def results(self) -> dict[str, Any]:
        """What any reader finds in the outbox, held against the truth: see `demo_kit/read_results.py`."""
        answer = _output_of(
            [*OURS, str(KIT / "read_results.py"), str(self.outbox), str(self.folder / "truth.csv")],
        )
        found: dict[str, Any] = json.loads(answer)
        return found

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """A running daemon; told to stop at the end, and killed where anything went wrong.

        Raises:
            ScorewatchError: where it does not end well within its grace time.
        """
        with self.log.open("wb") as log:
            daemon = subprocess.Popen(  # noqa: S603 - this very program, by the interpreter that runs
                [*self.scorewatch, "run", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the demo's: it tells the daemon itself
            )
        try:
            yield daemon
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(STOP_SECONDS)
            if code != ExitCode.DONE:
                raise self.ended(code)
        finally:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()

    def ended(self, code: int) -> ScorewatchError:
        """The error for a daemon that ended with this code, with its last words."""
        last = self.log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        return ScorewatchError(
            f"the daemon ended with exit code {code}: {last or 'it said nothing'}",
            where=self.log,
            hint=f"try `scorewatch check {self.config}`",
            exit_code=ExitCode(code) if code in list(ExitCode) and code else ExitCode.FOLDER_UNUSABLE,
        )


def _output_of(command: list[str]) -> str:
    """What a program of the kit printed; an error with its last line where it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - programs of ours
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ScorewatchError(
            f"ended with exit code {done.returncode}: {last}",
            where=next(part for part in command if part.endswith(".py")),
            hint="run it by hand to see more",
        )
    return done.stdout
