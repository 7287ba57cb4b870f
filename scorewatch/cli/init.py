"""`scorewatch init`: a small deployment that runs at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from scorewatch.cli.options import Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.templates import write_template
from scorewatch.cli.words import emit, say, shown_path

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder; made if it isn't there.", show_default=False)
]


def init(directory: Directory, as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Write a small deployment that runs at once."""
    config = write_template(directory)
    commands = [f"scorewatch check {shlex.quote(str(config))}", f"scorewatch run {shlex.quote(str(config))} --once"]
    if as_json:
        emit({"path": str(config), "next": commands})
        return
    say(f"a deployment is ready: {shown_path(config)}", "ok")
    say("next:")
    for command in commands:
        say(f"  {shown_path(command)}")
