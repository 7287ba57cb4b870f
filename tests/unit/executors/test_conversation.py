"""What a worker may say when, and what it may say at all."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorewatch.executors.local.conversation import Conversation
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.events import BatchFailed, BatchScored, OrderReturned, WorkerReady
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import FailureKind
from scorewatch.worker.messages import GarbageError, decode, encode

STAGING = "/out/.staging/e1-4"
BATCH = MiniBatch(
    batch_id="20261122T213741Z-00000000000000000001",
    files=(Observation("a.csv"), Observation("b\udcff.csv")),
    total_bytes=2,
    sealed_because=SealReason.FILES,
    sealed_at=0.0,
    tries=4,
    attempt=1,
    dispatch=3,
)
OTHER = replace(BATCH, batch_id="20261122T213741Z-00000000000000000002")
FAILED = {"kind": "script_raised", "message": "no good"}
DONE = {"rows": 2, "succeeded": 2, "staging": f"{STAGING}/{BATCH.batch_id}.3"}


def talk_with(*batches: MiniBatch, ready: bool = True) -> Conversation:
    talk = Conversation(4, 99, STAGING, lambda: "last words")
    for word in ("hello", "ready") if ready else ():
        talk.hear({"say": word})
    for batch in batches:
        talk.ordered(batch)
    return talk


def about(word: str, batch: MiniBatch = BATCH, **more: Any) -> dict[str, Any]:
    known = {"done": DONE, "failed": FAILED, "schema": {"columns": [["p", "int64"]]}}.get(word, {})
    # over the line and back, as it really comes
    return decode(encode({"say": word, "batch_id": batch.batch_id, "dispatch": batch.dispatch, **known, **more}))


WAYS = {  # what is legal after what was said of one batch; withdrawn, where that is asked for
    (): {"start", "failed"},
    ("start",): {"ran", "schema", "failed"},
    ("start", "schema"): {"failed"},
    ("start", "ran"): {"schema", "done", "failed"},
    ("start", "ran", "schema"): {"failed"},
    ("start", "ran", "done"): set(),
    ("start", "failed"): set(),
}


@pytest.mark.parametrize(
    ("said", "word"), list(product(WAYS, ["start", "ran", "schema", "done", "failed", "returned"])), ids=str
)
def test_each_word_has_its_turn(said: tuple[str, ...], word: str) -> None:
    talk = talk_with(BATCH)
    for earlier in said:
        talk.hear(about(earlier))
    if word in WAYS[said]:
        assert talk.hear(about(word)) is not None
    else:
        with pytest.raises(GarbageError):
            talk.hear(about(word))


LIVES = {
    (): {"hello", "init_failed"},
    ("hello",): {"ready", "init_failed"},
    ("hello", "ready"): set(),
    ("hello", "init_failed"): set(),
    ("init_failed",): set(),
}


@pytest.mark.parametrize(("said", "word"), list(product(LIVES, ["hello", "ready", "init_failed"])), ids=str)
def test_a_worker_is_born_once(said: tuple[str, ...], word: str) -> None:
    talk = talk_with(ready=False)
    for earlier in said:
        talk.hear({"say": earlier, **FAILED})
    if word in LIVES[said]:
        talk.hear({"say": word, **FAILED})
    else:
        with pytest.raises(GarbageError, match="out of turn"):
            talk.hear({"say": word, **FAILED})


def test_no_batch_is_started_before_ready() -> None:
    talk = talk_with(BATCH, ready=False)
    talk.hear({"say": "hello"})
    with pytest.raises(GarbageError):
        talk.hear(about("start"))


def test_only_one_run_at_a_time() -> None:
    talk = talk_with(BATCH, OTHER)
    talk.hear(about("start"))
    with pytest.raises(GarbageError):
        talk.hear(about("start", OTHER))


def test_the_next_may_run_while_the_last_is_written() -> None:
    talk = talk_with(BATCH, OTHER)
    for message in (about("start"), about("ran"), about("start", OTHER)):
        talk.hear(message)
    assert isinstance(talk.hear(about("done")), BatchScored)


@pytest.mark.parametrize("batch", [OTHER, replace(BATCH, dispatch=2)])
def test_what_it_was_not_given_it_cant_speak_of(batch: MiniBatch) -> None:
    with pytest.raises(GarbageError, match="no such order"):
        talk_with(BATCH).hear(about("start", batch))


def test_an_order_comes_back_where_it_was_asked_back() -> None:
    talk = talk_with(BATCH)
    assert talk.withdrawn(BATCH.batch_id, 3)
    assert isinstance(talk.hear(about("returned")), OrderReturned)
    assert not talk.withdrawn(BATCH.batch_id, 3)


def test_an_order_comes_back_from_one_that_stops() -> None:
    talk = talk_with(BATCH)
    talk.stopping = True
    assert isinstance(talk.hear(about("returned")), OrderReturned)


def test_an_order_that_started_never_comes_back() -> None:
    talk = talk_with(BATCH)
    talk.withdrawn(BATCH.batch_id, 3)
    talk.hear(about("start"))
    with pytest.raises(GarbageError):
        talk.hear(about("returned"))


def test_an_answered_question_lets_it_go_on() -> None:
    talk = talk_with(BATCH)
    for message in (about("start"), about("ran"), about("schema")):
        talk.hear(message)
    assert talk.answered(BATCH.batch_id, 3)
    assert not talk.answered(BATCH.batch_id, 3)
    talk.hear(about("done"))


def test_the_pid_is_the_one_that_we_know() -> None:
    ready = _ready(pid=1, init_s=2, rss_bytes=3, model="m", script_sha256="s")
    assert ready == WorkerReady(worker_id=4, pid=99, init_s=2.0, rss_bytes=3, model="m", script_sha256="s")


def _ready(**fields: Any) -> object:
    talk = talk_with(ready=False)
    talk.hear({"say": "hello"})
    return talk.hear({"say": "ready", **fields})


@pytest.mark.parametrize("wrong", [{"init_s": "1"}, {"init_s": float("nan")}, {"rss_bytes": -1}, {"model": 5}])
def test_a_ready_that_makes_no_sense_is_garbage(wrong: dict[str, Any]) -> None:
    with pytest.raises(GarbageError):
        _ready(**wrong)


def scored(**fields: Any) -> Any:
    talk = talk_with(BATCH)
    talk.hear(about("start"))
    talk.hear(about("ran"))
    return talk.hear({**about("done"), **fields})


def test_a_receipt_is_taken_over_field_by_field() -> None:
    event = scored(
        outputs=[{"name": "p.parquet", "size_bytes": 5}, {"name": "_files/..a/b", "size_bytes": 6}],
        seconds={"load": 1, "run": 2.5, "write": 3},
        peak_rss_bytes=7,
        succeeded=1,
        failed_files=[["b\udcff.csv", "why"]],
        note="n",
        schema_conflicts=[{"column": "p", "is": "double", "sample": [0.5, None]}],
        bytes_written=10**9,
    )
    receipt = event.receipt
    assert event.staging == DONE["staging"]
    assert (receipt.batch_id, receipt.dispatch, receipt.rows, receipt.succeeded) == (BATCH.batch_id, 3, 2, 1)
    assert (receipt.bytes_written, receipt.peak_rss_bytes, receipt.note) == (11, 7, "n")
    assert (receipt.load_s, receipt.run_s, receipt.write_s) == (1.0, 2.5, 3.0)
    assert receipt.failed_files == (("b\udcff.csv", "why"),)
    assert receipt.schema_conflicts == ({"column": "p", "is": "double", "sample": [0.5, None]},)


@pytest.mark.parametrize(
    "wrong",
    [
        {"staging": "/etc"},
        {"staging": f"{STAGING}/{BATCH.batch_id}.3/../x"},
        {"staging": None},
        {"rows": -1},
        {"rows": True},
        {"rows": 2**63},
        {"succeeded": 3},
        {"succeeded": 1.0},
        {"outputs": {"name": "a"}},
        {"outputs": ["a"]},
        {"outputs": [{"name": "a"}]},
        {"outputs": [{"name": "a", "size_bytes": -1}]},
        *({"outputs": [{"name": name, "size_bytes": 1}]} for name in ("", "/a", "..", "a/../b", "a//b", "./a", "a/")),
        *({"outputs": [{"name": name, "size_bytes": 1}]} for name in ("a\0b", "\ud800", "é" * 2048)),
        {"seconds": [1]},
        {"seconds": {"run": float("nan")}},
        {"seconds": {"run": float("inf")}},
        {"seconds": {"run": -0.1}},
        {"seconds": {"run": True}},
        {"seconds": {"run": 10**400}},
        {"peak_rss_bytes": "1"},
        {"failed_files": [["c.csv", "why"]]},
        {"failed_files": [["a.csv", "why"], ["a.csv", "again"]]},
        {"failed_files": [["a.csv"]]},
        {"failed_files": "a.csv"},
        {"note": None},
        {"schema_conflicts": ["p"]},
        {"schema_conflicts": [{"a": float("nan")}]},
        {"schema_conflicts": [{"a": 10**30}]},
        {"schema_conflicts": [{"a": [[[[[1]]]]]}]},
    ],
    ids=str,
)
def test_a_receipt_that_makes_no_sense_is_garbage(wrong: dict[str, Any]) -> None:
    with pytest.raises(GarbageError):
        scored(**wrong)


def failed(**fields: Any) -> BatchFailed:
    event = talk_with(BATCH).hear({**about("failed"), **fields})
    assert isinstance(event, BatchFailed)
    return event


def test_a_failure_bears_what_was_printed_last_and_the_worker() -> None:
    failure = failed(exception="E", traceback="T", file="a.csv").failure
    assert (failure.kind, failure.message, failure.exception) == (FailureKind.SCRIPT_RAISED, "no good", "E")
    assert (failure.traceback, failure.file, failure.worker_id) == ("T", "a.csv", 4)
    assert failure.log_tail == "last words"


def test_a_file_that_was_not_in_the_batch_is_not_blamed() -> None:
    assert failed(file="/etc/passwd").failure.file == ""


def test_endless_text_is_cut() -> None:
    failure = failed(message="m" * 10**6, traceback="T" + "t" * 10**6 + "the end").failure
    assert len(failure.message) < 5000
    assert len(failure.traceback) < 70_000
    assert failure.traceback.endswith("the end")


@pytest.mark.parametrize(
    "wrong", [{"kind": "worker_died"}, {"kind": "interrupted"}, {"kind": "nonsense"}, {"kind": 1}, {"message": None}]
)
def test_a_failure_that_no_worker_can_know_of_is_garbage(wrong: dict[str, Any]) -> None:
    with pytest.raises(GarbageError):
        failed(**wrong)


@pytest.mark.parametrize("wrong", [{"columns": None}, {"columns": [["p"]]}, {"columns": [["p", 1]]}, {"columns": "pq"}])
def test_a_question_that_makes_no_sense_is_garbage(wrong: dict[str, Any]) -> None:
    talk = talk_with(BATCH)
    talk.hear(about("start"))
    with pytest.raises(GarbageError):
        talk.hear({**about("schema"), **wrong})


@pytest.mark.parametrize("message", [{}, {"say": 1}, {"say": "bye"}, {"say": "start"}, {"do": "run"}])
def test_what_is_no_word_is_garbage(message: dict[str, Any]) -> None:
    with pytest.raises(GarbageError):
        talk_with(BATCH).hear(message)


WORDS = ("hello", "ready", "init_failed", "start", "ran", "schema", "done", "failed", "returned")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a.csv"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
KEYS = (*DONE, "kind", "file", "columns", "outputs", "seconds", "failed_files", "note", "schema_conflicts", "init_s")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no defect
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.dictionaries(st.sampled_from(KEYS), VALUES)), max_size=6))
def test_whatever_it_says_is_an_event_or_garbage(said: list[tuple[str, dict[str, Any]]]) -> None:
    talk = talk_with(BATCH)
    with suppress(GarbageError):
        for word, fields in said:
            talk.hear({**about(word), **fields})


def test_an_abyss_is_garbage_and_no_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(GarbageError):
        talk_with(BATCH).hear({"say": "schema", "batch_id": deep, "dispatch": 3})
