from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scorewatch.ledger.ledger import Ledger
from scorewatch.ledger.reading import LedgerReader, integrity
from scorewatch.ledger.rebuild import rebuild
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.errors import ScorewatchError
from scorewatch.model.events import Remains
from scorewatch.model.files import Observation
from scorewatch.model.outcomes import FailureKind, Receipt
from scorewatch.model.records import BatchMoved, BatchSealed, SchemaGrown

S = BatchState


def named(number: int, half: str = "") -> str:
    return f"20261122T213741Z-{number:020x}{half}"


def files(*names: str) -> tuple[Observation, ...]:
    return tuple(Observation(name, 10, 1, 2, 3, 4) for name in names)


def claim(batch_id: str, *names: str, output: bool = False) -> Remains:
    return Remains(
        batch_id=batch_id,
        row=None,
        state=S.CLAIMED,
        clean_stop=False,
        claim=files(*names),
        output=output,
        receipt=Receipt(batch_id=batch_id, dispatch=0, rows=3, succeeded=1) if output else None,
    )


def manifest(batch_id: str, *names: str) -> dict[str, Any]:
    entries = [{"path": f.relpath, "size_bytes": f.size, "mtime_ns": 1, "ctime_ns": 2} for f in files(*names)]
    return {"batch_id": batch_id, "sealed_because": "wait", "files": entries, "rows": 5, "succeeded": len(entries)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_everything_on_disk_is_in_the_new_ledger_once(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    record = {"reason": "timed_out", "message": "too slow", "traceback": "…"}
    made = rebuild(
        path,
        remains=[
            claim(named(1), "waiting"),
            claim(named(2), "visible", output=True),
            claim(named(3, "a"), "\udcff"),
            claim(named(9)),
        ],
        manifests=[manifest(named(2), "visible"), manifest(named(4), "d1", "d2"), {"batch_id": "../x"}, {}],
        done=[(named(4), files("d1", "d2")), (named(5), files("pruned"))],
        quarantine=[(named(6), files("bad"), record), (named(4), files("d1"), record)],
        tries=4,
    )
    assert (made.open_batches, made.committed, made.quarantined) == (3, 2, 1)
    ledger = Ledger.open(path)
    assert [(b.batch_id, s, b.tries, b.attempt, b.files) for b, s in ledger.open_batches()] == [
        (named(1), S.SEALED, 4, 0, files("waiting")),
        (named(2), S.COMMITTED, 4, 0, files("visible")),
        (named(3, "a"), S.SEALED, 1, 0, files("\udcff")),
    ]
    assert ledger.counters() == {"arrived": 7, "claimed": 7, "done": 3, "quarantined": 1}
    with LedgerReader(path) as reader:
        rows = {row.batch_id: row for row in reader.last_batches(100)}
        assert sorted(rows) == sorted([named(1), named(2), named(3, "a"), named(4), named(5), named(6)])
        four, five, six = rows[named(4)], rows[named(5)], rows[named(6)]
        assert (four.state, four.outcome, four.rows, four.n_files) == (S.RELEASED, S.COMMITTED, 5, 2)
        assert (five.state, five.outcome, five.rows) == (S.RELEASED, S.COMMITTED, None)
        assert (six.state, six.outcome) == (S.RELEASED, S.QUARANTINED)
        assert six.failure is not None
        assert (six.failure.kind, six.failure.message) == (FailureKind.TIMED_OUT, "too slow")
        assert rows[named(3, "a")].sealed_because is SealReason.BISECT
        assert rows[named(1)].sealed_at == 1_795_383_461.0
    ledger.close()
    assert integrity(path) == []


def test_the_old_one_is_kept_with_its_log_and_what_it_still_tells_is_taken_over(path: Path) -> None:
    old = Ledger.open(path)
    old.set_roots({"inbox": "i1"})
    epoch = old.begin_epoch()
    old.mark_running()
    old.record([SchemaGrown(columns=(("score", "double"), ("\udcff", "string")))])
    snapshot = {part: path.with_name(path.name + part).read_bytes() for part in ("", "-wal")}
    state_id = old.state_id
    old.close()
    for part, data in snapshot.items():  # as a power cut would leave it
        path.with_name(path.name + part).write_bytes(data)
    made = rebuild(path, manifests=[manifest(named(n), f"f{n}") for n in range(600)])
    assert made.kept is not None
    assert made.kept.name.startswith("ledger.db.broken-")
    assert made.kept.with_name(made.kept.name + "-wal").exists()
    assert not path.with_name(path.name + "-wal").exists()
    new = Ledger.open(path)
    assert (new.state_id, new.roots(), new.epoch) == (state_id, {"inbox": "i1"}, epoch)
    assert new.schema() == (("score", "double"), ("\udcff", "string"))
    assert new.mark_running(), "a new ledger begins with a clean stop"
    assert new.counters()["done"] == 600
    new.close()
    with LedgerReader(made.kept) as rescued:
        assert rescued.facts()["epoch"] == epoch


def test_where_there_is_no_old_ledger_one_is_made_under_the_name_of_the_claims(path: Path) -> None:
    stale = path.with_name(path.name + "-wal")
    stale.write_bytes(b"a log without its file")
    made = rebuild(path, remains=[claim(named(1), "a")], state_id="cafe0123")
    assert made.kept is None
    ledger = Ledger.open(path)
    assert ledger.state_id == "cafe0123"
    assert len(ledger.open_batches()) == 1
    ledger.close()
    assert path.with_name("ledger.db.broken-wal").read_bytes() == b"a log without its file"


@pytest.mark.parametrize("fatal_rename", [1, 2, 3])
def test_a_rebuild_that_was_cut_short_never_looks_like_a_ledger(
    path: Path, monkeypatch: pytest.MonkeyPatch, fatal_rename: int
) -> None:
    Ledger.open(path).close()
    path.with_name(path.name + "-wal").write_bytes(b"")
    left = iter(range(fatal_rename - 1))
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(self, target)

    remains = [claim(named(1), "a")]
    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            rebuild(path, remains=remains)
    if fatal_rename > 1:
        with pytest.raises(ScorewatchError, match="cut short") as caught:
            Ledger.open(path)
        assert "ledger rebuild" in caught.value.hint
    rebuild(path, remains=remains)
    ledger = Ledger.open(path)
    assert len(ledger.open_batches()) == 1
    ledger.close()


def test_a_rebuilt_ledger_works_on(path: Path) -> None:
    rebuild(path, remains=[claim(named(1), "a")])
    ledger = Ledger.open(path)
    ((batch, _),) = ledger.open_batches()
    assert isinstance(batch, MiniBatch)
    ledger.record([BatchSealed(batch=batch)])
    ledger.record([BatchMoved(batch_id=named(1), was=S.SEALED, now=S.RUNNING, at=1.0, attempt=1, dispatch=1)])
    assert [state for _, state in ledger.open_batches()] == [S.RUNNING]
    ledger.close()
