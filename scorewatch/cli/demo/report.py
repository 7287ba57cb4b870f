"""What the demo says: progress while it runs, and a report at its end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from scorewatch.cli.words import emit, printable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINE_EVERY = 2.0  #: seconds between two lines of progress, where there is no terminal


class Voice:
    """Speaks to a human, or stays silent until the one JSON object at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(highlight=False, markup=False, quiet=as_json)

    def say(self, sentence: str = "") -> None:
        """One line; a long path in it is not broken."""
        self._console.print(Text(printable_text(sentence)), soft_wrap=True)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal, a line now and then elsewhere; the answer is told how many files are done."""
        if not self._console.is_terminal:
            yield self._lines(total)
            return
        columns = [TextColumn("  scoring"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("scoring", total=total)
            yield lambda done: bar.update(task, completed=done)

    def _lines(self, total: int) -> Callable[[int], None]:
        said_at = time.monotonic()

        def tell(done: int) -> None:
            nonlocal said_at
            if time.monotonic() - said_at >= LINE_EVERY:
                said_at = time.monotonic()
                self.say(f"  {done} of {total} files have their result")

        return tell

    def report(self, story: dict[str, Any]) -> None:
        """Everything that the demo found out, the outbox's path last."""
        if self._as_json:
            emit(story)
            return
        self._console.print(_table(story["shown"]))
        for sentence in sentences(story):
            self.say(sentence)


def _table(rows: list[dict[str, Any]]) -> Table:
    """Some predictions beside the truth."""
    table = Table(title="Some of the predictions", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file")
    for name in ("predicted", "truth", "confidence"):
        table.add_column(name, justify="right")
    for row in rows:
        wrong = row["digit"] != row["truth"]
        cells = [row["file"], f"{row['digit']}", f"{row['truth']}", f"{row['confidence']:.0%}"]
        table.add_row(*cells, "(wrong)" if wrong else "", style="red" if wrong else None)
    return table


def sentences(story: dict[str, Any]) -> Iterator[str]:
    """The report in words, line by line."""
    yield f"Right: {story['right']} of {story['rows']} pictures, {story['accuracy']:.1%}; the model never saw them."
    yield (
        f"Files: {story['dropped']} dropped = {story['rows']} results + {len(story['set_aside'])} set aside;"
        f" {_count(story['lost'])} lost, {_count(story['doubled'])} doubled."
    )
    yield (
        f"Time: the last result was visible {story['seconds']['after_last_drop']:.1f} s after the last file was whole;"
        f" dropping took {story['seconds']['dropping']:.1f} s."
    )
    for line in story["set_aside"]:
        yield f"Set aside: {line['path']}, because {line['why']}"
        yield f"  it lies in {line['where']}"
    for name in ("lost", "doubled"):
        if story[name]:
            yield f"{name.capitalize()}: {', '.join(story[name][:10])}; the daemon's log: {story['log']}"
    yield f"The folder stays, to look around in: {story['folder']}"
    yield f'Read the results: pandas.read_parquet("{story["outbox"]}/batches")'
    yield f"Results: {story['outbox']}"


def _count(names: list[str]) -> str:
    return str(len(names)) if names else "none"
