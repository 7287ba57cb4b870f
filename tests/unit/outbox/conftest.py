"""An outbox, and a worker's hand that puts things into its staging."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import Publish
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import OutputFile, Receipt
from scorewatch.outbox.manifest import compose
from scorewatch.outbox.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ID = "20261122T213741Z-8f0c2a6b1d3e4f5a6b7c"


@dataclass
class Story:
    """One outbox, and what a worker would do to it."""

    root: Path
    outbox: Outbox
    dispatch: int = 0
    staged: dict[str, Path] = field(default_factory=dict)

    def batch(self, batch_id: str = ID, names: Iterable[str] = ("a.csv", "b/\udcff.csv")) -> MiniBatch:
        files = tuple(Observation(name, 10 + n, 111 + n, 222 + n, 3, 4 + n) for n, name in enumerate(names))
        return MiniBatch(
            batch_id=batch_id,
            files=files,
            total_bytes=21,
            sealed_because=SealReason.FILES,
            sealed_at=1_795_383_461.25,
            tries=4,
            attempt=1,
            dispatch=1,
        )

    def stage(self, contents: dict[str, bytes] | None = None) -> Path:
        """A worker's finished directory, in its private folder."""
        self.dispatch += 1
        staged = self.root / ".staging" / "1700000000-3" / f"{ID}.{self.dispatch}"
        staged.mkdir(parents=True)
        for name, data in ({"predictions.parquet": b"PAR1"} if contents is None else contents).items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_bytes(data)
        return staged

    def manifest(self, staged: Path, batch: MiniBatch | None = None, **more: Any) -> dict[str, Any]:
        """The manifest of what lies there now."""
        outputs = tuple(
            OutputFile(name=str(path.relative_to(staged)), size_bytes=path.stat().st_size)
            for path in sorted(staged.rglob("*"))
            if path.is_file() and not path.is_symlink()
        )
        batch = batch or self.batch()
        receipt = Receipt(
            batch_id=batch.batch_id, dispatch=1, rows=7, succeeded=1, output_files=outputs, run_s=0.5, **more
        )
        order = Publish(
            batch=batch,
            receipt=receipt,
            staging=str(staged),
            worker_id=3,
            slot=0,
            model="forest",
            script_sha256="ab" * 32,
        )
        return compose(order, deployment="digits", version="0.1.0", committed_at=1_795_383_470.5, device="cpu")

    def publish(self, contents: dict[str, bytes] | None = None) -> Path:
        staged = self.stage(contents)
        self.outbox.publish(ID, str(staged), self.manifest(staged))
        return self.outbox.place(ID)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    root = tmp_path / "outbox"
    root.mkdir()
    return Story(root, Outbox.open(root))
