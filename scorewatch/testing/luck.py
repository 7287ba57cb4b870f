"""What goes wrong, and in which order things happen: asked by the fakes, answered by the test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from scorewatch.model.decisions import RunBatch
    from scorewatch.testing.disk import Drop


class CrashError(BaseException):
    """The world ends between two steps; a BaseException, since no handler may outlive it.

    Args:
        power: the machine lost its power; else only the process died.
    """

    def __init__(self, *, power: bool) -> None:
        super().__init__("power cut" if power else "process died")
        self.power = power


class BrokenPromiseError(AssertionError):
    """The service did what it promises never to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """How a worker fares with one batch."""

    ends: Literal["well", "raises", "dies", "hangs", "bad result", "environment", "dies writing", "hangs writing"]
    run_s: float = 0.01
    write_s: float = 0.005
    asks: tuple[tuple[str, str], ...] = ()  #: columns that the output schema may lack
    failed: tuple[str, ...] = ()  #: names of the files that failed, with `per_file`


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """How the init() of a worker goes."""

    ends: Literal["ready", "fails", "dies", "hangs"] = "ready"
    init_s: float = 0.05


class Luck:
    """Nothing goes wrong but what the files themselves do, and everything happens in order."""

    interruptions = 0  #: how often the world, or the daemon, was in the way of a batch so far
    calm = False  #: while a service starts nothing is refused: it would only end, and start again

    def before(self, what: str) -> None:
        """Called before each step that changes the world; may raise CrashError."""

    def trouble(self, what: str) -> None:
        """Called before each operation that the world may refuse; may raise what the operation would raise."""

    def pick(self, count: int) -> int:
        """Which of so many things happens first."""
        del count
        return 0

    def group(self, count: int) -> int:
        """How many of the waiting decisions the disk takes at once."""
        return count

    def interludes(self) -> int:
        """How many turns the others get between two steps of the disk."""
        return 0

    def keeps(self, count: int) -> list[bool]:
        """Which of so many changes that were not synced a power cut leaves, oldest first."""
        return [False] * count

    def start(self, worker_id: int) -> Start:
        """How the init() of this worker goes."""
        del worker_id
        return Start()

    def run(self, order: RunBatch, files: tuple[Drop, ...]) -> Run:
        """How a batch fares in a worker: as the worst of its files."""
        del order
        return as_the_files_are(files)

    def echoes(self) -> bool:
        """Whether a dead worker's old answer turns up once more."""
        return False


def as_the_files_are(files: tuple[Drop, ...]) -> Run:
    """How a run() of these files goes where nothing else interferes."""
    kinds = {file.kind for file in files}
    if "kills" in kinds:
        return Run(ends="dies")
    if "hangs" in kinds:
        return Run(ends="hangs")
    if "bad" in kinds:
        return Run(ends="bad result")
    if "raises" in kinds:
        return Run(ends="raises")
    asked = tuple((f"column{file.uid}", "int64") for file in files if file.kind == "column")
    return Run(ends="well", asks=asked)
