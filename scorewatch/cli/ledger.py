"""`scorewatch ledger rebuild`: the ledger, made again from claims, outbox, done and quarantine."""

from __future__ import annotations

import typer

from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.rebuilding import rebuild_ledger
from scorewatch.cli.words import count, emit, say, shown_path
from scorewatch.settings.load import load
from scorewatch.telemetry.plain import printable

ledger = typer.Typer(add_completion=False, no_args_is_help=True)


@ledger.callback()
def _ledger() -> None:
    """Make the ledger again from what lies on disk."""


@ledger.command()
def rebuild(config: Config, as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Make the ledger again, and take the folders that are there now as this deployment's; no daemon may run."""
    settings = load(config)
    result = rebuild_ledger(settings)
    made, path = result.made, settings.state.path / "ledger.db"
    if as_json:
        emit(
            {
                "path": str(path),
                "open_batches": made.open_batches,
                "committed": made.committed,
                "quarantined": made.quarantined,
                "kept": str(made.kept) if made.kept else None,
                "warnings": result.warnings,
            }
        )
        return
    for warning in result.warnings:
        say(f"  ! {printable(warning)}", "warn")
    if made.kept:
        say(f"the old one is kept: {shown_path(made.kept)}")
    parts = (
        f"{count(made.open_batches, 'batch', 'batches')} to go on with",
        f"{made.committed:,} committed",
        f"{made.quarantined:,} quarantined",
    )
    say(f"{', '.join(parts)}: {shown_path(path)}", "ok")
