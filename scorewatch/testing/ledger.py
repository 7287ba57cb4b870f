"""The real ledger, in memory: its transactions are steps, and luck may refuse them."""

from __future__ import annotations

import sqlite3
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from scorewatch.ledger.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scorewatch.model.batches import BatchState, MiniBatch
    from scorewatch.model.records import Record
    from scorewatch.testing.luck import Luck

_NAME = Path("ledger in memory")


@lru_cache(maxsize=1)
def _template() -> sqlite3.Connection:
    """A fresh ledger, to be copied: making one from the schema costs more than a whole story."""
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with tempfile.TemporaryDirectory() as folder:
        made = Ledger.open(Path(folder) / "ledger.db", "process")
        source = sqlite3.connect(made.path)
        source.backup(memory)
        source.close()
        made.close()
    return memory


class FakeLedger(Ledger):
    """A ledger that outlives every crash, as far as its transactions ended before it."""

    def __init__(self, luck: Luck, step: Callable[[str], None], clock: Callable[[], float]) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        _template().backup(connection)
        super().__init__(connection, _NAME, fresh=True, clock=clock)
        self._luck = luck
        self._step = step

    def record(self, records: Sequence[Record], counts: Mapping[str, int] | None = None) -> None:
        """See `Ledger.record`; a step before the transaction, and one after it."""
        self._luck.trouble("record")
        self._step("record " + ", ".join(_words(one) for one in records))
        super().record(records, counts)
        self._step("recorded")

    def row(self, batch_id: str) -> tuple[MiniBatch, BatchState] | None:
        """An open batch's row, or None."""
        for batch, state in self.open_batches():
            if batch.batch_id == batch_id:
                return batch, state
        return None

    def every_state(self) -> dict[str, str]:
        """The state of every batch that there ever was."""
        return dict(self._run("SELECT batch_id, state FROM batches").fetchall())


def _words(record: Record) -> str:
    name = getattr(record, "batch_id", "") or getattr(getattr(record, "batch", None), "batch_id", "")
    return f"{type(record).__name__} {name} {getattr(record, 'now', '')}".strip()
