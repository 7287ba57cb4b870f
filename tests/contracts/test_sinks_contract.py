"""What every sink must do, whatever a script returns; and what each format makes of it."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import importlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorewatch.worker import scoring, sinks
from scorewatch.worker.orders import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMATS = sorted(sinks.SINKS)
FILES = ("a.txt", "sub/b.txt", "c.txt")


class Opaque:
    def __str__(self) -> str:
        raise RuntimeError("never")

    __repr__ = __str__


NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
RING: list[Any] = []
RING.append(RING)

ODD: dict[str, list[Any]] = {
    "nothing": [],
    "mixed": [1, "a", None],
    "numbers": [1, 2.5, True],
    "huge": [2**80, -1, 0],
    "numpy scalars": [np.float32(0.1), np.int8(3), np.bool_(True)],
    "arrays": [np.zeros(3), np.ones((2, 2), dtype="f4"), np.array(["x"])],
    "times": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.date(2026, 1, 1), pd.Timestamp("2026-01-01")],
    "decimals": [decimal.Decimal("1.50"), decimal.Decimal("NaN"), decimal.Decimal(7)],
    "bytes": [b"\xff", bytearray(b"x"), memoryview(b"y")],
    "missing": [None, float("nan"), pd.NA],
    "infinite": [float("inf"), float("-inf"), 0.0],
    "nested": [{"a": {"b": [1, {"c": None}]}}, {"a": []}, {"a": "text"}],
    "empty containers": [[], {}, ()],
    "sets": [{1, 2}, frozenset({"x"}), {None}],
    "objects": [Opaque(), object, len],
    "rings": [RING, [RING], {"ring": RING}],
    "surrogates": ["odd\udcff", "half\ud800", "\U0001f600"],
    "line ends": ["a\nb", "c\r\nd", 'e"f,g'],
    "keys": [{1: "x", "1": "y", None: "z", (1, 2): "t", "": 0}, {"sealed_date": 1, "sealed_date_": 2}, {"file": "own"}],
    "complex": [1 + 2j, range(3), slice(1)],
    "tuples": [(1, "a"), [2, "b"], (3,)],
    "named": [{"file": None, "v": 1}, {"file": "mine", "v": 2}, {"v": 3}],
}
FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "plain": lambda: pd.DataFrame({"x": [1, 2], "y": ["a", None]}, index=[7, 7]),
    "empty": pd.DataFrame,
    "no rows": lambda: pd.DataFrame({"x": pd.Series([], dtype="int64")}),
    "duplicate names": lambda: pd.DataFrame([[1, 2, 3]], columns=["x", "x", "x_1"]),
    "levels": lambda: pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    "kinds": lambda: pd.DataFrame(
        {
            "category": pd.Categorical(["u", "v"]),
            "period": pd.period_range("2026-01", periods=2, freq="M"),
            "interval": pd.interval_range(0, 2),
            "nullable": pd.array([1, None], dtype="Int64"),
            "zone": pd.to_datetime(["2026-01-01", None]).tz_localize("Europe/Berlin"),
            "delta": pd.to_timedelta([1, 2], unit="s"),
            "objects": [object(), {"a": 1}],
            "half": np.array([1, 2], dtype="f2"),
            "complex": [1j, 2j],
            "surrogate": pd.Series(["\udcff", "x"], dtype=object),
            5: [1, 2],
            "sealed_date": [1, 2],
        }
    ),
}


def make(format_: str, **more: Any) -> tuple[sinks.Sink, str]:
    name = f"predictions.{format_}"
    deployment = Deployment(staging="", scratch="", format=format_, output_file_name=name, **more)
    sink = sinks.make(deployment)
    sink.warm_up()
    return sink, name


class Shelf:
    """Batches written one after the other with one output schema, as the daemon keeps it."""

    def __init__(self, root: Path, format_: str, **more: Any) -> None:
        self.sink, self.name = make(format_, **more)
        self.root = root / "batches"
        self.schema: dict[str, str] = {}
        self.count = 0

    def put(self, result: Any, files: tuple[str, ...] = FILES) -> tuple[Path, str, list[dict[str, str]]]:
        part = scoring.check(result, files)
        return self.put_rows(scoring.Rows([part], part.count))

    def put_rows(self, rows: scoring.Rows) -> tuple[Path, str, list[dict[str, str]]]:
        self.count += 1
        folder = self.root / "sealed_date=2026-11-22" / f"b{self.count}"
        folder.mkdir(parents=True)
        (folder / "_manifest.json").write_text("{}")
        taken = self.sink.take(rows)
        for name, kind in self.sink.lacks(taken, tuple(self.schema.items())):
            assert name not in self.schema
            self.schema[name] = kind
        note, conflicts = self.sink.write(taken, tuple(self.schema.items()), str(folder))
        return folder / self.name, note, conflicts

    def read(self) -> pd.DataFrame:
        return pd.read_parquet(self.root)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("odd", ODD)
def test_no_list_makes_it_raise(tmp_path: Path, format_: str, odd: str) -> None:
    if format_ == "azure" and odd == "objects":
        pytest.skip("str() of each element is the format")
    shelf = Shelf(tmp_path, format_)
    path, _, _ = shelf.put(ODD[odd])
    again, _, _ = shelf.put(ODD[odd])  # now with a schema
    assert path.exists() == again.exists()
    if format_ == "parquet" and ODD[odd]:
        assert pq.read_table(path).num_rows == 3
        assert len(shelf.read()) == 6
    if format_ == "jsonl":
        assert len([json.loads(line) for line in path.read_text("utf-8").split("\n") if line]) == len(ODD[odd])
    if format_ == "csv" and ODD[odd]:
        with path.open(newline="", encoding="utf-8") as file:
            assert len({len(row) for row in csv.reader(file)}) == 1


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", FRAMES)
def test_no_frame_makes_it_raise(tmp_path: Path, format_: str, kind: str) -> None:
    if format_ == "azure" and kind == "kinds":
        pytest.skip("to_csv() is the format")
    frame = FRAMES[kind]()
    before = frame.copy()
    shelf = Shelf(tmp_path, format_)
    path, _, _ = shelf.put(frame)
    shelf.put(FRAMES[kind]())
    pd.testing.assert_frame_equal(frame, before)  # the script's own frame is left alone
    if format_ == "parquet" and len(frame):
        table = pq.read_table(path)
        assert table.num_rows == len(frame)
        assert len(set(table.column_names)) == len(frame.columns)
        assert len(shelf.read()) == 2 * len(frame)


@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
def test_the_script_may_change_its_objects_once_they_are_taken(tmp_path: Path, format_: str) -> None:
    sink, name = make(format_)
    array, inner, frame = np.array([1.0]), [1], pd.DataFrame({"x": np.array([1.0])})
    taken = [sink.take(scoring.Rows([scoring.check(r, ("a",))], 1)) for r in ([array], [inner], frame)]
    array[0], inner[0] = 9.0, 9
    frame.loc[0, "x"] = 9.0
    for number, each in enumerate(taken):
        folder = tmp_path / str(number)
        folder.mkdir()
        sink.write(each, sink.lacks(each, ()), str(folder))
        content = str(pq.read_table(folder / name).to_pydict()) if format_ == "parquet" else (folder / name).read_text()
        assert "9" not in content


@pytest.mark.parametrize("format_", FORMATS)
def test_it_never_writes_over_a_file(tmp_path: Path, format_: str) -> None:
    sink, name = make(format_)
    taken = sink.take(scoring.Rows([scoring.check([1], ("a",))], 1))
    (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        sink.write(taken, sink.lacks(taken, ()), str(tmp_path))
    assert not (tmp_path / "victim").exists()


# ---------------------------------------------------------------- rows
def test_a_file_stands_beside_each_element_where_the_numbers_agree(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    assert pq.read_table(shelf.put([1, 2, 3])[0]).to_pydict() == {"prediction": [1, 2, 3], "file": list(FILES)}
    assert pq.read_table(shelf.put([1, 2])[0]).to_pydict() == {"prediction": [1, 2], "file": [None, None]}


def test_dicts_become_columns_and_their_own_file_wins(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    path, _, _ = shelf.put([{"label": "x"}, {"score": 0.5, "file": "mine"}, 7])
    assert pq.read_table(path).to_pydict() == {
        "label": ["x", None, None],
        "score": [None, 0.5, None],
        "file": ["a.txt", "mine", "c.txt"],
        "prediction": [None, None, 7],
    }


def test_the_partitions_name_is_given_up(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    path, note, _ = shelf.put([{"sealed_date": 1, "sealed_date_": 2}] * 3)
    assert "sealed_date was renamed to sealed_date__" in note
    assert pq.read_schema(path).names == ["sealed_date__", "sealed_date_", "file"]
    assert shelf.read()["sealed_date"].astype(str).tolist() == ["2026-11-22"] * 3


def test_per_file_every_row_of_a_frame_carries_its_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    results = [pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [], "y": []}), ["element"]]
    parts = [
        scoring.Part((name,), frame=r if isinstance(r, pd.DataFrame) else None, elements=r if isinstance(r, list) else None, each_row=True)  # noqa: E501 - one thing
        for name, r in zip(FILES, results, strict=True)
    ]  # fmt: skip
    path, _, _ = shelf.put_rows(scoring.Rows(parts, 3))
    table = pq.read_table(path).to_pydict()
    assert table["file"] == ["a.txt", "a.txt", "c.txt"]
    assert table["prediction"] == [None, None, "element"]


def test_dicts_with_a_key_a_file_do_not_widen_the_table(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    path, _, _ = shelf.put([{f"{n}-{k}": k for k in range(1001)} for n in range(3)])
    assert pq.read_schema(path).names == ["prediction", "file"]


# ---------------------------------------------------------------- the output schema
@pytest.mark.parametrize("first", [[None] * 3, [], pd.DataFrame({"prediction": [None], "file": [None]})])
@pytest.mark.parametrize(
    "later",
    [[1, 2, 3], [0.5, 1, 2], ["x", "y", "z"], [True, False, None], [b"x", b"y", b"z"], [dt.date(2026, 1, 1)] * 3],
)
def test_a_column_without_values_first_spoils_nothing_later(tmp_path: Path, first: Any, later: list[Any]) -> None:
    shelf = Shelf(tmp_path, "parquet")
    shelf.put(first)
    shelf.put(later)
    frame = shelf.read()
    assert len(frame) == len(first) + 3
    assert frame["prediction"].notna().sum() == sum(value is not None for value in later)
    assert frame["file"].dropna().tolist()[-3:] == list(FILES)


def test_a_batch_without_rows_first_decides_no_type(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    assert not shelf.put([])[0].exists()
    shelf.put([1, 2, 3])
    assert pq.read_schema(shelf.put([])[0]).names == ["prediction", "file"]
    assert shelf.read()["prediction"].dtype == "int64"


def test_the_first_type_wins_where_nothing_is_lost(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    shelf.put([1, 2, 3])
    assert shelf.schema == {"prediction": "int64", "file": "string"}
    for fits in ([4.0, None, float("nan")], [None] * 3, [np.float32(4)] * 3, [np.int8(1)] * 3, [True, False, None], []):
        path, _, conflicts = shelf.put(fits)
        assert conflicts == []
        assert pq.read_schema(path).field("prediction").type == pa.int64()
    for lost, kind in (([0.5, 1, 2], "double"), (["7", "8", "9"], "string"), ([[1], [2], [3]], "list<item: int64>")):
        path, _, conflicts = shelf.put(lost)
        assert [(c["column"], c["schema_type"]) for c in conflicts] == [("prediction", "int64")]
        assert conflicts[0]["batch_type"].startswith(kind[:4])
        assert pq.read_table(path)["prediction"].to_pylist() == lost


def test_whole_floats_read_as_one_table_with_integers(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    shelf.put([1, 2, 3])
    shelf.put([4.0, 5.0, 6.0])
    assert shelf.read()["prediction"].tolist() == [1, 2, 3, 4, 5, 6]
    assert shelf.read()["prediction"].dtype == "int64"


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ([0.5] * 3, [2**53 + 1] * 3),  # no double
        ([np.float32(0.5)] * 3, [0.1] * 3),
        ([[1]] * 3, [[0.5]] * 3),
        ([dt.date(2026, 1, 1)] * 3, [dt.datetime(2026, 1, 1, 12)] * 3),  # noqa: DTZ001 - scripts return naive ones
    ],
)
def test_what_would_be_lost_is_written_as_it_came(tmp_path: Path, first: list[Any], later: list[Any]) -> None:
    shelf = Shelf(tmp_path, "parquet")
    shelf.put(first)
    path, _, conflicts = shelf.put(later)
    assert len(conflicts) == 1
    assert pq.read_table(path)["prediction"].to_pylist() == later


def test_columns_come_in_the_schemas_order_and_missing_ones_are_null(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    shelf.put([{"b": 1, "a": "x"}] * 3)
    path, _, _ = shelf.put([{"c": 0.5, "b": 2}] * 3)
    table = pq.read_table(path)
    assert table.column_names == ["b", "a", "file", "c"]
    assert table.schema.field("a").type == pa.string()
    assert table["a"].null_count == 3


@pytest.mark.parametrize(
    "value",
    [
        1,
        0.5,
        "x",
        True,
        b"x",
        [1.0],
        {"a": {"b": [None, "x"]}},
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        decimal.Decimal(7),
    ],
)
def test_types_survive_being_spelled(value: Any) -> None:
    arrow = importlib.import_module("scorewatch.worker.sinks.arrow")
    kind = arrow.array_of([{"v": value}]).type if isinstance(value, dict) else arrow.array_of([value]).type
    spelled = arrow.spell(kind)
    assert spelled.isascii()
    assert arrow.parse(spelled) == kind


def test_an_unknown_type_in_the_schema_is_no_obstacle(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "parquet")
    shelf.schema = {"prediction": "arrow:????", "x": "no such type"}
    path, _, _ = shelf.put([1, 2, 3])
    assert pq.read_table(path)["prediction"].to_pylist() == [1, 2, 3]


# ---------------------------------------------------------------- csv, jsonl, azure
def test_a_csv_has_a_header_and_harmless_names(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "csv")
    path, _, _ = shelf.put(["=1+1", 'a,"b"\nc', None], ("=cmd", "@x", "-y"))
    assert path.read_bytes() == b'prediction,file\n=1+1,\'=cmd\n"a,""b""\nc",\'@x\n,\'-y\n'


def test_a_csv_keeps_its_header_over_batches(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "csv")
    shelf.put([{"n": 1, "b": True}] * 3)
    assert shelf.schema == {"n": "int64", "b": "bool", "file": "string"}
    path, _, conflicts = shelf.put([{"n": 2.0}] * 3)
    assert (path.read_text().splitlines()[:2], conflicts) == (["n,b,file", "2,,a.txt"], [])
    _, _, conflicts = shelf.put([{"n": 0.5}, {"b": 1}, {}])
    assert [(c["column"], c["schema_type"], c["batch_type"]) for c in conflicts] == [
        ("n", "int64", "double"),
        ("b", "bool", "int64"),
    ]


def test_json_lines_are_json(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "jsonl")
    path, _, _ = shelf.put(
        [{"ü": float("nan"), "v": np.float64(0.5)}, {"v": np.array([1, 2])}, "odd\udcff"], ("odd\udcff", "b", "c")
    )
    assert "ü" in path.read_text("utf-8")
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [
        {"ü": None, "v": 0.5, "prediction": None, "file": "odd\udcff"},
        {"ü": None, "v": [1, 2], "prediction": None, "file": "b"},
        {"ü": None, "v": None, "prediction": "odd\udcff", "file": "c"},
    ]


def test_azures_list_is_str_and_a_line_end(tmp_path: Path) -> None:
    path, _, _ = Shelf(tmp_path, "azure").put([("a", 1), {"b": None}, np.float32(0.1)])
    assert path.read_bytes() == b"('a', 1)\n{'b': None}\n0.1\n"


def test_azures_frame_has_spaces_and_no_header(tmp_path: Path) -> None:
    path, _, _ = Shelf(tmp_path, "azure").put(pd.DataFrame({"x": [1, 2], "y": ["a b", 'c"']}))
    assert path.read_bytes() == b'1 "a b"\n2 "c"""\n'


def test_azures_settings_beside_the_script_are_obeyed(tmp_path: Path) -> None:
    settings = {"append_row": {"pandas.DataFrame.to_csv": {"sep": ",", "index": True, "path_or_buf": "elsewhere"}}}
    (tmp_path / "code" / "sub").mkdir(parents=True)
    (tmp_path / "code" / "sub" / "parallel_run_step.settings.json").write_text(json.dumps(settings))
    shelf = Shelf(tmp_path, "azure", code=str(tmp_path / "code"), script="sub/score.py")
    path, _, _ = shelf.put(pd.DataFrame({"x": [5]}))
    assert path.read_bytes() == b"0,5\n"
