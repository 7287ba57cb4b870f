"""The command `scorewatch demo`: drops nine hundred files on a real daemon in all ways at once, and counts."""

from __future__ import annotations

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorewatch.cli.demo import drops
from scorewatch.cli.demo.outcomes import Account, Outcomes
from scorewatch.cli.demo.report import Voice
from scorewatch.cli.demo.stage import BROKEN, Stage, require_libraries
from scorewatch.cli.options import Json  # noqa: TC001 - as Path above
from scorewatch.model.errors import ExitCode

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

PATIENCE = 30.0  #: seconds without any news: then what is still missing counts as lost
LOOK_EVERY = 0.1  # seconds
FAILED = 1  #: the account is wrong: no exit code of scorewatch's own means that, for it never may be


def demo(
    json: Json = False,  # noqa: FBT002 - a flag, given by name
    folder: Annotated[Path | None, typer.Option("--dir", help="Work in this folder, not in a temporary one.")] = None,
    files: Annotated[int | None, typer.Option(min=8, help="How many pictures; all 899 by default.")] = None,
) -> None:
    """Run a real model on real files, start to end, in a temporary folder."""
    raise typer.Exit(run_demo(json=json, keep=folder, files=files))


def run_demo(*, json: bool, keep: Path | None, files: int | None = None) -> int:
    """Make the demo's folder, play it, and report.

    Args:
        json: print one JSON object, and nothing else.
        keep: the folder to work in; None: a temporary one. It stays in both cases.
        files: how many pictures are dropped beside the broken one; None: all.

    Returns:
        0, or 1 where files were lost, doubled, or set aside without reason.

    Raises:
        ScorewatchError: where the demo could not be played.
    """
    require_libraries()
    voice = Voice(as_json=json)
    voice.say("Training a model to read handwritten digits, and drawing the pictures that it is going to be asked.")
    with _ended_by_sigterm():
        stage = Stage.make(keep, files)
        story = play(stage, voice)
    voice.report(story)
    well = not story["lost"] and not story["doubled"] and [line["path"] for line in story["set_aside"]] == [BROKEN]
    return ExitCode.DONE if well else FAILED


def play(stage: Stage, voice: Voice) -> dict[str, Any]:
    """Start the daemon, drop one picture, then all the others, stop it, and read what is in the outbox."""
    pictures = sorted(stage.pictures.iterdir())
    first, plan = pictures[0], drops.plan(pictures[1:])
    seconds = {}
    voice.say(f"Starting the daemon: scorewatch run {stage.config}")
    with stage.daemon() as daemon, ThreadPoolExecutor(1) as dropper:
        watch = Watch(stage, daemon)
        drops.copy_in([first], stage.inbox)
        seconds["first_result"] = watch.until(lambda: watch.known > 0)
        voice.say(f"The first picture's result came after {seconds['first_result']:.1f} s: the model is loaded now.")
        voice.say(
            f"Dropping {len(plan)} files at once: {len(plan.slow)} written slowly in place,"
            f" {len(plan.renamed)} renamed in, {len(plan.burst)} copied in a burst; one of them is broken."
        )
        with voice.progress(len(pictures)) as watch.tell:
            dropping = dropper.submit(drops.drop_all, stage.inbox, plan)
            seconds["dropping"] = watch.until(dropping.done)
            dropping.result()
            seconds["after_last_drop"] = watch.until(lambda: watch.known >= len(pictures))
    watch.look()
    return _story(stage, [path.name for path in pictures], watch.outcomes, seconds)


class Watch:
    """Waits for news of the files, and no longer than there is any hope of it."""

    def __init__(self, stage: Stage, daemon: subprocess.Popen[bytes]) -> None:
        self.outcomes = Outcomes(stage.outbox)
        self.known = 0  #: files of which it is known what became of them
        self.tell: Callable[[int], object] = lambda _: None
        self._stage = stage
        self._daemon = daemon

    def look(self) -> bool:
        """Look at the outbox; True: there is something new."""
        before, self.known = self.known, self.outcomes.look()
        self.tell(self.known)
        return self.known != before

    def until(self, reached: Callable[[], bool]) -> float:
        """Wait for something, at most `PATIENCE` after the latest news; the seconds that it took.

        Raises:
            ScorewatchError: where the daemon ended.
        """
        began = news_at = time.monotonic()
        while not reached() and time.monotonic() - news_at < PATIENCE:
            if self._daemon.poll() is not None:
                raise self._stage.ended(self._daemon.returncode)
            time.sleep(LOOK_EVERY)
            if self.look():
                news_at = time.monotonic()
        return time.monotonic() - began


def _story(stage: Stage, dropped: list[str], outcomes: Outcomes, seconds: dict[str, float]) -> dict[str, Any]:
    """Everything that was found out, as it stands in the JSON object; paths are absolute, times in seconds."""
    results = stage.results()
    aside = [
        {"path": line["path"], "why": line["message"], "where": str(stage.inbox / line["where"])}
        for line in outcomes.set_aside
    ]
    account = Account.of(dropped, Counter(results["rows_by_file"]) + Counter(line["path"] for line in aside))
    return {
        "dropped": len(dropped),
        "rows": results["rows"],
        "lost": account.lost,
        "doubled": account.doubled,
        "set_aside": aside,
        "right": results["right"],
        "accuracy": results["right"] / max(results["rows"], 1),
        "shown": results["shown"],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "folder": str(stage.folder),
        "log": str(stage.log),
        "outbox": str(stage.outbox),
    }


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that the daemon doesn't outlive the demo."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
