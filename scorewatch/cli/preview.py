"""What a trial wrote: published as the daemon would, and its first rows as text."""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from scorewatch import __version__
from scorewatch.cli.gather import gather
from scorewatch.model.decisions import Publish
from scorewatch.outbox.manifest import compose
from scorewatch.outbox.outbox import Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.cli.trial import Loaded, Trial, Tried

ROWS = 5
_LONGEST_LINE = 10_000  # characters that are read of a row
_AS_TEXT = {"csv", "azure"}


def publish(bench: Trial, loaded: Loaded, tried: Tried) -> None:
    """Commit an output in the bench's own outbox, as the daemon would.

    Raises:
        ScorewatchError, OSError: it can't be published; the sentence says why.
    """
    if tried.receipt is None:
        return
    order = Publish(
        batch=tried.batch,
        receipt=tried.receipt,
        staging=tried.staging,
        worker_id=1,
        slot=0,
        model=loaded.model,
        script_sha256=loaded.script_sha256,
    )
    name = bench.settings.deployment.name
    manifest = compose(order, deployment=name, version=__version__, committed_at=time.time(), device="cpu")
    Outbox.open(bench.outbox, "process").publish(tried.batch.batch_id, tried.staging, manifest)


def first_rows(bench: Trial) -> list[Any]:
    """The first rows that were published: JSON values, or lines where the format is text.

    Raises:
        ScorewatchError: they can't be read.
    """
    form = bench.settings.output.format
    to = bench.folder / ("preview.csv" if form in _AS_TEXT else "preview.jsonl")
    gather(bench.outbox, to, form=form)
    lines = _lines(to, ROWS + (form == "csv"))
    return list(lines) if form in _AS_TEXT else [json.loads(line) for line in lines]


def _lines(path: Path, most: int) -> list[str]:
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        return [line[:_LONGEST_LINE].rstrip("\n") for line in islice(file, most)]
