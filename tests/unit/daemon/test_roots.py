"""Stories of what a start believes of its three folders."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from scorewatch.daemon import roots
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.events import Role
from scorewatch.settings.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.daemon.roots import Roots
    from scorewatch.settings.schema import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make(tmp_path, "digits")


def make(home: Path, name: str, *, state: str = "state", outbox: str = "outbox") -> Settings:
    (home / "inbox").mkdir(exist_ok=True)
    (home / "code").mkdir(exist_ok=True)
    (home / "code/score.py").write_text("def run(mini_batch): return []\n")
    config = home / f"{name}.toml"
    config.write_text(
        f'[deployment]\nname = "{name}"\nscoring_script = "code/score.py"\n[inbox]\npath = "inbox"\n'
        f'[output]\npath = "{outbox}"\n[state]\npath = "{state}"\n'
    )
    return load(config)


def start(settings: Settings) -> Roots:
    roots.make_state_folder(settings)
    ledger = roots.open_ledger(settings)
    try:
        return roots.verify(settings, ledger)
    finally:
        ledger.close()


def refusal(settings: Settings) -> str:
    with pytest.raises(ScorewatchError) as caught:
        start(settings)
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    return str(caught.value)


def test_the_first_start_makes_the_folders_its_own_and_the_second_knows_them(settings: Settings) -> None:
    first = start(settings)
    assert start(settings) == first
    assert set(first.ids) == {Role.INBOX, Role.OUTBOX, Role.STATE}


def test_an_inbox_that_is_not_there_is_never_made(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "inbox").rmdir()
    assert "the inbox is not there" in refusal(settings)
    assert not (tmp_path / "inbox").exists()
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("folder", ["inbox", "outbox"])
def test_a_folder_that_is_empty_where_there_was_one_is_not_believed(
    settings: Settings, tmp_path: Path, folder: str
) -> None:
    start(settings)
    (tmp_path / folder).rename(tmp_path / "unmounted")
    (tmp_path / folder).mkdir()
    assert f"this is not the {folder} of last time: it has no identity file" in refusal(settings)
    (tmp_path / folder).rmdir()
    (tmp_path / "unmounted").rename(tmp_path / folder)
    start(settings)


def test_an_outbox_that_is_gone_is_not_made_anew(settings: Settings, tmp_path: Path) -> None:
    start(settings)
    shutil.rmtree(tmp_path / "outbox")
    assert "the outbox is not there" in refusal(settings)


def test_an_empty_state_folder_of_a_deployment_that_has_run_is_refused(settings: Settings, tmp_path: Path) -> None:
    start(settings)
    (tmp_path / "state").rename(tmp_path / "unmounted")
    assert "has run before, but its state folder is empty or gone" in refusal(settings)
    assert "ledger rebuild" in refusal(settings)
    (tmp_path / "unmounted").rename(tmp_path / "state")
    start(settings)


def test_a_ledger_that_is_gone_is_not_begun_anew(settings: Settings, tmp_path: Path) -> None:
    start(settings)
    (tmp_path / "state/ledger.db").unlink()
    assert "the ledger is gone" in refusal(settings)


def test_a_state_identity_that_is_lost_is_made_again_with_the_same_id(settings: Settings, tmp_path: Path) -> None:
    first = start(settings)
    (tmp_path / "state/identity.json").unlink()
    assert start(settings) == first


def test_the_state_folder_of_another_deployment_is_refused(tmp_path: Path) -> None:
    start(make(tmp_path, "digits"))
    start(make(tmp_path, "letters", state="other", outbox="others"))
    shutil.copy(tmp_path / "other/identity.json", tmp_path / "state/identity.json")
    assert "another deployment's state folder" in refusal(make(tmp_path, "digits"))


def test_an_outbox_belongs_to_one_deployment(tmp_path: Path) -> None:
    start(make(tmp_path, "digits"))
    assert "this outbox belongs to the deployment 'digits'" in refusal(make(tmp_path, "letters", state="other"))


def test_deployments_share_an_inbox(tmp_path: Path) -> None:
    first = start(make(tmp_path, "digits"))
    second = start(make(tmp_path, "letters", state="other", outbox="others"))
    assert first.ids[Role.INBOX] == second.ids[Role.INBOX]
    assert first.state_id != second.state_id
