"""`scorewatch collect`: all committed predictions as one file."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from scorewatch.cli.gather import gather
from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.words import count, emit, say, shown_path
from scorewatch.model.errors import ScorewatchError
from scorewatch.settings.load import load

To = Annotated[
    Path, typer.Option("--to", metavar="FILE", help="The file; its ending says the format: .parquet, .csv, .jsonl.")
]
Since = Annotated[
    str,
    typer.Option(
        "--since", metavar="WHEN", help="Only what was committed since: 2026-11-22, 2026-11-22T21:37Z, 90m, 2h, 3d."
    ),
]
_AGO = re.compile(r"(\d{1,6})\s*([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def collect(config: Config, to: To, since: Since = "", as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Gather all committed predictions in one file."""
    settings = load(config)
    after = moment_of(since, datetime.now(UTC)) if since else ""
    found = gather(settings.output.path, to, form=settings.output.format, since=after)
    if as_json:
        emit({"path": found.path, "rows": found.rows, "batches": found.batches, "since": after or None})
        return
    say(f"{count(found.rows, 'row')} of {count(found.batches, 'batch', 'batches')}: {shown_path(found.path)}", "ok")


def moment_of(text: str, now: datetime) -> str:
    """A date, a time, or how long ago, as ISO 8601 with its zone; UTC where none is named.

    Raises:
        ScorewatchError: it is none of these.
    """
    if back := _AGO.fullmatch(text.strip()):
        try:
            return (now - timedelta(**{_UNITS[back[2]]: int(back[1])})).isoformat()
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC).isoformat()
    try:
        made = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ScorewatchError(
            f"--since takes a date, a time or how long ago, not {text!r}",
            hint="e.g. 2026-11-22, 2026-11-22T21:37Z, 2h, 3d",
        ) from None
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).isoformat()
