"""Finds committed batches in an outbox, oldest first, and the file of each that holds its rows."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "_manifest.json"


class CollectError(Exception):
    """What is wrong, where, and what to do, for a human."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint


@dataclass(frozen=True)
class Committed:
    """One committed batch."""

    batch_id: str
    path: str  #: absolute, of the file that holds its rows; empty where it has none
    rows: int  #: as the manifest says


def committed(outbox: str, since: dt.datetime | None = None) -> Iterator[Committed]:
    """Every batch committed at `since` or later, in the order of their ids.

    Raises:
        CollectError: the outbox is not there, or a manifest can't be read.
    """
    if not os.path.isdir(outbox):
        raise CollectError("there is no outbox", where=outbox, hint="look at [output] path of the configuration")
    days = os.path.join(outbox, "batches")
    for day in _folders(days):
        for batch_id in _folders(os.path.join(days, day)):
            folder = os.path.join(days, day, batch_id)
            manifest = _manifest(folder)
            if manifest is not None and (since is None or _is_since(manifest, since)):
                yield Committed(batch_id, _rows_file(folder, manifest), int(manifest.get("rows") or 0))


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            found = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(name for name in found if not name.startswith((".", "_")))


def _manifest(folder: str) -> dict[str, Any] | None:
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
    except FileNotFoundError:
        return None  # not one of ours
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise CollectError(f"the manifest can't be read: {why}", where=path) from error
    if not isinstance(manifest, dict):
        raise CollectError("the manifest is no JSON object", where=path)
    return manifest


def _is_since(manifest: dict[str, Any], since: dt.datetime) -> bool:
    try:
        return moment(str(manifest["committed_at"])) >= since
    except (KeyError, ValueError):
        return True  # unknown: better one batch too many


def moment(text: str) -> dt.datetime:
    """A time in ISO 8601; UTC where it names no zone. ValueError for anything else."""
    made = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return made if made.tzinfo is not None else made.replace(tzinfo=dt.timezone.utc)


def _rows_file(folder: str, manifest: dict[str, Any]) -> str:
    """The one file that lies in the batch's folder itself; the script's own are in `_files`."""
    names = [str(output.get("name", "")) for output in manifest.get("outputs") or () if isinstance(output, dict)]
    names = [name for name in names if name and "/" not in name and not name.startswith("_")]
    if len(names) > 1:
        named = [name for name in names if name.startswith("predictions.")]
        if len(named) != 1:
            raise CollectError(
                f"the batch has {len(names)} files, and none is known to hold its rows",
                where=folder,
                hint='with output_action = "summary_only" the files are the script\'s own: join them as it wrote them',
            )
        names = named
    path = os.path.join(folder, names[0]) if names else ""
    if path and not stat.S_ISREG(os.lstat(path).st_mode):
        raise CollectError("not a plain file", where=path)
    return path
