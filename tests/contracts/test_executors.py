"""What every executor promises: each order gets exactly one answer or one death, whatever happens to its worker."""

from __future__ import annotations

import select
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from scorewatch.executors import EXECUTORS, executor_class
from scorewatch.executors.inline import InlineExecutor
from scorewatch.executors.local.pool import LocalExecutor
from scorewatch.executors.local.spawn import WorkerPlan
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import AnswerSchema, RunBatch, StartWorker, Withdraw
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.events import (
    BatchFailed,
    BatchRan,
    BatchScored,
    BatchStarted,
    OrderReturned,
    WorkerDied,
    WorkerInitFailed,
    WorkerReady,
)
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAKE = Path(__file__).parents[1] / "unit" / "executors" / "fakeworker.py"
ANSWERS = (BatchScored, BatchFailed, OrderReturned)
PATIENCE_S = 20
Make: TypeAlias = "Callable[..., World]"


def batch_of(*names: str, number: int = 1, dispatch: int = 1) -> MiniBatch:
    return MiniBatch(
        batch_id=f"20261122T213741Z-{number:020x}",
        files=tuple(Observation(name, 1) for name in names),
        total_bytes=len(names),
        sealed_because=SealReason.FILES,
        sealed_at=0.0,
        tries=4,
        attempt=1,
        dispatch=dispatch,
    )


class World:
    """An executor, the folder that its batches lie in, and all that it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list = []

    def order(self, batch: MiniBatch, worker_id: int = 1) -> MiniBatch:
        self.executor.run(RunBatch(worker_id=worker_id, batch=batch, run_timeout_s=30.0, schema=()))
        return batch

    def start(self, worker_id: int = 1, slot: int = 0, generation: int = 1) -> None:
        self.executor.start(StartWorker(worker_id=worker_id, slot=slot, generation=generation))

    def started(self, worker_id: int = 1) -> None:
        self.start(worker_id)
        self.until(WorkerReady, worker_id=worker_id)

    def until(self, kind: type, **fields: object) -> object:
        """Listen until such an event was said; what was said before counts."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for event in self.said:
                if isinstance(event, kind) and all(getattr(event, key) == value for key, value in fields.items()):
                    return event
            woken = select.select(self.executor.sources(), [], [], max(0.0, deadline - time.monotonic()))[0]
            assert woken, f"no {kind.__name__} {fields} among {self.said}"
            self.said += self.executor.news()

    def until_answered(self, *batches: MiniBatch) -> None:
        """Listen until each of them has an answer."""
        deadline = time.monotonic() + PATIENCE_S
        while any(not self.answers()[batch.batch_id, batch.dispatch] for batch in batches):
            woken = select.select(self.executor.sources(), [], [], max(0.0, deadline - time.monotonic()))[0]
            assert woken, f"no answer to all of {batches} in {self.said}"
            self.said += self.executor.news()

    def about(self, batch: MiniBatch) -> list[str]:
        return [type(event).__name__ for event in self.said if _key(event) == (batch.batch_id, batch.dispatch)]

    def answers(self) -> Counter:
        return Counter(_key(event) for event in self.said if isinstance(event, ANSWERS))

    def deaths(self) -> Counter:
        return Counter(event.worker_id for event in self.said if isinstance(event, WorkerDied))


def _key(event: object) -> object:
    if isinstance(event, BatchScored):
        return event.receipt.batch_id, event.receipt.dispatch
    return getattr(event, "batch_id", None), getattr(event, "dispatch", None)


class InlineWorld(World):
    busy = "plain"  # nothing is carried out before `news`, so a plain file is as good as one that waits

    def __init__(self, folder: Path, init: str = "") -> None:
        super().__init__(folder)
        self.executor = InlineExecutor(
            self._run,
            staging=lambda worker_id: f"{folder}/outbox/.staging/1-{worker_id}",
            where=lambda _: str(folder / "claim"),
            init=self._fail if init else lambda: None,
        )

    @staticmethod
    def _run(files: list[str]) -> list[str]:
        if files[0].endswith("/raises"):
            raise ValueError("no good")
        return files

    @staticmethod
    def _fail() -> None:
        raise KeyError("no model")

    def open_gate(self) -> None:
        """Nobody waits."""


class ProcessWorld(World):
    busy = "gated"

    def __init__(self, folder: Path, plan: WorkerPlan, **options: object) -> None:
        super().__init__(folder)
        (folder / "claim").mkdir(exist_ok=True)
        self.executor = LocalExecutor(
            {1: plan},
            epoch="1",
            outbox=f"{folder}/outbox",
            state=f"{folder}/state",
            logs=f"{folder}/logs",
            claims_where=lambda _: str(folder / "claim"),
            **options,
        )

    def open_gate(self) -> None:
        (self.folder / "claim" / "gate").touch()


class FakeWorld(ProcessWorld):
    def __init__(self, folder: Path, init: str = "") -> None:
        super().__init__(
            folder, WorkerPlan(generation=1, python=sys.executable, init={"init": init}), program=str(FAKE)
        )


SCRIPT = """
import os, time

def init():
    if {init!r}:
        raise KeyError("no model")

def run(mini_batch):
    what = os.path.basename(mini_batch[0])
    if what == "raises":
        raise ValueError("no good")
    while what == "gated" and not os.path.exists(os.path.join(os.path.dirname(mini_batch[0]), "gate")):
        time.sleep(0.005)
    return [os.path.basename(name) for name in mini_batch]
"""


class RealWorld(ProcessWorld):
    """The worker that is shipped, with a scoring script."""

    def __init__(self, folder: Path, init: str = "") -> None:
        script = folder / "score.py"
        script.write_text(SCRIPT.format(init=init))
        told = {"scorer": "script", "code": str(folder), "script": str(script), "format": "jsonl"}
        plan = WorkerPlan(generation=1, python=sys.executable, init={**told, "output_file_name": "predictions.jsonl"})
        super().__init__(folder, plan)


@pytest.fixture(params=[InlineWorld, FakeWorld, RealWorld])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    worlds = []

    def _make(**options: str) -> World:
        worlds.append(request.param(tmp_path, **options))
        return worlds[-1]

    yield _make
    for world in worlds:
        world.executor.close()


@pytest.fixture
def world(make: Make) -> World:
    return make()


def test_every_executor_of_the_registry_is_there() -> None:
    assert {executor_class(name).__name__ for name in EXECUTORS} == {"LocalExecutor", "InlineExecutor"}


def test_an_unknown_executor_is_named_in_a_sentence() -> None:
    with pytest.raises(ScorewatchError, match=r"no executor named 'slurm'.*inline.*local"):
        executor_class("slurm")


def test_a_worker_becomes_ready_once(world: World) -> None:
    world.started()
    assert [type(event) for event in world.said] == [WorkerReady]
    assert world.said[0].pid > 0


def test_a_batch_is_started_runs_and_is_scored_with_its_receipt(world: World) -> None:
    world.started()
    batch = world.order(batch_of("plain", "two", "three"))
    scored = world.until(BatchScored)
    assert world.about(batch) == ["BatchStarted", "BatchRan", "BatchScored"]
    assert scored.receipt.rows == scored.receipt.succeeded == 3
    assert scored.staging == f"{world.folder}/outbox/.staging/1-1/{batch.batch_id}.1"
    assert [(each.name, each.size_bytes) for each in scored.receipt.output_files] == [
        (path.name, path.stat().st_size) for path in Path(scored.staging).iterdir()
    ]


def test_a_script_that_raises_costs_the_batch_and_not_the_worker(world: World) -> None:
    world.started()
    bad = world.order(batch_of("raises"))
    failure = world.until(BatchFailed).failure
    assert world.about(bad) == ["BatchStarted", "BatchFailed"]
    assert (failure.kind, failure.exception) == (FailureKind.SCRIPT_RAISED, "ValueError")
    assert failure.message.endswith("no good")
    assert failure.traceback.startswith("Traceback")
    good = world.order(batch_of("plain", number=2))
    world.until_answered(good)
    assert world.about(good) == ["BatchStarted", "BatchRan", "BatchScored"]


def test_two_batches_at_one_worker_are_scored_in_their_order(world: World) -> None:
    world.started()
    first, second = world.order(batch_of("plain")), world.order(batch_of("plain", number=2))
    world.until_answered(first, second)
    scored = [event.receipt.batch_id for event in world.said if isinstance(event, BatchScored)]
    assert scored == [first.batch_id, second.batch_id]


@pytest.mark.parametrize("who", [7, 1])
def test_an_order_to_nobody_comes_back(world: World, who: int) -> None:
    world.started()
    world.executor.kill(1)
    world.until(WorkerDied)
    batch = world.order(batch_of("plain"), worker_id=who)
    world.until(OrderReturned, worker_id=who)
    assert world.about(batch) == ["OrderReturned"]


def test_an_order_that_has_not_started_can_be_taken_back(world: World) -> None:
    world.started()
    held, waiting = world.order(batch_of(world.busy)), world.order(batch_of("plain", number=2))
    world.executor.withdraw(Withdraw(worker_id=1, batch_id=waiting.batch_id, dispatch=1))
    world.until(OrderReturned)
    world.open_gate()
    world.until(BatchScored)
    assert world.about(held) == ["BatchStarted", "BatchRan", "BatchScored"]
    assert world.about(waiting) == ["OrderReturned"]


def test_what_is_answered_already_is_not_returned_as_well(world: World) -> None:
    world.started()
    batch = world.order(batch_of("plain"))
    world.until(BatchScored)
    world.executor.withdraw(Withdraw(worker_id=1, batch_id=batch.batch_id, dispatch=1))
    world.executor.withdraw(Withdraw(worker_id=9, batch_id=batch.batch_id, dispatch=1))
    world.until_answered(world.order(batch_of("plain", number=2)))
    assert world.about(batch) == ["BatchStarted", "BatchRan", "BatchScored"]


def test_a_stopped_worker_ends_by_itself_and_returns_what_comes_later(world: World) -> None:
    world.started()
    world.executor.stop(1)
    late = world.order(batch_of("plain"))
    assert world.until(WorkerDied).exit_code == 0
    assert world.about(late) == ["OrderReturned"]
    assert world.deaths() == {1: 1}


def test_an_idle_worker_that_is_stopped_dies(world: World) -> None:
    world.started()
    world.executor.stop(1)
    world.until(WorkerDied)
    assert [type(event) for event in world.said] == [WorkerReady, WorkerDied]


def test_a_stopped_worker_returns_what_waits_at_it(world: World) -> None:
    world.started()
    held, waiting = world.order(batch_of(world.busy)), world.order(batch_of("plain", number=2))
    world.executor.stop(1)
    world.until(OrderReturned, batch_id=waiting.batch_id)
    world.open_gate()
    world.until(WorkerDied)
    assert world.about(waiting) == ["OrderReturned"]
    assert world.about(held)[-1:] != ["BatchStarted"]


def test_a_killed_worker_takes_its_orders_along_in_one_death(world: World) -> None:
    world.started()
    held, waiting = world.order(batch_of(world.busy)), world.order(batch_of("plain", number=2))
    world.executor.kill(1)
    world.executor.kill(1)
    died = world.until(WorkerDied)
    assert (died.exit_code, died.out_of_memory) == (-9, False)
    assert world.about(waiting) == []
    assert set(world.about(held)) <= {"BatchStarted"}
    assert world.deaths() == {1: 1}


def test_an_order_to_a_worker_that_was_killed_comes_back_before_the_death(world: World) -> None:
    world.started()
    world.executor.kill(1)
    late = world.order(batch_of("plain"))
    world.until(WorkerDied)
    assert world.about(late) == ["OrderReturned"]


def test_one_workers_death_leaves_the_others_alone(world: World) -> None:
    world.started(1)
    world.started(2)
    world.order(batch_of(world.busy), worker_id=1)
    other = world.order(batch_of("plain", number=2), worker_id=2)
    world.executor.kill(1)
    world.until(WorkerDied, worker_id=1)
    world.until(BatchScored, worker_id=2)
    assert world.about(other) == ["BatchStarted", "BatchRan", "BatchScored"]
    assert world.deaths() == {1: 1}


def test_an_init_that_fails_is_told_with_its_reason_and_then_the_death(make: Make) -> None:
    world = make(init="fails")
    world.start()
    world.until(WorkerDied)
    assert [type(event) for event in world.said] == [WorkerInitFailed, WorkerDied]
    assert "no model" in world.said[0].failure.message
    assert world.said[0].failure.traceback.startswith("Traceback")


def test_orders_to_strangers_are_no_error(world: World) -> None:
    world.executor.kill(3)
    world.executor.stop(3)
    world.executor.answer(AnswerSchema(worker_id=3, batch_id="x", dispatch=1, columns=()))
    assert list(world.executor.news()) == []


def test_news_never_waits(world: World) -> None:
    world.start()
    world.until(WorkerReady)
    world.order(batch_of(world.busy))
    began = time.monotonic()
    for _ in range(100):
        world.executor.news()
    world.open_gate()
    assert time.monotonic() - began < 1


def test_nobody_is_woken_when_there_is_no_news(world: World) -> None:
    world.started()
    world.until_answered(world.order(batch_of("plain")), world.order(batch_of("plain", number=2), worker_id=9))
    world.said += world.executor.news()
    assert select.select(world.executor.sources(), [], [], 0.05)[0] == []


def test_after_close_nothing_is_said_or_kept(world: World) -> None:
    world.started()
    world.order(batch_of(world.busy))
    world.executor.close()
    world.executor.close()
    world.order(batch_of("plain", number=2))
    assert list(world.executor.news()) == []
    assert list(world.executor.sources()) == []


def test_many_orders_each_get_one_answer_in_whatever_way_it_ends(world: World) -> None:
    names = ["plain", "raises", "plain", "plain"]
    for worker_id in (1, 2, 3):
        world.started(worker_id)
    given = []
    for number in range(24):
        worker_id = number % 3 + 1
        given.append(world.order(batch_of(names[number % 4], number=number), worker_id=worker_id))
    world.until_answered(*given)
    world.said += world.executor.news()
    assert set(world.answers().values()) == {1}
    assert sum(isinstance(event, BatchStarted) for event in world.said) == 24
    assert sum(isinstance(event, BatchRan) for event in world.said) == 18
