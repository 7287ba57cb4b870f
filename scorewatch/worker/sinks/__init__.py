"""What writes rows: one module a format; a registry of names, imported only when chosen."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

from ..failures import CannotLoadError

if TYPE_CHECKING:
    from ..orders import Deployment, Schema
    from ..scoring import Rows

#: `[output] format` -> "module:Class", the module relative to this package
SINKS = {
    "parquet": ".parquet:ParquetSink",
    "csv": ".delimited:CsvSink",
    "jsonl": ".jsonlines:JsonLinesSink",
    "azure": ".azure:AzureSink",
}

Written = tuple[str, list[dict[str, str]]]  #: a note, and the schema conflicts


class Sink(Protocol):
    """One format; made with the deployment. `take` is called in the main thread, `lacks` and `write` in another."""

    def warm_up(self) -> None:
        """Do now what would make the first batch slow. Raises CannotLoadError where a library is missing."""

    def take(self, rows: Rows) -> Any:
        """Make of the rows what `write` needs; the script may change its objects as soon as this returns."""

    def lacks(self, taken: Any, schema: Schema) -> Schema:
        """Columns that the output schema must get first; empty in a format that keeps no schema."""

    def write(self, taken: Any, schema: Schema, folder: str) -> Written:
        """Write the rows into `folder`, and nothing anywhere else."""


def make(deployment: Deployment) -> Sink:
    """The sink that the deployment names."""
    spelled = SINKS.get(deployment.format)
    if spelled is None:
        raise CannotLoadError(f"there is no format {deployment.format!r}; known are {', '.join(sorted(SINKS))}")
    module, _, name = spelled.partition(":")
    sink: Sink = getattr(importlib.import_module(module, __package__), name)(deployment)
    return sink
