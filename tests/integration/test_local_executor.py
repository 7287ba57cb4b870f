"""The warm pool against real processes that die, lie, flood, hang and leave things behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from scorewatch.executors.local.logs import LogLimits
from scorewatch.executors.local.pool import PROGRAM, LocalExecutor
from scorewatch.executors.local.spawn import WorkerPlan
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import AnswerSchema, RunBatch, StartWorker
from scorewatch.model.events import (
    BatchFailed,
    BatchRan,
    BatchScored,
    BatchStarted,
    SchemaAsked,
    WorkerDied,
    WorkerInitFailed,
    WorkerReady,
)
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAKE = Path(__file__).parents[1] / "unit" / "executors" / "fakeworker.py"
PATIENCE_S = 20
Make: TypeAlias = "Callable[..., Pool]"


class Pool:
    """A LocalExecutor with the fake worker, and all that it said."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.folder = folder
        self.said: list = []
        self.numbers = iter(range(1, 1_000_000))
        (folder / "claim").mkdir(exist_ok=True)
        plan = {"generation": 1, "python": sys.executable, "init": {}, **options.pop("plan", {})}
        self.executor = LocalExecutor(
            {1: WorkerPlan(**plan)},
            epoch="e1",
            outbox=f"{folder}/outbox",
            state=f"{folder}/state",
            logs=f"{folder}/logs",
            claims_where=lambda _: str(folder / "claim"),
            **{"program": str(FAKE), **options},
        )

    def started(self, worker_id: int = 1, slot: int = 0) -> int:
        self.executor.start(StartWorker(worker_id=worker_id, slot=slot, generation=1))
        return self.until(WorkerReady, worker_id=worker_id).pid

    def order(self, *names: str, worker_id: int = 1, schema: tuple = ()) -> MiniBatch:
        batch = MiniBatch(
            batch_id=f"20261122T213741Z-{next(self.numbers):020x}",
            files=tuple(Observation(name, 1) for name in names),
            total_bytes=len(names),
            sealed_because=SealReason.FILES,
            sealed_at=0.0,
            tries=4,
            attempt=1,
            dispatch=1,
        )
        self.executor.run(RunBatch(worker_id=worker_id, batch=batch, run_timeout_s=30.0, schema=schema))
        return batch

    def until(self, kind: type, **fields: object) -> object:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for event in self.said:
                if isinstance(event, kind) and all(
                    attrgetter(key.replace("__", "."))(event) == value for key, value in fields.items()
                ):
                    return event
            woken = select.select(self.executor.sources(), [], [], max(0.0, deadline - time.monotonic()))[0]
            assert woken, f"no {kind.__name__} {fields} among {self.said}"
            self.said += self.executor.news()

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.said]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    pools = []

    def _make(**options: object) -> Pool:
        pools.append(Pool(tmp_path, **options))
        return pools[-1]

    yield _make
    for pool in pools:
        pool.executor.close()


@pytest.fixture
def pool(make: Make) -> Pool:
    return make()


def gone(pid: int, within_s: float = 2.0) -> bool:
    """Whether a process, of whomever, is gone or a zombie before so long."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.005)
    return False


# ---------------------------------------------------------------- deaths
def test_a_busy_worker_that_is_killed_from_outside_is_one_death(pool: Pool) -> None:
    pid = pool.started()
    pool.order("spins")
    pool.until(BatchStarted)
    os.kill(pid, signal.SIGKILL)
    died = pool.until(WorkerDied)
    assert (died.exit_code, died.because, died.out_of_memory) == (-9, "", False)
    assert pool.kinds() == ["WorkerReady", "BatchStarted", "WorkerDied"]


def test_a_kill_after_the_kernel_took_somebody_for_memory_says_so(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter([3, 4])
    monkeypatch.setattr("scorewatch.executors.local.proc.oom_kills", lambda: next(kills))
    pid = pool.started()
    os.kill(pid, signal.SIGKILL)
    assert pool.until(WorkerDied).out_of_memory is True


def test_our_own_kill_is_never_taken_for_a_lack_of_memory(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter(range(9))
    monkeypatch.setattr("scorewatch.executors.local.proc.oom_kills", lambda: next(kills))
    pool.started()
    pool.executor.kill(1)
    died = pool.until(WorkerDied)
    assert (died.exit_code, died.out_of_memory) == (-9, False)


@pytest.mark.parametrize(("how", "exit_code"), [("exits", 0), ("segfaults", -11), ("killed", -9)])
def test_whatever_the_exit_code_a_death_in_run_is_a_death(pool: Pool, how: str, exit_code: int) -> None:
    pool.started()
    pool.order(how)
    died = pool.until(WorkerDied)
    assert (died.exit_code, died.because) == (exit_code, "")
    assert pool.kinds() == ["WorkerReady", "BatchStarted", "WorkerDied"]


def test_last_words_come_before_the_death(pool: Pool) -> None:
    pool.started()
    pool.order("last_words")
    pool.until(WorkerDied)
    assert pool.kinds() == ["WorkerReady", "BatchStarted", "BatchRan", "BatchScored", "WorkerDied"]


def test_what_it_printed_last_is_kept_though_it_was_killed(pool: Pool) -> None:
    pool.started()
    pool.order("killed")
    assert "[stdout]\nlast words\n" in pool.until(WorkerDied).log_tail


def test_a_child_that_the_script_left_behind_is_gone_with_its_worker(pool: Pool) -> None:
    pool.started()
    pool.order("forks")
    died = pool.until(WorkerDied)
    assert died.exit_code == 3
    assert gone(int(died.log_tail.split("child ")[1].split()[0]))


def test_scratch_is_the_working_directory_and_goes_with_the_worker(pool: Pool, tmp_path: Path) -> None:
    pool.started()
    scratch = tmp_path / "state" / "workers" / "e1-1"
    assert scratch.stat().st_mode & 0o777 == 0o700
    pool.order("litters")
    died = pool.until(WorkerDied)
    assert f"cwd {scratch}" in died.log_tail
    pool.executor.close()
    assert list(scratch.parent.iterdir()) == []


def test_scratch_of_earlier_daemons_is_cleared_and_ours_is_kept(pool: Pool, tmp_path: Path) -> None:
    old = tmp_path / "state" / "workers" / "e0-7"
    (old / "sub").mkdir(parents=True)
    pool.started()
    pool.executor.clear_old_scratch()
    assert (tmp_path / "state" / "workers" / "e1-1").exists()
    pool.executor.close()
    assert not old.exists()


def test_stop_and_cont_of_a_worker_costs_nothing(pool: Pool) -> None:
    pid = pool.started()
    os.kill(pid, signal.SIGSTOP)
    batch = pool.order("plain")
    assert list(pool.executor.news()) == []
    os.kill(pid, signal.SIGCONT)
    assert pool.until(BatchScored).receipt.batch_id == batch.batch_id


def test_a_stopped_process_can_be_killed(pool: Pool) -> None:
    pid = pool.started()
    os.kill(pid, signal.SIGSTOP)
    pool.executor.kill(1)
    assert pool.until(WorkerDied).exit_code == -9


# ---------------------------------------------------------------- those that can't be believed
@pytest.mark.parametrize(
    ("how", "because"),
    [
        ("garbage", "the worker sent garbage: not JSON: b'\\x80\\x04this is no message'"),
        ("floods", "the worker sent garbage: a message of more than 4194304 bytes"),
        ("lies", "the worker sent garbage: its output is not where it belongs"),
        ("closes", "the worker closed its line to scorewatch, and lived on"),
        ("babbles", "the worker sent garbage: nobody says"),
    ],
)
def test_a_worker_that_breaks_the_protocol_is_killed_and_the_reason_told(pool: Pool, how: str, because: str) -> None:
    pool.started()
    pool.order(how)
    died = pool.until(WorkerDied)
    assert died.because.startswith(because)
    assert (died.exit_code, died.out_of_memory) == (-9, False)
    assert pool.kinds().count("WorkerDied") == 1
    assert not {"BatchScored", "BatchFailed"} & set(pool.kinds())


def test_what_was_said_before_the_garbage_counts(pool: Pool) -> None:
    pool.started()
    pool.order("garbage_after_words")
    pool.until(WorkerDied)
    assert pool.kinds() == ["WorkerReady", "BatchStarted", "BatchRan", "WorkerDied"]


def test_a_worker_that_hears_nothing_any_more_is_noticed_at_the_next_order(pool: Pool) -> None:
    pool.started()
    pool.order("turns_deaf")
    pool.until(BatchStarted)
    pool.until(BatchRan)
    pool.order("plain")
    assert "closed its line" in pool.until(WorkerDied).because


def test_one_that_floods_leaves_the_others_their_share(make: Make) -> None:
    pool = make()
    pool.started(1)
    pool.started(2)
    pool.order("floods", worker_id=1)
    pool.order("plain", worker_id=2)
    longest = 0.0
    deadline = time.monotonic() + PATIENCE_S
    while not {"BatchScored", "WorkerDied"} <= set(pool.kinds()):
        assert time.monotonic() < deadline
        began = time.monotonic()
        pool.said += pool.executor.news()
        longest = max(longest, time.monotonic() - began)
    assert longest < 1.0


def test_a_worker_that_stops_reading_is_killed_once_too_much_waits(pool: Pool) -> None:
    pid = pool.started()
    os.kill(pid, signal.SIGSTOP)
    for _ in range(12):
        pool.order(*(f"{number:01000d}" for number in range(1000)))
    died = pool.until(WorkerDied)
    assert died.because.startswith("the worker stopped reading its orders")
    assert 8_000_000 < int(died.because.split("left ")[1].split()[0]) < 10_000_000


def test_a_big_order_is_sent_as_the_socket_takes_it(pool: Pool) -> None:
    pid = pool.started()
    os.kill(pid, signal.SIGSTOP)
    first = pool.order("plain", *(f"{number:01000d}" for number in range(3000)))
    second = pool.order("plain")
    os.kill(pid, signal.SIGCONT)
    assert pool.until(BatchScored, receipt__batch_id=first.batch_id).receipt.succeeded == 3001
    assert pool.until(BatchScored, receipt__batch_id=second.batch_id).receipt.succeeded == 1
    assert select.select(pool.executor.sources(), [], [], 0.05) == ([], [], [])  # nothing is left to be woken for


def test_an_order_that_no_message_can_hold_fails_with_the_setting_to_change(pool: Pool) -> None:
    pool.started()
    pool.order(*(f"{number:01000d}" for number in range(5000)))
    failure = pool.until(BatchFailed).failure
    assert failure.kind is FailureKind.BAD_RESULT
    assert "mini_batch_size" in failure.message
    pool.order("plain")
    pool.until(BatchScored)


# ---------------------------------------------------------------- starting
@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"python": "/nowhere/python"}, "'/nowhere/python': No such file or directory"),
        ({"python": "/dev/null"}, "'/dev/null': Permission denied"),
        ({"environment": {"A": "b\0c"}}, "null byte"),
    ],
)
def test_a_worker_that_cant_be_started_is_told_as_a_failed_init_and_a_death(
    make: Make, plan: dict[str, Any], words: str, tmp_path: Path
) -> None:
    pool = make(plan=plan)
    pool.executor.start(StartWorker(worker_id=1, slot=0, generation=1))
    pool.until(WorkerDied, exit_code=127)
    assert pool.kinds() == ["WorkerInitFailed", "WorkerDied"]
    failure = pool.until(WorkerInitFailed).failure
    assert failure.kind is FailureKind.SCRIPT_RAISED
    assert words in failure.message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "state" / "workers").iterdir()) == []


def test_out_of_descriptors_is_told_and_over_when_there_are_some(pool: Pool) -> None:
    import resource  # noqa: PLC0415 - only here

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    try:
        for room in range(9):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + room, hard))
            pool.executor.start(StartWorker(worker_id=room, slot=0, generation=1))
            pool.executor.kill(room)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files" in pool.until(WorkerInitFailed, worker_id=0).failure.message
    for room in range(9):
        pool.until(WorkerDied, worker_id=room)
    before = len(list(Path("/proc/self/fd").iterdir()))
    pool.started(100)
    pool.executor.kill(100)
    pool.until(WorkerDied, worker_id=100)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_nothing_is_kept_of_workers_that_are_gone(pool: Pool) -> None:
    before = None
    for worker_id in range(1, 6):
        pool.started(worker_id)
        pool.executor.kill(worker_id)
        pool.until(WorkerDied, worker_id=worker_id)
        now = len(list(Path("/proc/self/fd").iterdir()))
        assert before in {None, now}
        before = now
    assert list(pool.executor.workers()) == []


def test_a_reload_brings_another_plan(pool: Pool) -> None:
    pool.started(1)
    pool.executor.set_plan(2, WorkerPlan(generation=2, python=sys.executable, init={"init": "fails"}))
    pool.executor.start(StartWorker(worker_id=2, slot=0, generation=2))
    assert pool.until(WorkerInitFailed).worker_id == 2
    pool.order("plain", worker_id=1)
    pool.until(BatchScored, worker_id=1)


def test_a_worker_is_told_what_is_its_own(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {"environment": {"OMP_NUM_THREADS": "7", "GREETING": "hello"}, "devices": ("0", "GPU-3f"), "slots": 4}
    pool = make(plan=plan)
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/none")
    own, (theirs, other) = os.dup(0), os.pipe()
    os.dup2(theirs, 0)  # a stdin that a script could wait at for ever
    try:
        pool.started(1, slot=3)
    finally:
        os.dup2(own, 0)
        for each in (own, theirs, other):
            os.close(each)
    pool.order("tells")
    pool.until(BatchScored)
    told = (tmp_path / "logs/user/stdout/0/process003.e1-1.stdout.txt").read_text()
    assert f"staging {tmp_path}/outbox/.staging/e1-1\n" in told
    assert f"scratch {tmp_path}/state/workers/e1-1\n" in told
    assert "worker_id 1\nslot 3\n" in told
    assert "OMP_NUM_THREADS 7\n" in told
    assert "GREETING hello\n" in told
    assert "CUDA_VISIBLE_DEVICES GPU-3f\n" in told
    assert "NOTIFY_SOCKET None\n" in told
    assert "fds 0 1 2 line\n" in told
    assert "leads its group True\n" in told
    assert "stdin /dev/null\n" in told


# ---------------------------------------------------------------- questions and logs
def test_a_question_about_the_schema_waits_for_its_answer(pool: Pool) -> None:
    pool.started()
    batch = pool.order("schema", schema=(("file", "string"),))
    asked = pool.until(SchemaAsked)
    assert asked.columns == (("prediction", "int64"),)
    assert "BatchScored" not in pool.kinds()
    columns = (("prediction", "int64"), ("extra", "string"))
    answer = AnswerSchema(worker_id=1, batch_id=batch.batch_id, dispatch=1, columns=columns)
    pool.executor.answer(answer)
    pool.executor.answer(answer)
    pool.until(BatchScored)


def test_a_failure_carries_what_was_printed_last(pool: Pool) -> None:
    pool.started()
    pool.order("raises")
    assert pool.until(BatchFailed).failure.log_tail == "[stdout]\nabout to raise\n"


def test_eight_megabytes_of_stdout_stop_nobody_and_the_tail_is_the_last_of_it(pool: Pool) -> None:
    pool.started()
    pool.order("prints")
    pool.until(BatchScored)
    tail = pool.executor.tail(1)
    assert 60_000 < len(tail) < 70_000
    assert tail.startswith("[stdout, the last ")
    assert f"{8 * 1024 - 1:1023}\n[stderr]\nthe end\n" in tail
    assert pool.executor.tail(2) == ""


def test_a_log_that_grew_too_long_is_cut_while_its_worker_goes_on(make: Make, tmp_path: Path) -> None:
    pool = make(limits=LogLimits(live_bytes=1024 * 1024))
    pool.started()
    pool.order("prints")
    pool.until(BatchScored)
    pool.executor.trim_logs()
    log = tmp_path / "logs/user/stdout/0/process000.e1-1.stdout.txt"
    assert 256 * 1024 < log.stat().st_size < 257 * 1024
    pool.order("raises")
    pool.until(BatchFailed)
    text = log.read_text()
    assert text.startswith("[scorewatch cut 8126464 bytes here")
    assert text.endswith(f"{8 * 1024 - 1:1023}\nabout to raise\n")


def test_the_snapshot_shows_each_worker(pool: Pool) -> None:
    pids = [pool.started(worker_id, slot=worker_id - 1) for worker_id in (1, 2)]
    shown = pool.executor.workers()
    assert [(each.worker_id, each.slot, each.pid) for each in shown] == [(1, 0, pids[0]), (2, 1, pids[1])]
    assert all(each.rss_bytes > 1_000_000 for each in shown)
    assert [Path(each.stderr).name for each in shown] == ["process000.e1-1.stderr.txt", "process001.e1-2.stderr.txt"]


def test_close_leaves_logs_and_no_process(pool: Pool, tmp_path: Path) -> None:
    pids = [pool.started(worker_id) for worker_id in (1, 2)]
    pool.order("spins", worker_id=1)
    pool.until(BatchStarted)
    pool.executor.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert len([path for path in (tmp_path / "logs").rglob("*") if path.is_file()]) == 4
    assert list((tmp_path / "state" / "workers").iterdir()) == []


# ---------------------------------------------------------------- the worker that is shipped
SCRIPT = """
import ctypes, os, subprocess, sys, time

def init():
    pass

def run(mini_batch):
    return DO[os.path.basename(mini_batch[0])](mini_batch)

def closes(_):
    os.closerange(3, 65536)
    return ["x"]

def forks(_):
    child = os.fork()
    if not child:
        time.sleep(60)
    print("child", child, flush=True)
    os._exit(6)

def talks(_):
    for fd in range(3, 65536):
        try:
            os.write(fd, b'{"say": "done"}\\n')
        except OSError:
            pass
    time.sleep(60)

DO = {
    "plain": lambda names: list(names),
    "exits": lambda _: os._exit(0),
    "leaves": lambda _: sys.exit(9),
    "segfaults": lambda _: ctypes.string_at(0),
    "sleeps": lambda _: time.sleep(600),
    "spins": lambda _: [None for _ in iter(int, 1)],
    "spins_in_c": lambda _: sum(range(10**15)),
    "closes": closes,
    "forks": forks,
    "talks": talks,
}
"""


@pytest.fixture
def shipped(make: Make, tmp_path: Path) -> Pool:
    (tmp_path / "score.py").write_text(SCRIPT)
    return make(plan={"init": shipped_init(tmp_path)}, program=PROGRAM)


def shipped_init(folder: Path) -> dict:
    return {"code": str(folder), "script": str(folder / "score.py"), "format": "jsonl", "output_file_name": "p.jsonl"}


@pytest.mark.parametrize(("how", "exit_code"), [("exits", 0), ("segfaults", -11), ("closes", 1), ("forks", 6)])
def test_a_script_that_ends_its_process_is_one_death_and_the_batch_was_started(
    shipped: Pool, how: str, exit_code: int
) -> None:
    shipped.started()
    shipped.order(how)
    died = shipped.until(WorkerDied)
    assert (died.exit_code, died.because) == (exit_code, "")
    assert shipped.kinds() == ["WorkerReady", "BatchStarted", "WorkerDied"]
    if how == "segfaults":
        assert "Fatal Python error: Segmentation fault" in died.log_tail
    if how == "forks":
        assert gone(int(died.log_tail.split("child ")[1].split()[0]))


def test_a_script_that_calls_exit_costs_its_batch_only(shipped: Pool) -> None:
    shipped.started()
    shipped.order("leaves")
    assert shipped.until(BatchFailed).failure.kind is FailureKind.SCRIPT_RAISED
    shipped.order("plain")
    shipped.until(BatchScored)


def test_a_script_that_writes_to_every_descriptor_is_one_death(shipped: Pool) -> None:
    shipped.started()
    shipped.order("talks")
    assert shipped.until(WorkerDied).because.startswith("the worker sent garbage")
    assert shipped.kinds() == ["WorkerReady", "BatchStarted", "WorkerDied"]


@pytest.mark.parametrize("how", ["sleeps", "spins", "spins_in_c"])
def test_no_worker_outlives_its_daemon_however_busy(how: str, tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_local_executor as t\n"
        "pool = t.Pool(Path(sys.argv[2]), plan={'init': t.shipped_init(Path(sys.argv[2]))}, program=t.PROGRAM)\n"
        "pid = pool.started(); pool.order(sys.argv[3]); pool.until(t.BatchStarted)\n"
        "print(pid, flush=True); import time; time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        pid = int(daemon.stdout.readline())
        assert not gone(pid, within_s=0.1)
        daemon.kill()
        assert gone(pid)
