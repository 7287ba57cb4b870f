"""`scorewatch check`: tries a configuration, its scorer and some files, and touches nothing of the deployment."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.preview import first_rows, publish
from scorewatch.cli.trial import Trial, trial
from scorewatch.cli.words import count, emit, printable_text, say, shown_path, size
from scorewatch.model.errors import ScorewatchError
from scorewatch.settings.load import load
from scorewatch.settings.safety import check_trust
from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scorewatch.cli.trial import Loaded, Tried
    from scorewatch.settings.schema import Settings

Files = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE]...", help="Files to score; they are read where they are.")
]
_FAILED = 1  #: exit code where a file could not be scored
_LAST_WORDS = 2000  # characters of what a worker printed that are shown with a failure


def check(config: Config, files: Files = None, as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Try a configuration, its scorer and some files; change nothing."""
    settings = load(config)
    paths = [_readable(name) for name in files or ()]
    report = Report(settings, [*check_trust(settings), *_no_inbox(settings)], as_json=as_json)
    with trial(settings) as bench:
        report.loaded(bench.load())
        _try_all(bench, report, paths)
    report.end()
    if report.failed:
        raise typer.Exit(_FAILED)


def _no_inbox(settings: Settings) -> list[str]:
    """An inbox is never made: one that isn't there is a disk that isn't mounted."""
    inbox = settings.inbox.path
    if inbox.is_dir():
        return []
    return [f"the inbox {inbox} is not there: make it, or `scorewatch run` will end with exit code 6"]


def _readable(name: str) -> Path:
    path = Path(os.path.abspath(name))  # noqa: PTH100 - resolve() would follow a symlink away from its folder
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ScorewatchError(f"this file can't be read: {error.strerror}", where=path) from None
    if not stat.S_ISREG(mode):
        raise ScorewatchError("this is no regular file, so it would never be scored", where=path)
    return path


def _try_all(bench: Trial, report: Report, paths: Sequence[Path]) -> None:
    """One mini-batch after the other, as long as the worker lives."""
    step = bench.settings.batch.mini_batch_size
    for start in range(0, len(paths), step):
        if not bench.alive:
            report.untried(paths[start:])
            return
        tried = bench.score(paths[start : start + step])
        problem = ""
        try:
            publish(bench, report.scorer, tried)
        except (ScorewatchError, OSError) as error:
            problem = f"its output can't be published: {error}"
        report.tried(tried, problem)
    if report.published:
        report.preview(bench)


class Report:
    """Tells what was found, as it is found; or all of it at the end, as JSON."""

    scorer: Loaded

    def __init__(self, settings: Settings, warnings: Sequence[str], *, as_json: bool) -> None:
        self.failed = 0
        self.published = 0
        self._settings = settings
        self._as_json = as_json
        self._found: dict[str, Any] = {"config": str(settings.source), "warnings": list(warnings), "batches": []}
        self._say(f"{shown_path(settings.source)}: the configuration holds", "ok")
        for warning in warnings:
            self._say(f"  ! {printable(warning)}", "warn")

    def _say(self, line: str, mood: str = "") -> None:
        if not self._as_json:
            say(line, mood)

    def loaded(self, scorer: Loaded) -> None:
        """The scorer is loaded."""
        self.scorer = scorer
        times = f"{scorer.start_s:.2f} s to start, {scorer.init_s:.2f} s for init()"
        what = printable(scorer.model) or "no model"
        self._say(f"the scorer is loaded ({what}): {times}, {size(scorer.rss_bytes)} of memory", "ok")
        self._found["scorer"] = {
            "model": scorer.model,
            "script_sha256": scorer.script_sha256,
            "rss_bytes": scorer.rss_bytes,
            "seconds": {"start": round(scorer.start_s, 3), "init": round(scorer.init_s, 3)},
        }

    def tried(self, tried: Tried, problem: str) -> None:
        """One mini-batch, scored or not; `problem` is why its output could not be published."""
        paths = [file.relpath for file in tried.batch.files]
        told: dict[str, Any] = {"files": paths}
        if tried.receipt is not None and not problem:
            self.published += 1
            told |= self._scored(tried)
        else:
            self.failed += len(paths)
            told |= self._not_scored(tried, problem)
        self._found["batches"].append(told)

    def _scored(self, tried: Tried) -> dict[str, Any]:
        receipt = tried.receipt
        assert receipt is not None  # noqa: S101 - the caller looked
        missing = max(0, len(tried.batch.files) - receipt.succeeded)
        self.failed += missing
        seconds = {"load": receipt.load_s, "run": receipt.run_s, "write": receipt.write_s}
        times = ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items())
        self._say(f"{count(len(tried.batch.files), 'file')}, {count(receipt.rows, 'row')}: {times}", "ok")
        if missing:
            self._say(f"  ! {count(missing, 'file')} failed. {printable(receipt.note)}".rstrip(), "bad")
        for path, reason in receipt.failed_files:
            self._say(f"  ! {printable(path)}: {printable(reason)}", "bad")
        outputs = [{"name": output.name, "size_bytes": output.size_bytes} for output in receipt.output_files]
        for output in receipt.output_files:
            self._say(f"  {printable(output.name)}, {size(output.size_bytes)}")
        return {
            "rows": receipt.rows,
            "succeeded": receipt.succeeded,
            "seconds": seconds,
            "outputs": outputs,
            "failed_files": [{"path": path, "reason": reason} for path, reason in receipt.failed_files],
            "note": receipt.note,
        }

    def _not_scored(self, tried: Tried, problem: str) -> dict[str, Any]:
        failure = tried.failure
        message = problem or (failure.message if failure else "")
        names = ", ".join(printable(file.relpath) for file in tried.batch.files)
        self._say(f"failed: {names}", "bad")
        self._say(f"  {printable(message)}", "bad")
        trace = failure.traceback if failure else ""
        for text in (trace, "" if trace else tried.log_tail[-_LAST_WORDS:]):
            if text:
                self._say("\n".join(f"    {line}" for line in printable_text(text.rstrip()).split("\n")))
        kind = str(failure.kind) if failure else "output_failed"
        return {"failure": {"kind": kind, "message": message, "traceback": trace, "log_tail": tried.log_tail}}

    def untried(self, paths: Sequence[Path]) -> None:
        """The worker is gone; these were not tried."""
        self.failed += len(paths)
        self._found["untried"] = [str(path) for path in paths]
        self._say(f"not tried, since the worker is gone: {count(len(paths), 'file')}", "bad")

    def preview(self, bench: Trial) -> None:
        """The first rows; where they can't be shown, why."""
        try:
            rows = first_rows(bench)
        except ScorewatchError as error:
            self._found["preview_error"] = error.what
            self._say(f"  the rows can't be shown: {printable(error.what)}", "warn")
            return
        self._found["rows"] = rows
        self._say("the first rows:" if rows else "there are no rows")
        for row in rows:
            self._say(f"  {printable(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False))}")

    def end(self) -> None:
        """The last line, or the JSON object."""
        if self._as_json:
            emit({**self._found, "failed": self.failed})
        elif self.failed:
            say(f"{count(self.failed, 'file')} failed; nothing was changed: {shown_path(self._settings.source)}", "bad")
        else:
            say(f"all is well, and nothing was changed: {shown_path(self._settings.source)}", "ok")
