"""What the worker makes of values, names and exceptions; no process, no socket."""

from __future__ import annotations

import errno
import json
import math
import pickle
import threading
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.worker import failures, messages, scoring
from scorewatch.worker.failures import BadResultError, CannotLoadError
from scorewatch.worker.orders import Deployment, Order, Orders
from scorewatch.worker.scorers.script import takes_context
from scorewatch.worker.sinks.delimited import fit, kind_of
from scorewatch.worker.sinks.plain import clean, json_of, plain, text_of
from scorewatch.worker.sinks.table import unique
from scorewatch.worker.staging import Staging, seal

if TYPE_CHECKING:
    from collections.abc import Callable


# ---------------------------------------------------------------- orders
def order(batch: str, dispatch: int = 1) -> Order:
    return Order.from_message({"batch_id": batch, "dispatch": dispatch, "root": "/r", "files": ["a"], "timeout_s": 1})


def test_orders_come_out_as_they_went_in_but_for_the_withdrawn() -> None:
    back: list[tuple[str, int]] = []
    orders = Orders(back.append)
    for batch in "abc":
        orders.put(order(batch))
    orders.withdraw(("b", 1))
    orders.withdraw(("c", 2))
    orders.withdraw(("x", 1))
    taken = [orders.take(), orders.take()]
    assert [each.batch_id for each in taken if each] == ["a", "c"]
    assert back == [("b", 1)]
    orders.put(order("d"))
    orders.stop()
    orders.put(order("e"))
    assert orders.take() is None
    assert back == [("b", 1), ("d", 1), ("e", 1)]


def test_nothing_ends_before_all_that_waited_is_given_back() -> None:
    ended: list[Order | None] = []
    ended_early = []
    taker = threading.Thread(target=lambda: ended.append(orders.take()), daemon=True)

    def give_back(_: tuple[str, int]) -> None:
        taker.start()
        taker.join(0.1)  # it is to go on waiting
        ended_early.append(not taker.is_alive())

    orders = Orders(give_back)
    orders.put(order("waiting"))
    orders.stop()
    taker.join(10)
    assert (ended_early, ended) == ([False], [None])


def test_taking_waits_for_an_order() -> None:
    orders = Orders(lambda _: None)
    got: list[Order | None] = []
    thread = threading.Thread(target=lambda: got.append(orders.take()))
    thread.start()
    orders.put(order("late"))
    thread.join(10)
    assert [each.batch_id for each in got if each] == ["late"]


def test_a_deployment_passes_over_what_later_versions_add() -> None:
    message = {"do": "init", "staging": "/s", "scratch": "/c", "not_yet_known": 1, "arguments": ["-x"]}
    assert Deployment.from_message(message).arguments == ("-x",)
    with pytest.raises(messages.GarbageError):
        Deployment.from_message({"staging": "/s"})


# ---------------------------------------------------------------- what run() takes and returns
def test_the_mini_batch_is_a_list_that_travels_as_a_plain_one() -> None:
    given = scoring.FileList(["/a"], 7)
    assert (given, given.task_id, json.dumps(given)) == (["/a"], "7", '["/a"]')
    copied = pickle.loads(pickle.dumps(given))  # noqa: S301 - our own
    assert (type(copied), copied) == (list, ["/a"])


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda m: m, False),
        (lambda m, c: m, True),  # noqa: ARG005 - the shape is what counts
        (lambda m, threshold=0.5: m, False),  # noqa: ARG005 - as above
        (lambda m, context=None: m, True),  # noqa: ARG005 - as above
        (lambda *args: args, False),
        (decorated(lambda m: m), False),
        (decorated(lambda m, c: m), True),  # noqa: ARG005 - as above
        (partial(lambda extra, m: m, 1), False),  # noqa: ARG005 - as above
        (len, False),
        (dict, False),
    ],
)
def test_the_context_is_given_to_those_who_ask(run: Callable[..., Any], expected: bool) -> None:
    assert takes_context(run) is expected


@pytest.mark.parametrize("run", [lambda: 1, lambda a, b, c: 1, lambda m, *, must: 1])  # noqa: ARG005 - shapes
def test_a_run_of_another_shape_is_refused(run: Callable[..., Any]) -> None:
    with pytest.raises(CannotLoadError, match="must take"):
        takes_context(run)


class Script:
    """A scorer that returns, or raises, what it was told."""

    def __init__(self, **by_file: Any) -> None:
        self.by_file = by_file

    def score(self, batch: scoring.Batch) -> Any:
        answers = [self.by_file[name] for name in batch.files]
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers[0] if len(answers) == 1 else [row for answer in answers for row in answer]


def test_more_rows_than_files_count_as_all_files() -> None:
    rows = scoring.score(Script(a=[1, 2], b=[3]), scoring.Batch("/", ("a", "b")))  # type: ignore[arg-type] # a fake
    assert (rows.count, rows.succeeded, rows.note) == (3, 2, "")


def test_of_a_short_list_it_is_said_what_can_be_known() -> None:
    files = ("a.txt", "b.txt")
    unknown = scoring.score(Script(**{"a.txt": [1], "b.txt": []}), scoring.Batch("/", files))  # type: ignore[arg-type] # a fake
    assert (unknown.succeeded, "can't be known" in unknown.note) == (1, True)
    named = scoring.score(Script(**{"a.txt": [{"file": "/in/a.txt"}], "b.txt": []}), scoring.Batch("/", files))  # type: ignore[arg-type] # a fake
    assert named.note == "run() returned 1 elements for 2 files; no row names 'b.txt'"


def test_per_file_a_refused_result_costs_its_file() -> None:
    script = Script(a=None, b=[1], c=[], d=SystemExit(2))
    rows = scoring.score(script, scoring.Batch("/", ("a", "b", "c", "d")), per_file=True)  # type: ignore[arg-type] # a fake
    assert [(f.relpath, f.failure.kind) for f in rows.failed] == [("a", "bad_result"), ("d", "script_raised")]
    assert (rows.count, rows.succeeded) == (1, 1)
    assert rows.note == "run() returned nothing for 1 of 4 files"


def test_a_repr_that_raises_is_refused_all_the_same() -> None:
    class Sly:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(BadResultError, match="something that can't be shown"):
        scoring.check(Sly(), ("a",))


# ---------------------------------------------------------------- failures
def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause  # noqa: TRY301 - a traceback is what is wanted
    except BaseException as caught:  # noqa: BLE001 - given by the test
        return caught


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


OutOfMemoryError.__module__ = "torch.cuda"


@pytest.mark.parametrize(
    ("error", "machine"),
    [
        (OSError(errno.ENOSPC, "full"), True),
        (raised(ValueError("x"), OSError(errno.EIO, "disk")), True),
        (OSError(errno.ENOENT, "gone"), False),
        (MemoryError(), False),
        (OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("CUDA out of memory"), False),
        (raised(ValueError("x"), raised(KeyError("y"), OSError(errno.EMFILE, "many"))), True),
    ],
)
def test_who_is_to_blame(error: BaseException, machine: bool) -> None:
    assert (failures.of_script(error, "run()").kind == "environment") is machine


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__context__, two.__context__ = two, one
    assert failures.is_environment(one) is False


def test_a_long_text_keeps_both_ends() -> None:
    text = "a" * 5000 + "z" * 5000
    cut = failures.shorten(text, 1000)
    assert len(cut) <= 1000
    assert cut.startswith("aaa")
    assert cut.endswith("zzz")
    assert failures.shorten("x" * 1000, 1000) == "x" * 1000


def test_an_exception_without_a_text_of_its_own_is_told() -> None:
    class Mute(Exception):  # noqa: N818 - a user's own
        def __str__(self) -> str:
            raise ValueError

    assert "its text could not be made" in failures.describe(Mute())
    assert failures.describe(KeyError()) == "KeyError"
    assert failures.describe(json.JSONDecodeError("bad", "", 0)).startswith("json.decoder.JSONDecodeError: bad")


# ---------------------------------------------------------------- values and names
def test_text_is_made_valid_and_stays_as_it_was_where_it_is() -> None:
    assert clean("über") == "über"
    assert clean("odd\udcff") == "odd\\xff"
    assert clean("half\ud800") == "half\\ud800"


def test_json_has_no_nan() -> None:
    assert json_of({"a": [math.nan, math.inf, 1.5], (1, 2): {3}}) == '{"a": [null, null, 1.5], "(1, 2)": [3]}'
    ring: list[Any] = []
    ring.append(ring)
    assert "[...]" in json_of(ring)


def test_plain_knows_containers_and_leaves_the_rest() -> None:
    thing = object()
    assert plain((1, {2: (3, thing)})) == [1, {"2": [3, thing]}]
    assert text_of(b"\xff") == "\\xff"
    assert text_of(math.nan) is None


def test_names_of_columns_are_unique_text() -> None:
    assert unique(["x", "x", "x_1", 1, "1", None]) == ["x", "x_1", "x_1_1", "1", "1_1", "None"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None], "int64"),
        ([1, 0.5], "double"),
        ([True], "bool"),
        ([True, 1], "string"),
        ([None], None),
        ([[1]], "string"),
    ],
)
def test_kinds_of_csv_columns(values: list[Any], kind: str | None) -> None:
    assert kind_of(values) == kind


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1.0, None], "int64", [1, None]),
        ([0.5], "int64", None),
        (["1"], "int64", None),
        ([1], "double", [1.0]),
        ([2**53 + 1], "double", None),
        ([math.inf], "int32", None),
        ([1], "bool", None),
        ([1, "x"], "string", [1, "x"]),
        ([[1]], "arrow:xyz", [[1]]),
    ],
)
def test_csv_values_fit_where_nothing_is_lost(values: list[Any], kind: str, expected: list[Any] | None) -> None:
    assert fit(values, kind) == expected


# ---------------------------------------------------------------- staging
def test_what_is_sealed_is_listed_and_synced_inside_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("os.fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    (tmp_path / "_files" / "deep").mkdir(parents=True)
    (tmp_path / "_files" / "deep" / "x").write_text("123")
    (tmp_path / "rows").write_text("1")
    assert seal(str(tmp_path), durable=True) == [
        {"name": "_files/deep/x", "size_bytes": 3},
        {"name": "rows", "size_bytes": 1},
    ]
    names = [path.removeprefix(str(tmp_path)) for path in synced]
    assert sorted(names) == ["/_files", "/_files/deep", "/_files/deep/x", "/rows"]
    assert names.index("/_files/deep/x") < names.index("/_files/deep") < names.index("/_files")
    synced.clear()
    seal(str(tmp_path), durable=False)
    assert synced == []


def test_a_folder_of_its_own_is_never_one_of_another(tmp_path: Path) -> None:
    Staging(str(tmp_path / "s"), appends_rows=True).prepare()
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        Staging(str(tmp_path / "s"), appends_rows=True).prepare()


def test_a_manifest_of_the_scripts_is_refused(tmp_path: Path) -> None:
    staging = Staging(str(tmp_path / "s"), appends_rows=False)
    staging.prepare()
    (tmp_path / "s" / "out" / "_manifest.json").write_text("{}")
    with pytest.raises(BadResultError, match="own manifest"):
        staging.collect(staging.folder_of("b", 1))


def test_messages_survive_any_cutting() -> None:
    sent = [{"do": "run", "files": ["odd\udcff"]}, {"do": "stop"}]
    data = b"".join(map(messages.encode, sent))
    for size in (1, 7, len(data)):
        splitter = messages.Splitter()
        got = [m for at in range(0, len(data), size) for m in splitter.feed(data[at : at + size])]
        assert got == sent
