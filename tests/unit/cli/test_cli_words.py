"""What is printed for humans: safe on a terminal, plain elsewhere."""

from __future__ import annotations

import json
import sys

import pytest

from scorewatch.cli import words
from scorewatch.model.errors import ExitCode, ScorewatchError

NASTY = "a\x1b[31m\n\u202eb\udcff.csv"


def test_a_path_with_escape_codes_bidi_and_bad_bytes_is_spelled_out_on_one_line() -> None:
    assert words.shown_path(NASTY) == "a\\x1b[31m\\n\\u202eb\\udcff.csv"


def test_a_traceback_keeps_its_lines_and_loses_its_escape_codes() -> None:
    assert words.printable_text("one\n\ttwo \x1b[2J\r\n") == "one\n\ttwo \\x1b[2J\\r\n"


def test_an_error_on_stderr_has_no_raw_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    error = ScorewatchError(f"bad {NASTY}", where=NASTY, hint=f"mv {NASTY}")
    error.traceback = f"Traceback:\n  {NASTY}\n"  # type: ignore[attr-defined]  # as a script's failure has one
    words.tell_error(error)
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert said.isascii()


def test_an_error_as_json_names_what_where_hint_and_code() -> None:
    told = words.error_json(ScorewatchError("gone", where="x", hint="mount it", exit_code=ExitCode.FOLDER_UNUSABLE))
    assert told == {"error": {"what": "gone", "where": "x", "hint": "mount it", "exit_code": 6}}


def test_json_is_ascii_and_brings_any_name_through(capsys: pytest.CaptureFixture[str]) -> None:
    words.emit({"path": NASTY})
    said = capsys.readouterr().out
    assert said.isascii()
    assert json.loads(said) == {"path": NASTY}


class Terminal:
    """Standard output, as a terminal has it."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_is_for_terminals_and_no_color_is_obeyed(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    words.say("fine", "ok")
    assert ("\x1b[" in terminal.text) is coloured
    assert "fine" in terminal.text


def test_elsewhere_than_on_a_terminal_there_is_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    words.say("fine", "ok")
    assert capsys.readouterr().out == "fine\n"


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (12_345_678, "12.3 MB"), (5 * 10**12, "5.0 TB")],
)
def test_sizes(number: int, said: str) -> None:
    assert words.size(number) == said


@pytest.mark.parametrize(
    ("passed", "said"),
    [(0, "just now"), (59, "59 seconds ago"), (60, "1 minute ago"), (7200, "2 hours ago"), (86_400 * 3, "3 days ago")],
)
def test_how_long_ago(passed: float, said: str) -> None:
    assert words.ago(1000.0, now=1000.0 + passed) == said


def test_times_are_read_as_numbers_and_as_iso_and_nonsense_is_none() -> None:
    assert words.moment(12) == 12.0
    assert words.moment("1970-01-01T00:00:12.000Z") == 12.0
    assert words.moment(None) is None
    assert words.moment("soon") is None


def test_one_is_singular_and_thousands_have_commas() -> None:
    assert words.count(1, "batch", "batches") == "1 batch"
    assert words.count(1200, "batch", "batches") == "1,200 batches"
    assert words.count(0, "file") == "0 files"


def test_columns_are_aligned_and_no_line_ends_with_blanks() -> None:
    assert words.table([("a", "1", ""), ("long", "22", "x")], indent="") == ["a     1", "long  22  x"]
