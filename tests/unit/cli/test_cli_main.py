"""The entry: every way to end has its sentence and its exit code, and nothing is loaded that isn't needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from scorewatch.cli import describe
from scorewatch.cli import main as entry
from scorewatch.cli.commands import COMMANDS
from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Callable


HEAVY = (
    "pydantic",
    "structlog",
    "sqlite3",
    "watchdog",
    "pandas",
    "pyarrow",
    "scorewatch.settings",
    "scorewatch.daemon",
)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Puts a function in the place of `status`: `command(function)`."""

    def put(function: Callable[..., None]) -> None:
        monkeypatch.setattr(
            entry, "import_module", lambda _name: type("Module", (), {"status": staticmethod(function)})
        )

    return put


def test_help_and_version_load_nothing_but_typer() -> None:
    ask = (
        "import sys\nfrom scorewatch.cli.main import main\n"
        "assert main(sys.argv[1:2]) == 0\nprint([name for name in sys.argv[2:] if name in sys.modules])"
    )
    for wanted in ("--help", "--version"):
        said = subprocess.run([sys.executable, "-c", ask, wanted, *HEAVY], capture_output=True, text=True, check=True)
        assert said.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("code", list(ExitCode))
def test_an_error_is_a_sentence_and_its_code_is_the_exit_code(
    command: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str], code: ExitCode
) -> None:
    def fail() -> None:
        raise ScorewatchError("the inbox is not there", where="/in", hint="mount it", exit_code=code)

    command(fail)
    assert entry.main(["status"]) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "scorewatch: /in: the inbox is not there\n  mount it\n")


def test_with_json_an_error_is_one_object_on_stdout_and_stderr_is_silent(
    command: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(as_json: bool = typer.Option(False, "--json")) -> None:  # noqa: ARG001 - every command takes it
        raise ScorewatchError("gone", where="/in", hint="mount it", exit_code=ExitCode.FOLDER_UNUSABLE)

    command(fail)
    assert entry.main(["status", "--json"]) == 6
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": {"what": "gone", "where": "/in", "hint": "mount it", "exit_code": 6}}
    assert err == ""


def test_what_nobody_expected_is_called_a_bug_and_shows_no_traceback(
    command: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCOREWATCH_DEBUG", raising=False)

    def fail() -> None:
        raise ZeroDivisionError("division by zero")

    command(fail)
    assert entry.main(["status"]) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in said
    assert "this is a bug in scorewatch; run again with SCOREWATCH_DEBUG=1" in said
    assert "Traceback" not in said


def test_with_scorewatch_debug_the_traceback_is_shown(
    command: Callable[[Callable[..., None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOREWATCH_DEBUG", "1")

    def fail() -> None:
        raise ZeroDivisionError

    command(fail)
    with pytest.raises(ZeroDivisionError):
        entry.main(["status"])


def test_ctrl_c_ends_with_130(command: Callable[[Callable[..., None]], None]) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    command(fail)
    assert entry.main(["status"]) == 130


def test_the_exit_code_of_a_command_is_that_of_the_process(command: Callable[[Callable[..., None]], None]) -> None:
    def fail() -> None:
        raise typer.Exit(4)

    command(fail)
    assert entry.main(["status"]) == 4


def test_a_reader_that_goes_away_is_no_bug() -> None:
    script = "import sys, scorewatch.cli.main as m; sys.exit(m.main(['schema']))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (141, b"")


@pytest.mark.parametrize("arguments", [["status"], ["status", "x", "--nonsense"], ["--nonsense"], ["collect", "x"]])
def test_wrong_usage_is_two_in_words_and_as_json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert entry.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("scorewatch: ")
    assert "--help`" in err
    assert entry.main([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


def test_a_mistyped_command_is_answered_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["stauts", "x"]) == 2
    assert "did you mean `scorewatch status`?" in capsys.readouterr().err


def test_json_after_two_dashes_is_a_file_not_an_option(
    command: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(names: list[str] = typer.Argument()) -> None:  # noqa: B008 - as typer has it
        raise ScorewatchError(names[0])

    command(fail)
    assert entry.main(["status", "--", "--json"]) == 2
    assert capsys.readouterr().err == "scorewatch: --json\n"


def test_a_name_that_stdout_cannot_spell_does_not_end_a_command(tmp_path: Path) -> None:
    script = "import sys, scorewatch.cli.main as m; sys.exit(m.main(['init', sys.argv[1]]))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    command = [sys.executable, "-c", script, str(tmp_path / "gr\u00fc\u00dfe")]
    said = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (said.returncode, said.stderr) == (0, b"")
    assert b"gr\\xfc\\xdfe/scorewatch.toml" in said.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_takes_json_and_its_line_in_the_table_is_its_own(name: str) -> None:
    command = entry.load_command(name)
    for one in (getattr(command, "commands", None) or {name: command}).values():
        assert "--json" in [option for param in one.params for option in param.opts]
    assert command.help.splitlines()[0] == COMMANDS[name][1]


def test_the_manual_is_what_the_commands_say() -> None:
    standing = Path(__file__).parents[3] / describe.PAGE
    assert standing.read_text() == describe.page(), "run: python -m scorewatch.cli.describe"


def test_the_manual_has_a_chapter_for_every_command() -> None:
    page = describe.page()
    for name in COMMANDS:
        assert f"\n## scorewatch {name}" in page


def test_every_part_says_in_its_first_sentence_what_it_is_for() -> None:
    for path in Path(entry.__file__).parent.glob("*.py"):
        name = f"scorewatch.cli.{path.stem}" if path.stem != "__init__" else "scorewatch.cli"
        module = __import__(name, fromlist=["x"])
        assert getdoc(module), name
