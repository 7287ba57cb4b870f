"""A deployment tried out in folders of its own: one real worker, a few mini-batches, and nothing left behind."""

from __future__ import annotations

import select
import tempfile
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scorewatch.core.columns import grow
from scorewatch.daemon.plans import plan
from scorewatch.executors.local.pool import LocalExecutor
from scorewatch.inbox.claim import new_id
from scorewatch.model import events as e
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import AnswerSchema, RunBatch, StartWorker
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scorewatch.model.outcomes import Receipt
    from scorewatch.settings.schema import Settings

_WORKER = 1
_SHUTDOWN_S = 10.0  # for the script's shutdown()
_HANDOVER_S = 120.0  # from order to START and from RAN to DONE, as the daemon has it


class ScriptFailedError(ScorewatchError):
    """The scorer can't be loaded; `traceback` is its own."""

    def __init__(self, failure: Failure, settings: Settings) -> None:
        where = settings.deployment.scoring_script or settings.deployment.model or settings.source
        super().__init__(
            failure.message,
            where=where,
            hint="correct that and run `scorewatch check` again",
            exit_code=ExitCode.SCORER_CANNOT_LOAD,
        )
        self.traceback = failure.traceback or failure.log_tail


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The worker is ready."""

    start_s: float  #: until the interpreter ran and the worker could load
    init_s: float
    rss_bytes: int
    model: str
    script_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What came of one mini-batch: a receipt with its staging folder, or a failure."""

    batch: MiniBatch
    receipt: Receipt | None = None
    staging: str = ""
    failure: Failure | None = None
    log_tail: str = ""


@dataclass(slots=True)
class Trial:
    """The bench: its folder, its worker, and the output schema so far."""

    settings: Settings
    folder: Path
    executor: LocalExecutor
    roots: dict[str, str]
    schema: tuple[tuple[str, str], ...]
    alive: bool = False
    _deadline: float = 0.0  # monotonic
    _heard: deque[e.Event] = field(default_factory=deque)

    @property
    def outbox(self) -> Path:
        """Where its outputs go."""
        return self.folder / "outbox"

    # ------------------------------------------------------------ the worker
    def load(self) -> Loaded:
        """Start a worker and wait until it is ready.

        Raises:
            ScriptFailedError: the scorer can't be loaded, or takes longer than `init_timeout`; exit code 3.
        """
        began = time.monotonic()
        self._deadline = began + self.settings.workers.init_timeout
        self.executor.start(StartWorker(worker_id=_WORKER, slot=0, generation=1))
        for event in self._events():
            match event:
                case e.WorkerReady():
                    self.alive = True
                    return Loaded(
                        start_s=max(0.0, time.monotonic() - began - event.init_s),
                        init_s=event.init_s,
                        rss_bytes=event.rss_bytes,
                        model=event.model,
                        script_sha256=event.script_sha256,
                    )
                case e.WorkerInitFailed():
                    raise ScriptFailedError(event.failure, self.settings)
                case e.WorkerDied():
                    raise ScriptFailedError(_death(event, "while it loaded the scorer"), self.settings)
                case _:
                    pass
        tail = self.executor.tail(_WORKER)
        late = f"init() took longer than {self.settings.workers.init_timeout:g} seconds ([workers] init_timeout)"
        raise ScriptFailedError(Failure(kind=FailureKind.TIMED_OUT, message=late, log_tail=tail), self.settings)

    def score(self, files: Sequence[Path]) -> Tried:
        """Have one mini-batch scored, the files read where they are."""
        batch = self._batch(files)
        limit = self.settings.retry_settings.timeout
        self.executor.run(RunBatch(worker_id=_WORKER, batch=batch, run_timeout_s=limit, schema=self.schema))
        self._deadline = time.monotonic() + _HANDOVER_S
        for event in self._events():
            match event:
                case e.BatchStarted():
                    self._deadline = time.monotonic() + limit
                case e.BatchRan():
                    self._deadline = time.monotonic() + _HANDOVER_S
                case e.SchemaAsked():
                    self._answer(event)
                case e.BatchScored():
                    return Tried(batch=batch, receipt=event.receipt, staging=event.staging)
                case e.BatchFailed():
                    return Tried(batch=batch, failure=event.failure, log_tail=event.failure.log_tail)
                case e.WorkerDied():
                    self.alive = False
                    return Tried(
                        batch=batch, failure=_death(event, "while it had these files"), log_tail=event.log_tail
                    )
                case _:
                    pass
        return self._too_late(batch, limit)

    def _too_late(self, batch: MiniBatch, limit: float) -> Tried:
        """Kill the worker, and keep what it printed: where it hung is told there."""
        self.alive = False
        tail = self.executor.tail(_WORKER)
        self.executor.kill(_WORKER)
        message = f"run() took longer than {limit:g} seconds ([retry_settings] timeout)"
        return Tried(batch=batch, failure=Failure(kind=FailureKind.TIMED_OUT, message=message), log_tail=tail)

    def end(self) -> None:
        """Let the worker call shutdown() and end."""
        if self.alive:
            self.executor.stop(_WORKER)
            self._deadline = time.monotonic() + _SHUTDOWN_S
            for event in self._events():
                if isinstance(event, e.WorkerDied):
                    break
        self.alive = False

    # ------------------------------------------------------------ inside
    def _batch(self, files: Sequence[Path]) -> MiniBatch:
        root = _common_folder(files)
        seen = tuple(_observe(path, root) for path in files)
        batch_id = new_id()
        self.roots[batch_id] = str(root)
        return MiniBatch(
            batch_id=batch_id,
            files=seen,
            total_bytes=sum(file.size for file in seen),
            sealed_because=SealReason.FLUSH,
            sealed_at=time.time(),
            tries=1,
            attempt=1,
            dispatch=1,
        )

    def _answer(self, asked: e.SchemaAsked) -> None:
        self.schema += grow(self.schema, asked.columns)
        order = AnswerSchema(worker_id=_WORKER, batch_id=asked.batch_id, dispatch=asked.dispatch, columns=self.schema)
        self.executor.answer(order)

    def _events(self) -> Iterator[e.Event]:
        """What the worker says, until the deadline, which may be moved meanwhile."""
        poll = select.poll()
        for source in self.executor.sources():
            poll.register(source, select.POLLIN)
        while True:
            while self._heard:
                yield self._heard.popleft()
            left = self._deadline - time.monotonic()
            if left <= 0:
                return
            poll.poll(left * 1000)
            self._heard.extend(self.executor.news())


@contextmanager
def trial(settings: Settings) -> Iterator[Trial]:
    """A bench in a temporary folder, which is gone afterwards; the deployment's own folders are not touched."""
    with tempfile.TemporaryDirectory(prefix="scorewatch-check-") as name:
        folder = Path(name)
        for part in ("outbox/.staging", "state", "logs"):
            (folder / part).mkdir(parents=True)
        roots: dict[str, str] = {}
        executor = LocalExecutor(
            {1: plan(settings, generation=1, run_id=f"{settings.deployment.name}-check")},
            epoch="1",
            outbox=str(folder / "outbox"),
            state=str(folder / "state"),
            logs=str(folder / "logs"),
            claims_where=lambda batch: roots[batch.batch_id],
        )
        pinned = tuple(settings.output.pinned_schema.items())
        bench = Trial(settings=settings, folder=folder, executor=executor, roots=roots, schema=pinned)
        try:
            yield bench
        finally:
            bench.end()
            executor.close()


def _death(died: e.WorkerDied, when: str) -> Failure:
    how = f"by signal {-died.exit_code}" if died.exit_code < 0 else f"with exit code {died.exit_code}"
    why = "; the kernel ran out of memory" if died.out_of_memory else ""
    message = f"the worker ended {how} {when}{why}" + (f": {died.because}" if died.because else "")
    return Failure(kind=FailureKind.WORKER_DIED, message=message, log_tail=died.log_tail)


def _common_folder(files: Sequence[Path]) -> Path:
    """The deepest folder that all of them lie in."""
    first, *others = (path.parent for path in files)
    return next(folder for folder in (first, *first.parents) if all(other.is_relative_to(folder) for other in others))


def _observe(path: Path, root: Path) -> Observation:
    seen = path.stat()
    return Observation(
        str(path.relative_to(root)), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_dev, seen.st_ino
    )
