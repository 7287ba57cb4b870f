"""The console script: finds the command, runs it, and says every error in a sentence.

Typer is all that is imported before the command is known.
"""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from scorewatch import __version__
from scorewatch.cli.commands import COMMANDS
from scorewatch.cli.words import emit, error_json, tell_error
from scorewatch.model.errors import ExitCode, ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended
_PIPE_CLOSED = 141  # and of one whose reader went away
_UNEXPECTED = 1

#: Typer brings its own copy of click from some version on, so its errors are found by the one that it exports.
_USAGE_ERROR: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class LazyGroup(TyperGroup):
    """Knows every command's name and help line, and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - click's Context, wherever it comes from
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - as above
        """A stand-in with the help line, enough for the list of commands."""
        return TyperCommand(name=cmd_name, help=COMMANDS[cmd_name][1]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as above
        """The real command in place of the stand-in."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise _unknown(args[0])
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(str(name)), rest


def _unknown(name: str) -> ScorewatchError:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `scorewatch {near[0]}`?" if near else "see `scorewatch --help`"
    return ScorewatchError(f"there is no command {name!r}", hint=hint)


def load_command(name: str) -> Any:  # noqa: ANN401 - a click command, wherever that comes from
    """Import a command of the table."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    target = getattr(import_module(module), attribute)
    return typer.main.get_command(target) if isinstance(target, typer.Typer) else _command(name, target)


def _command(name: str, target: Callable[..., object]) -> Any:  # noqa: ANN401 - as above
    single = typer.Typer(add_completion=False)
    single.command(name)(target)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"scorewatch {__version__}")
        raise typer.Exit


@app.callback()
def scorewatch(
    _version: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version, and end.")
    ] = False,
) -> None:
    """Files dropped in a folder come out as predictions, exactly once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # no terminal's encoding may turn a message into an error
    as_json = "--json" in (given[: given.index("--")] if "--" in given else given)
    try:
        code = _run(given, as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return _PIPE_CLOSED
    return code


def _run(arguments: list[str], *, as_json: bool) -> int:
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="scorewatch", standalone_mode=False)
    except ScorewatchError as error:
        return _tell(error, error.exit_code, as_json=as_json)
    except _USAGE_ERROR as error:
        return _misused(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except (BrokenPipeError, SystemExit):  # typer answers a closed pipe by leaving
        raise BrokenPipeError from None
    except Exception as error:
        if os.environ.get("SCOREWATCH_DEBUG"):
            raise
        return _tell(_bug(error), _UNEXPECTED, as_json=as_json)
    return code if isinstance(code, int) else ExitCode.DONE


def _misused(error: Any, *, as_json: bool) -> int:  # noqa: ANN401 - a ClickException, wherever that comes from
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if not message:  # `scorewatch` alone: the help was the answer
        return int(error.exit_code)
    path = context.command_path if context is not None else "scorewatch"
    said = ScorewatchError(message.rstrip("."), hint=f"see `{path} --help`")
    return _tell(said, int(ExitCode.USAGE), as_json=as_json)


def _bug(error: Exception) -> ScorewatchError:
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ScorewatchError(
        f"something unexpected happened ({said})",
        hint="this is a bug in scorewatch; run again with SCOREWATCH_DEBUG=1 for the traceback",
    )


def _tell(error: ScorewatchError, code: int, *, as_json: bool) -> int:
    if as_json:
        emit(error_json(error, code))
    else:
        tell_error(error)
    return int(code)
