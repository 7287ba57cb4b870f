"""What run() is given, and what it may return: Azure's rules, and a little more."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import failures
from .failures import BadResultError, FailedFile

if TYPE_CHECKING:
    from .scorers import Scorer


@dataclass(frozen=True)
class Batch:
    """Files to be scored by one call."""

    root: str  #: absolute
    files: tuple[str, ...]  #: relative to it
    index: int = 0

    def paths(self) -> list[str]:
        """Absolute paths, in order."""
        return [os.path.join(self.root, name) for name in self.files]

    def only(self, name: str) -> Batch:
        """The same, with one of its files."""
        return Batch(self.root, (name,), self.index)


class FileList(list[str]):
    """The mini-batch: a list of absolute paths, with Azure's `task_id`; a plain list wherever it is pickled to."""

    def __init__(self, paths: list[str], index: int) -> None:
        super().__init__(paths)
        self.task_id = str(index)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


class BatchContext:
    """The second argument of run(), where the script wants one; the attributes are Azure's."""

    def __init__(self, index: int) -> None:
        self.minibatch_index = index
        self.global_row_index_lower_bound = 0
        self.partition_key_value: dict[str, str] = {}
        self.dataset = None


@dataclass(frozen=True)
class Part:
    """What one call of run() returned: `elements`, or a pandas DataFrame; never both."""

    files: tuple[str, ...]
    elements: list[Any] | None = None
    frame: Any = None
    each_row: bool = False  #: one file was given by itself, so every row is its

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.elements) if self.elements is not None else len(self.frame)

    def names(self) -> list[str] | None:
        """The file of each row, where that can be known: one given by itself, or as many elements as files."""
        if self.each_row:
            return list(self.files) * self.count
        if self.elements is not None and len(self.elements) == len(self.files):
            return list(self.files)
        return None


@dataclass
class Rows:
    """What a batch came to."""

    parts: list[Part] = field(default_factory=list)
    count: int = 0
    succeeded: int = 0  #: files: min(elements, files), Azure's arithmetic
    failed: list[FailedFile] = field(default_factory=list)
    note: str = ""


def score(scorer: Scorer, batch: Batch, *, per_file: bool = False, max_rows: int | None = None) -> Rows:
    """Score a batch; whatever the script raises goes through, unless `per_file` and another file succeeded."""
    rows = _score_each(scorer, batch) if per_file else _score_whole(scorer, batch)
    if max_rows is not None and rows.count > max_rows:
        raise BadResultError(f"run() returned {rows.count} rows; more than {max_rows} are not allowed")
    return rows


def _score_whole(scorer: Scorer, batch: Batch) -> Rows:
    part = check(scorer.score(batch), batch.files)
    rows = Rows([part], part.count, min(part.count, len(batch.files)))
    if rows.succeeded < len(batch.files):
        rows.note = _why_unknown(part)
    return rows


def _score_each(scorer: Scorer, batch: Batch) -> Rows:
    rows = Rows()
    first: BaseException | None = None
    for name in batch.files:
        try:
            part = replace(check(scorer.score(batch.only(name)), (name,)), each_row=True)
        except BaseException as error:  # noqa: BLE001 - whatever a script raises costs this one file
            first = first or error
            rows.failed.append(FailedFile(name, of_attempt(error)))
            continue
        rows.parts.append(part)
        rows.count += part.count
        rows.succeeded += min(part.count, 1)
    if first is not None and len(rows.failed) == len(batch.files):
        raise AllFilesFailedError(rows.failed[0]) from first
    empty = len(rows.parts) - rows.succeeded
    if empty:
        rows.note = f"run() returned nothing for {empty} of {len(batch.files)} files"
    return rows


class AllFilesFailedError(Exception):
    """With `per_file`, each call raised; `first` tells of the first."""

    def __init__(self, first: FailedFile) -> None:
        super().__init__(first.failure.message)
        self.first = first


def of_attempt(error: BaseException) -> failures.Failure:
    """The failure behind whatever `score` raised."""
    if isinstance(error, AllFilesFailedError):
        error.first.failure.file = error.first.relpath
        return error.first.failure
    if isinstance(error, BadResultError):
        return failures.Failure(failures.BAD_RESULT, str(error))
    return failures.of_script(error, "run()")


def check(result: Any, files: tuple[str, ...]) -> Part:
    """Take what run() returned: a list, a tuple or a DataFrame, and beyond Azure an ndarray or a Series.

    Raises:
        BadResultError: for anything else, in Azure's words.
    """
    if isinstance(result, (list, tuple)):
        return Part(files, elements=list(result))
    if _is_a("pandas", "DataFrame", result):
        return Part(files, frame=result)
    if _is_a("pandas", "Series", result):
        return Part(files, elements=list(result))
    if _is_a("numpy", "ndarray", result) and result.ndim > 0:
        return Part(files, elements=list(result) if result.ndim == 1 else result.tolist())
    raise BadResultError(
        f"run() should return a list or a pandas DataFrame; it returned {_brief(result)} ({type(result).__name__})"
    )


def _is_a(module: str, name: str, value: Any) -> bool:
    # Whoever returns one has imported its library; importing it just to look would cost half a second.
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _brief(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - a __repr__ is the user's code
        shown = "something that can't be shown"
    return shown if len(shown) <= 80 else shown[:77] + "..."  # noqa: PLR2004 - a sentence, not a dump


def _why_unknown(part: Part) -> str:
    said = f"run() returned {part.count} {'elements' if part.frame is None else 'rows'} for {len(part.files)} files"
    named = {os.path.basename(str(e["file"])) for e in part.elements or () if isinstance(e, dict) and e.get("file")}
    missing = [name for name in part.files if os.path.basename(name) not in named]
    if named and missing:
        return f"{said}; no row names {', '.join(map(repr, missing[:20]))}"
    return f"{said}: which of them failed can't be known; set per_file = true, or return dicts with a `file` key"
