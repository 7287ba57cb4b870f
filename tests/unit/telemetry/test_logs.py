"""What a log line looks like, whatever is put into it."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest

from scorewatch.telemetry.logs import Bridge, make_logger, utc
from scorewatch.telemetry.plain import printable

TORTURE = [
    "plain.csv",
    "new\nline.csv",
    "carriage\r.csv",
    "\x1b[31mred\x1b[0m.csv",
    "\x1b]0;title\x07.csv",
    "bidi\u202egpj.exe",
    "isolate\u2066x\u2069.csv",
    "bytes-\udcff\udc80.csv",
    "c1-\x9b31m.csv",
    "delete\x7f.csv",
    "tab\t.csv",
    "separators\u2028\u2029\u0085.csv",
    "-rf",
    "=cmd|'/c calc'!A1",
    'quote"back\\slash.csv',
    "ü€.csv",
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(form: str, *said: dict[str, Any], level: str = "info", stream: io.StringIO | None = None) -> list[str]:
    stream = stream or io.StringIO()
    log = make_logger("digits", level=level, form=form, stream=stream)
    for fields in said:
        log.info("files_skipped", **fields)
    text = stream.getvalue()
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


def test_a_json_line_has_when_how_important_what_and_where() -> None:
    (line,) = lines("json", {"files": 3, "at": 1_795_383_461.1234})
    assert line == (
        '{"timestamp":"2026-11-22T21:37:41.123Z","level":"info","event":"files_skipped","deployment":"digits","files":3}'
    )


def test_the_time_is_now_unless_it_is_given() -> None:
    (line,) = lines("json", {})
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", json.loads(line)["timestamp"])
    assert utc(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("name", TORTURE, ids=ascii)
@pytest.mark.parametrize("form", ["json", "console"])
def test_any_name_is_one_line_without_a_character_that_acts(form: str, name: str) -> None:
    (line,) = lines(form, {"names": [name], "file": name, "where": {name: name}})
    assert line.isprintable()
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", line)
    if form == "json":
        assert line.isascii()
        assert json.loads(line)["names"] == [name]


@pytest.mark.parametrize(
    "key", ["password", "DB_PASSWORD", "api_key", "apikey", "Authorization", "client_secret", "token"]
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_hidden_by_their_names(form: str, key: str) -> None:
    (line,) = lines(form, {key: "canary-81", "environment": {key: "canary-81", "OMP": "1"}})
    assert "canary-81" not in line
    assert "OMP" in line


def test_less_important_lines_than_wanted_are_left_out() -> None:
    stream = io.StringIO()
    log = make_logger("digits", level="warning", form="json", stream=stream)
    log.debug("sweep_ended")
    log.info("batch_sealed")
    log.warning("batch_retried")
    log.error("failing")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["batch_retried", "failing"]


def test_auto_is_json_for_machines_and_readable_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert lines("auto", {"files": 3})[0].startswith("{")
    coloured = lines("auto", {"files": 3}, stream=Terminal())[0]
    assert "files_skipped" in coloured
    assert "\x1b[32minfo" in coloured
    assert lines("json", {"files": 3}, stream=Terminal())[0].startswith("{")


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    (line,) = lines("auto", {"names": ["a b", "c"], "message": "no room", "at": 0.0}, stream=Terminal())
    assert line == '00:00:00 info    files_skipped        names=["a b", c] message="no room"'


def test_colours_never_reach_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in lines("console", {"files": 3})[0]


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_endless_text_keeps_its_end(form: str) -> None:
    (line,) = lines(form, {"traceback": "x" * 1_000_000 + "ValueError: the point"})
    assert len(line) < 5000
    assert "ValueError: the point" in line


def test_a_log_that_cannot_be_written_does_not_stop_the_work() -> None:
    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(28, f"No space left for {len(text)} characters")

    make_logger("digits", form="json", stream=Full()).info("batch_sealed")
    closed = io.StringIO()
    log = make_logger("digits", form="json", stream=closed)
    closed.close()
    log.info("batch_sealed")


def test_what_libraries_log_becomes_a_line_too() -> None:
    stream = io.StringIO()
    library = logging.getLogger("scorewatch-test-library")
    library.propagate = False
    library.addHandler(Bridge(make_logger("digits", form="json", stream=stream)))
    library.warning("queue %s", "over\nflowed")
    library.info("nothing much")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "library_warned"
    assert json.loads(line)["message"] == "queue over\nflowed"


def test_what_is_visible_is_shown_as_it_is() -> None:
    assert printable("ü€ 日本.csv") == "ü€ 日本.csv"
    assert printable("a\nb\x1b\u202e\udcff") == "a\\nb\\x1b\\u202e\\udcff"
