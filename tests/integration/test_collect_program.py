"""`collect`, run by its path as the CLI does."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorewatch.worker import messages

PROGRAM = Path(messages.__file__).with_name("collect.py")


class Outbox:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._count = 0
        root.mkdir()

    def commit(self, name: str = "", content: bytes = b"", *, rows: int = 0, table: Any = None, at: str = "") -> Path:
        self._count += 1
        batch = f"2026112{self._count}T000000Z-{self._count:020x}"
        folder = self.root / "batches" / f"sealed_date=2026-11-2{self._count}" / batch
        folder.mkdir(parents=True)
        outputs = []
        if table is not None:
            name = "predictions.parquet"
            pq.write_table(table, folder / name)
        elif name:
            (folder / name).write_bytes(content)
        if name:
            outputs = [{"name": name, "size_bytes": (folder / name).stat().st_size}]
        manifest = {"rows": rows, "outputs": outputs, "committed_at": at or f"2026-11-2{self._count}T00:00:01Z"}
        (folder / "_manifest.json").write_text(json.dumps(manifest))
        return folder

    def collect(self, to: Path, *more: str, code: int = 0) -> dict[str, Any]:
        command = [sys.executable, str(PROGRAM), "--outbox", str(self.root), "--to", str(to), *more]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == code, ended.stdout + ended.stderr
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def test_columns_are_united_by_name_with_a_type_that_holds_all_values(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit(table=pa.table({"x": pa.nulls(1, pa.string()), "file": ["a"]}))  # nulls first: the worker's spelling
    outbox.commit(table=pa.table({"x": [1, 2], "file": ["b", "c"]}))
    outbox.commit(table=pa.table({"x": [0.5], "file": ["d"], "mixed": [1]}))
    outbox.commit(table=pa.table({"mixed": ["text"]}))
    outbox.commit()  # a batch without rows has no file
    to = tmp_path / "all.parquet"
    assert outbox.collect(to) == {"rows": 5, "batches": 5, "path": str(to)}
    table = pq.read_table(to)
    assert table.to_pydict() == {
        "x": [None, 1.0, 2.0, 0.5, None],
        "file": ["a", "b", "c", "d", None],
        "mixed": [None, None, None, "1", "text"],
    }
    assert table.schema.field("x").type == pa.float64()


def test_formats_may_be_mixed_and_text_that_looks_like_a_number_stays_text(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit("predictions.csv", b"code,score\n007,1\n,\n")
    outbox.commit("predictions.jsonl", b'{"code": "x", "score": 2.5}\n{"code": "y", "more": [1, 2]}\n')
    to = tmp_path / "all.parquet"
    assert outbox.collect(to)["rows"] == 4
    assert pq.read_table(to).to_pydict() == {
        "code": ["007", None, "x", "y"],
        "score": [1.0, None, 2.5, None],
        "more": [None, None, None, [1, 2]],
    }


def test_a_csv_has_one_header_and_harmless_names(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit(table=pa.table({"prediction": [[1.5, 2]], "file": ["=cmd"]}))
    outbox.commit("predictions.csv", b'file,prediction,extra\n\'=cmd,"a,\nb",=1\n')
    to = tmp_path / "all.csv"
    assert outbox.collect(to)["rows"] == 2
    with to.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["prediction", "file", "extra"],
            ["[1.5, 2.0]", "'=cmd", ""],
            ["a,\nb", "'=cmd", "=1"],
        ]


def test_json_lines_keep_each_row_as_it_was(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit("predictions.jsonl", b'{"a": null}\n')
    outbox.commit(table=pa.table({"b": [float("inf")], "c": ["\u2028"]}))
    to = tmp_path / "all.jsonl"
    outbox.collect(to)
    assert [json.loads(line) for line in to.read_text().split("\n") if line] == [
        {"a": None},
        {"b": None, "c": "\u2028"},
    ]


def test_numbers_of_csv_files_are_numbers_in_json_lines_as_they_are_in_parquet(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit("predictions.csv", b"code,score,good,file\n007,1,True,a\n,,,b\n")
    outbox.commit("predictions.csv", b"code,score\n8,0.5\n")
    lines, table = tmp_path / "all.jsonl", tmp_path / "all.parquet"
    outbox.collect(lines)
    outbox.collect(table)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert rows == [
        {"code": "007", "score": 1.0, "good": True, "file": "a"},
        {"code": None, "score": None, "good": None, "file": "b"},
        {"code": "8", "score": 0.5},
    ]
    assert [{"good": None, "file": None, **row} for row in rows] == [
        {"good": row.pop("good"), "file": row.pop("file"), **row} for row in pq.read_table(table).to_pylist()
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("predictions.parquet", b"PAR1 not"),
        ("predictions.csv", b"a\n\xff\n"),
        ("predictions.jsonl", b"{\n"),
    ],
)
@pytest.mark.parametrize("to", ["all.parquet", "all.csv", "all.jsonl"])
def test_a_damaged_output_is_named_in_a_sentence(
    outbox: Outbox, tmp_path: Path, name: str, content: bytes, to: str
) -> None:
    folder = outbox.commit(name, content)
    answer = outbox.collect(tmp_path / to, code=2)
    assert answer["where"] == str(folder / name)
    assert answer["error"] in {"this output can't be read: its content is damaged", "line 1 of this output is no JSON"}


def test_a_folder_that_is_not_there_is_named_with_what_helps(outbox: Outbox, tmp_path: Path) -> None:
    answer = outbox.collect(tmp_path / "no dir" / "all.csv", code=2)
    assert answer["where"] == str(tmp_path / "no dir")
    assert answer["hint"] == f"make it: mkdir -p '{tmp_path}/no dir'"


def test_azure_files_are_joined_to_the_byte(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit("predictions.csv", b"1 2\n", rows=1)
    outbox.commit("predictions.csv", b'"a b" \xff\n', rows=1)
    to = tmp_path / "predictions.csv"
    assert outbox.collect(to, "--format", "azure")["rows"] == 2
    assert to.read_bytes() == b'1 2\n"a b" \xff\n'


@pytest.mark.parametrize(
    ("since", "rows"), [("2026-11-22T00:00:01Z", 2), ("2026-11-22T01:00:01.5+01:00", 1), ("2030-01-01", 0)]
)
def test_since_looks_at_the_commit(outbox: Outbox, tmp_path: Path, since: str, rows: int) -> None:
    for _ in range(3):
        outbox.commit("predictions.jsonl", b"{}\n")
    to = tmp_path / "all.jsonl"
    assert outbox.collect(to, "--since", since)["rows"] == rows
    assert len(to.read_bytes().splitlines()) == rows


def test_many_rows_pass_in_pieces(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit(table=pa.table({"x": list(range(25_001))}))
    outbox.commit(table=pa.table({"x": [0.5]}))
    to = tmp_path / "all.parquet"
    assert outbox.collect(to)["rows"] == 25_002
    assert pq.ParquetFile(to).num_row_groups == 4
    assert sum(pq.read_table(to)["x"].to_pylist()) == sum(range(25_001)) + 0.5


@pytest.mark.parametrize(
    ("to", "more", "said"),
    [
        ("all.xlsx", (), "only .parquet, .csv and .jsonl"),
        ("all.csv", ("--since", "yesterday"), "not a time"),
        ("all.csv", ("--frmat", "azure"), "unrecognized arguments"),
        ("outbox/batches/all.csv", (), "a foreign file among the batches"),
        ("nowhere/all.csv", (), "there is no such folder to write to"),
    ],
)
def test_an_error_is_one_line_of_json(
    outbox: Outbox, tmp_path: Path, to: str, more: tuple[str, ...], said: str
) -> None:
    outbox.commit("predictions.csv", b"a\n1\n")
    answer = outbox.collect(tmp_path / to, *more, code=2)
    assert said in answer["error"]
    assert set(answer) == {"error", "where", "hint"}


def test_a_damaged_file_leaves_the_earlier_result_alone(outbox: Outbox, tmp_path: Path) -> None:
    outbox.commit("predictions.parquet", b"PAR1 not")
    to = tmp_path / "all.parquet"
    to.write_text("earlier")
    assert "error" in outbox.collect(to, code=2)
    assert to.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "outbox"]


def test_links_and_foreign_folders_are_passed_over(outbox: Outbox, tmp_path: Path) -> None:
    folder = outbox.commit("predictions.csv", b"a\n1\n")
    (folder.parent / "foreign").mkdir()
    (folder.parent / "link").symlink_to(folder)
    (folder.parent / ".hidden").mkdir()
    to = tmp_path / "all.csv"
    assert outbox.collect(to)["batches"] == 1
    assert to.read_text() == "a\n1\n"


def test_an_outbox_that_is_not_there_is_an_error(outbox: Outbox, tmp_path: Path) -> None:
    outbox.root.rmdir()
    assert outbox.collect(tmp_path / "all.csv", code=2)["error"] == "there is no outbox"


def test_several_files_of_a_script_are_no_rows(outbox: Outbox, tmp_path: Path) -> None:
    folder = outbox.commit("one.csv", b"a\n1\n")
    manifest = json.loads((folder / "_manifest.json").read_text())
    manifest["outputs"].append({"name": "two.csv", "size_bytes": 1})
    (folder / "_manifest.json").write_text(json.dumps(manifest))
    answer = outbox.collect(tmp_path / "all.csv", code=2)
    assert "2 files" in answer["error"]
    assert answer["where"] == str(folder)
