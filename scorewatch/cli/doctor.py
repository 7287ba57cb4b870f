"""`scorewatch doctor`: what will hurt, and the line that mends it."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from scorewatch.cli.folder_checks import folders
from scorewatch.cli.kernel_checks import clock, kernel
from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.words import count, emit, painted, say, shown_path
from scorewatch.cli.worker_checks import gpus, workers
from scorewatch.inbox.probe import ignore_lease_breaks
from scorewatch.model.errors import ExitCode
from scorewatch.settings.load import load
from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scorewatch.cli.findings import Finding
    from scorewatch.settings.schema import Settings


def doctor(config: Config, as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Look for what will hurt, and say the line that mends it."""
    settings = load(config)
    ignore_lease_breaks()
    found = []
    for finding in _all(settings):
        found.append(finding)
        if not as_json:
            _tell(finding)
    hurting = [finding for finding in found if finding.level == "bad"]
    warned = [finding for finding in found if finding.level == "warn"]
    if as_json:
        emit({"config": str(settings.source), "findings": [asdict(finding) for finding in found], "bad": len(hurting)})
    else:
        verdict = f"{count(len(hurting), 'thing')} must be mended, {count(len(warned), 'warning')}"
        say(f"{verdict}: {shown_path(settings.source)}", "bad" if hurting else "warn" if warned else "ok")
    if hurting:
        raise typer.Exit(ExitCode.FOLDER_UNUSABLE)


def _all(settings: Settings) -> Iterator[Finding]:
    yield from kernel(settings, _folders_in(settings.inbox.path) if settings.inbox.recursive else 1)
    yield from folders(settings)
    yield clock((settings.state.path / "ledger.db", settings.state.path / "status.json", settings.output.path))
    yield from workers(settings)
    yield from gpus(settings)


def _folders_in(inbox: Path) -> int:
    """How many folders are watched: hidden ones are not."""
    number = 0
    for _, names, _ in os.walk(inbox):
        names[:] = [name for name in names if not name.startswith(".")]
        number += 1
    return max(1, number)


def _tell(finding: Finding) -> None:
    sign = painted(f"{finding.level:4}", finding.level)
    say(f"{sign}  {finding.about}: {printable(finding.what)}")
    if finding.mend and finding.level != "ok":
        say(f"      {printable(finding.mend)}")
