"""`scorewatch status`: how the deployment stands, health first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from scorewatch.cli.opened import deployment
from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.standing import MOST_LISTED, standing
from scorewatch.cli.words import ago, count, emit, moment, painted, shown_path, size, table
from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from scorewatch.cli.standing import Figures, Standing

_MOODS = {"committed": "ok", "quarantined": "bad", "split": "warn", "void": "warn"}


def status(config: Config, as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Say what waits, runs, is done or went wrong."""
    found = standing(deployment(config))
    if as_json:
        emit(found.as_json())
        return
    for line in _lines(found):
        sys.stdout.write(line + "\n")


def _lines(found: Standing) -> list[str]:
    return [
        painted(f"{found.deployment}: {_daemon(found.daemon)}", "head"),
        *(painted(f"  ! {printable(sentence)}", "bad") for sentence in found.health),
        *_refused(found.refused),
        *_figures(found.files),
        *_conservation(found.conservation),
        *_workers(found.workers),
        *_unsettled(found.unsettled),
        *_set_aside(found),
        *_batches(found.batches),
        *(f"{name}: {shown_path(path)}" for name, path in found.folders.items()),
    ]


def _daemon(daemon: dict[str, Any]) -> str:
    if daemon["alive"]:
        since = moment(daemon["started_at"])
        return f"{daemon['phase']}, pid {daemon['pid']}" + (f", since {ago(since)}" if since else "")
    last = moment(daemon["updated_at"])
    if last is None:
        return "not running"
    crashed = "" if daemon["ended_well"] else " (it did not end by itself; the next start takes up what it left)"
    return f"not running since {ago(last)}{crashed}"


def _figures(files: Figures) -> list[str]:
    running = f"{files.running:,} of them running" if files.running else ""
    rows = [
        ("waiting", f"{files.waiting:,}", ""),
        ("claimed", f"{files.claimed:,}", running),
        ("done", f"{files.done:,}", ""),
        (
            "quarantined",
            f"{files.quarantined:,}",
            "`scorewatch retry CONFIG --all` puts them back" if files.quarantined else "",
        ),
        ("skipped", f"{files.skipped:,}", ""),
    ]
    return table(rows)


def _conservation(sum_: dict[str, Any]) -> list[str]:
    """The daemon's own account of what came since its start."""
    if not sum_:
        return []
    parts = " + ".join(f"{sum_[name]:,} {name}" for name in ("waiting", "claimed", "done", "failed", "withdrawn"))
    if sum_["lost"] == 0 or not sum_["certain"]:
        return [painted(f"  since its start: {sum_['arrived']:,} arrived, {parts}", "dim")]
    return [painted(f"  since its start: {sum_['arrived']:,} arrived ≠ {parts}", "warn")]


def _workers(workers: list[dict[str, Any]]) -> list[str]:
    if not workers:
        return []
    rows = [
        (
            f"worker {worker.get('worker_id')}",
            f"slot {worker.get('slot')}",
            f"pid {worker.get('pid')}",
            printable(str(worker.get("state", ""))),
            size(int(worker.get("rss_bytes") or 0)),
            printable(str(worker.get("batch_id") or "")),
        )
        for worker in workers
    ]
    logs = [f"    log: {shown_path(worker.get('stderr', ''))}" for worker in workers]
    return ["workers", *(line for pair in zip(table(rows), logs, strict=True) for line in pair)]


def _unsettled(names: list[str]) -> list[str]:
    return [f"still being written: {', '.join(map(printable, names))}"] if names else []


def _refused(refused: list[dict[str, Any]]) -> list[str]:
    """One line for each reason."""
    named: dict[str, list[str]] = {}
    for one in refused:
        named.setdefault(one["message"] or one["reason"], []).append(printable(one["path"]))
    lines = []
    for why, paths in named.items():
        listed = ", ".join(paths[:MOST_LISTED]) + (", …" if len(paths) > MOST_LISTED else "")
        lines.append(f"  ! {count(len(paths), 'file')} can't be taken: {listed} ({printable(why)})")
    return [painted(line, "warn") for line in lines]


def _set_aside(found: Standing) -> list[str]:
    if not found.set_aside:
        return []
    rows = [(printable(one["path"]), printable(one["message"])) for one in found.set_aside]
    more = found.files.quarantined - len(rows)
    return ["in quarantine", *table(rows), *([f"  and {more:,} more"] if more > 0 else [])]


def _batches(batches: list[dict[str, Any]]) -> list[str]:
    lines = [line for batch in batches for line in _batch(batch)]
    return [f"last {count(len(batches), 'batch', 'batches')}", *lines] if batches else []


def _batch(batch: dict[str, Any]) -> list[str]:
    end = batch["outcome"] or batch["state"]
    rows = "" if batch["rows"] is None or end != "committed" else f", {count(batch['rows'], 'row')}"
    failed = f", {batch['failed']:,} failed" if batch["failed"] and end == "committed" else ""
    told = f"{end}, {count(batch['files'], 'file')}{rows}{failed}, {ago(batch['sealed_at'])}"
    lines = [f"  {batch['batch_id']}  {painted(told, _MOODS.get(end, ''))}"]
    if batch["output"]:
        lines.append(f"    {shown_path(batch['output'])}")
    if batch["failure"]:
        lines.append(f"    {printable(batch['failure'])}")
    return lines
