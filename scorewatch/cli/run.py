"""`scorewatch run`: the daemon in the foreground, or with --once a batch job."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.tally import Tally
from scorewatch.cli.words import count, emit, error_json, say, shown_path, tell_error
from scorewatch.daemon import wiring
from scorewatch.model.errors import ScorewatchError
from scorewatch.settings.load import load
from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.settings.schema import Settings

Once = Annotated[bool, typer.Option("--once", help="Score what is in the inbox, then end: a batch job.")]


def run(config: Config, once: Once = False, as_json: Json = False) -> None:  # noqa: FBT002 - flags of the command line
    """Score what arrives in the inbox; with --once, what is there."""
    settings = load(config)
    if not once:
        raise typer.Exit(wiring.run(settings))
    tally = Tally()
    try:
        with _progress(tally, wanted=not as_json):
            wiring.run(settings, once=True, listeners=[tally])
    except ScorewatchError as error:
        if not tally.ended:
            raise
        _sum_up(tally, settings, as_json=as_json, error=error)
        raise typer.Exit(error.exit_code) from None
    _sum_up(tally, settings, as_json=as_json)


def _sum_up(tally: Tally, settings: Settings, *, as_json: bool, error: ScorewatchError | None = None) -> None:
    """What came of it; of a job that ended early too."""
    if as_json:
        emit({**tally.as_json(), "outbox": str(settings.output.path), **({} if error is None else error_json(error))})
        return
    if error is not None:
        tell_error(error)
    for name in tally.unsettled:
        say(f"still being written, left in the inbox: {printable(name)}")
    parts = [f"{count(tally.scored, 'file')} scored"]
    for number, words in ((tally.failed, "failed"), (tally.skipped, "skipped"), (tally.left, "left")):
        parts += [f"{number:,} {words}"] if number else []
    say(f"{', '.join(parts)}: {shown_path(settings.output.path)}", "bad" if tally.failed else "ok")


@contextmanager
def _progress(tally: Tally, *, wanted: bool) -> Iterator[None]:
    """A progress bar on standard error, if that is a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - so

    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scoring", total=None)
        tally.tell = lambda seen: bar.update(task, completed=seen.ended, total=seen.known or None)
        yield
