"""Writes the manual of the commands from the commands themselves.

`python -m scorewatch.cli.describe [FOLDER]` writes it into a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.cli.commands import COMMANDS
from scorewatch.cli.main import load_command

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "docs/cli.md"

_INTRODUCTION = """\
# Commands

`scorewatch COMMAND --help` says the same on a terminal. `CONFIG` is the deployment's configuration, a TOML file:
see [configuration.md](configuration.md).

- Every command takes `--json`: one JSON object on standard output instead of text. An error is one too:
  `{"error": {"what", "where", "hint", "exit_code"}}`.
- An error is a sentence on standard error that says what, where and what to do; a traceback is shown only if it is
  the scoring script's own.
- Progress bars appear on terminals only, and `NO_COLOR` is obeyed. Control characters, bidi marks and bytes that are
  no UTF-8 in names of files are spelled out (`\\x1b`, `\\u202e`, `\\udcff`).

This page is generated from the commands: `python -m scorewatch.cli.describe`.
"""

_EXIT_CODES = """\
## Exit codes

| code | means |
|---|---|
| 0 | done |
| 1 | a file could not be scored (`check`, `demo`) or put back (`retry`); or a bug in scorewatch |
| 2 | wrong usage or configuration |
| 3 | the scorer can't be loaded |
| 4 | `error_threshold` exceeded |
| 5 | another process holds this deployment |
| 6 | inbox, outbox or state unusable |
| 130 | interrupted by Ctrl-C |
"""


def page() -> str:
    """The manual, in Markdown."""
    chapters = [chapter for name in COMMANDS for chapter in _chapters(f"scorewatch {name}", load_command(name))]
    return "\n".join([_INTRODUCTION, *chapters, _EXIT_CODES])


def _chapters(path: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - a click command, wherever typer has it from
    inner = getattr(command, "commands", None)
    if inner:
        for name, one in inner.items():
            yield from _chapters(f"{path} {name}", one)
        return
    shown = [param for param in command.params if param.name != "help"]
    usage = " ".join([path, *(_usage(param) for param in shown)])
    lines = [f"## {path}", "", f"    {usage}", "", command.help.strip(), ""]
    lines += ["| | |", "|---|---|", *(f"| `{_spelled(param)}` | {param.help or ''} |" for param in shown), ""]
    yield "\n".join(lines)


def _usage(param: Any) -> str:  # noqa: ANN401 - a click parameter
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return _spelled(param) if param.required else f"[{_spelled(param)}]"


def _spelled(param: Any) -> str:  # noqa: ANN401 - a click parameter
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return param.opts[0] if param.is_flag else f"{param.opts[0]} {param.metavar or param.name.upper()}"


def main(arguments: list[str]) -> None:
    """Write the page below the folder given, or below the current one."""
    target = Path(*arguments[:1]) / PAGE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
