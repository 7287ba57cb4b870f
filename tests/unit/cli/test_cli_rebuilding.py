"""`ledger rebuild`: a ledger that is lost or in doubt, made again, and the folders taken as the deployment's own."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.cli.rebuilding import rebuild_ledger
from scorewatch.cli.templates import write_template
from scorewatch.daemon import roots
from scorewatch.daemon.inboxes import make_claims
from scorewatch.daemon.lock import Lock
from scorewatch.inbox.probe import observe
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.settings.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.ledger.ledger import Ledger


if TYPE_CHECKING:
    from scorewatch.settings.schema import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment that has run once, and ended."""
    found = load(write_template(tmp_path / "d"))
    roots.make_state_folder(found)
    ledger = roots.open_ledger(found)
    roots.verify(found, ledger)
    ledger.close()
    return found


def start(settings: Settings) -> Ledger:
    """What the daemon does at its start."""
    roots.make_state_folder(settings)
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(roots.open_ledger(settings)))
        roots.verify(settings, ledger)
        stack.pop_all()
    return ledger


def take(settings: Settings, *names: str) -> str:
    """Claim some files, and no more."""
    ledger = start(settings)
    claims = make_claims(settings, roots.verify(settings, ledger), ledger)
    seen = [observe(name, (settings.inbox.path / name).stat()) for name in names]
    batch_id = claims.claim(seen)[0]
    ledger.close()
    return batch_id


def lose_state(settings: Settings) -> None:
    shutil.rmtree(settings.state.path)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_a_lost_state_folder_gets_its_old_name_back_and_its_claims_with_it(settings: Settings) -> None:
    batch_id = take(settings, "fox.txt", "prices.csv")
    known = read(settings.state.path / "identity.json")["id"]
    lose_state(settings)
    with pytest.raises(ScorewatchError, match="run before") as refused:
        start(settings)
    assert "ledger rebuild" in refused.value.hint

    result = rebuild_ledger(settings)

    assert result.made.open_batches == 1
    assert result.warnings == []
    assert read(settings.state.path / "identity.json")["id"] == known
    ledger = start(settings)
    ((batch, state),) = ledger.open_batches()
    assert (batch.batch_id, state) == (batch_id, BatchState.SEALED)
    assert sorted(file.relpath for file in batch.files) == ["fox.txt", "prices.csv"]
    ledger.close()


def test_the_old_ledger_is_kept_beside_the_new_one(settings: Settings) -> None:
    result = rebuild_ledger(settings)
    assert result.made.kept is not None
    assert result.made.kept.exists()


@pytest.mark.parametrize("where", ["inbox/.scorewatch/identity.json", "outbox/.identity.json"])
def test_a_folder_that_was_made_anew_is_taken_as_the_deployments_own(settings: Settings, where: str) -> None:
    path = settings.source.parent / where
    path.unlink()
    with pytest.raises(ScorewatchError, match="identity file"):
        start(settings)
    rebuild_ledger(settings)
    start(settings).close()
    assert read(path)["id"]


def test_an_outbox_of_another_state_of_this_deployment_is_taken_over_and_keeps_its_id(settings: Settings) -> None:
    path = settings.output.path / ".identity.json"
    before = read(path)
    path.write_text(json.dumps({**before, "state": "f" * 32}))
    with pytest.raises(ScorewatchError, match="belongs to the deployment"):
        start(settings)
    rebuild_ledger(settings)
    assert read(path) == before
    start(settings).close()


def test_an_outbox_of_another_deployment_is_never_taken_over(settings: Settings) -> None:
    path = settings.output.path / ".identity.json"
    path.write_text(json.dumps({**read(path), "deployment": "other"}))
    before = path.read_bytes()
    with pytest.raises(ScorewatchError, match="belongs to the deployment 'other'") as refused:
        rebuild_ledger(settings)
    assert refused.value.exit_code is ExitCode.FOLDER_UNUSABLE
    assert path.read_bytes() == before


def test_while_a_daemon_runs_nothing_is_rebuilt(settings: Settings) -> None:
    lock = Lock(settings.state.path, settings.deployment.name)
    with pytest.raises(ScorewatchError) as refused:
        rebuild_ledger(settings)
    lock.release()
    assert refused.value.exit_code is ExitCode.ALREADY_RUNNING


def test_after_an_error_the_deployment_is_free_again(settings: Settings) -> None:
    (settings.output.path / ".identity.json").write_text(json.dumps({"id": "x", "deployment": "other"}))
    with pytest.raises(ScorewatchError):
        rebuild_ledger(settings)
    Lock(settings.state.path, settings.deployment.name).release()


@pytest.mark.parametrize("role", ["inbox", "outbox"])
def test_a_missing_folder_is_not_read_as_an_empty_one(settings: Settings, role: str) -> None:
    folder = settings.source.parent / role
    shutil.rmtree(folder)
    with pytest.raises(ScorewatchError, match="is not there") as refused:
        rebuild_ledger(settings)
    assert refused.value.exit_code is ExitCode.FOLDER_UNUSABLE


def test_claims_of_another_state_are_left_alone_and_told_of(settings: Settings) -> None:
    foreign = settings.inbox.path / f".scorewatch/claim/{settings.deployment.name}-deadbeef/b1/a.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("x")
    (warning,) = rebuild_ledger(settings).warnings
    assert "deadbeef" in warning
    assert foreign.read_text() == "x"


def test_quarantine_and_done_are_read_too_and_each_batch_once(settings: Settings) -> None:
    ledger = start(settings)
    claims = make_claims(settings, roots.verify(settings, ledger), ledger)

    def claim(name: str) -> MiniBatch:
        batch_id, files, *_ = claims.claim([observe(name, (settings.inbox.path / name).stat())])
        return MiniBatch(
            batch_id=batch_id, files=files, total_bytes=1, sealed_because=SealReason.FILES, sealed_at=0.0, tries=1
        )

    bad, good = claim("fox.txt"), claim("prices.csv")
    claims.set_aside(bad, {"kind": "script_raised", "message": "it raised", "record_of": bad.batch_id})
    claims.release(good)
    ledger.close()

    made = rebuild_ledger(settings).made

    assert (made.open_batches, made.committed, made.quarantined) == (0, 1, 1)
