"""Who could change what the workers run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.settings.load import load
from scorewatch.settings.safety import check_trust

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.settings.schema import Settings

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A deployment that nobody else can write; the temporary folders above it are sticky or ours."""
    home = tmp_path / "digits"
    for folder in ("code", "model", "inbox", "outbox"):
        (home / folder).mkdir(parents=True)
    (home / "code/score.py").write_text("def run(mini_batch): return mini_batch\n")
    (home / "model/weights").write_text("1 2 3")
    (home / "digits.toml").write_text(
        '[deployment]\nname = "digits"\nscoring_script = "code/score.py"\nmodel = "model"\n'
        'python = "bin/python"\n[inbox]\npath = "inbox"\n[output]\npath = "outbox"\n'
    )
    (home / "bin").mkdir()
    (home / "bin/python").write_text("")
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return home


def settings(home: Path) -> Settings:
    return load(home / "digits.toml")


def warnings_of(home: Path) -> list[str]:
    return [warning for warning in check_trust(settings(home)) if str(home) in warning]


def test_what_only_its_owner_can_write_is_fine(home: Path) -> None:
    assert warnings_of(home) == []


@pytest.mark.parametrize(
    "place", ["code/score.py", "code", "model", "model/weights", "digits.toml", "bin/python", "bin", "."]
)
def test_what_anybody_can_write_is_refused(home: Path, place: str) -> None:
    (home / place).chmod(0o777)
    with pytest.raises(ScorewatchError, match="anybody can write this") as caught:
        check_trust(settings(home))
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.where == str((home / place).resolve())


@pytest.mark.parametrize("place", ["code/score.py", "model/weights", "digits.toml", "bin", "."])
def test_what_a_group_can_write_is_a_warning(home: Path, place: str) -> None:
    (home / place).chmod(0o775)
    assert any(str((home / place).resolve()) in one and "group" in one for one in warnings_of(home))


def test_a_module_beside_the_script_counts_as_code(home: Path) -> None:
    (home / "code/lib").mkdir()
    (home / "code/lib/helper.py").write_text("")
    (home / "code/lib/helper.py").chmod(0o666)
    with pytest.raises(ScorewatchError, match="anybody can write this"):
        check_trust(settings(home))


def test_a_link_is_judged_by_what_it_points_to(home: Path) -> None:
    (home / "elsewhere.py").write_text("")
    (home / "code/helper.py").symlink_to("../elsewhere.py")
    (home / "elsewhere.py").chmod(0o644)
    assert warnings_of(home) == []
    (home / "elsewhere.py").chmod(0o666)
    with pytest.raises(ScorewatchError, match="anybody can write this"):
        check_trust(settings(home))


def test_the_folder_of_a_link_on_the_way_counts(home: Path) -> None:
    (home / "open").mkdir()
    (home / "code").rename(home / "real")
    (home / "open/code").symlink_to(home / "real")
    (home / "code").symlink_to("open/code")
    (home / "open").chmod(0o777)
    with pytest.raises(ScorewatchError, match="anybody can write this"):
        check_trust(settings(home))


def test_a_sticky_folder_is_fine_on_the_way_but_not_as_code(home: Path) -> None:
    home.chmod(0o1777)
    assert warnings_of(home) == []
    (home / "code").chmod(0o1777)
    with pytest.raises(ScorewatchError, match="anybody can write this"):
        check_trust(settings(home))


@needs_root
def test_a_third_owner_is_a_warning(home: Path) -> None:
    os.chown(home / "code/score.py", 65534, 65534)
    assert any("belongs to user 65534" in warning for warning in warnings_of(home))


def test_ten_thousand_doubtful_files_are_a_short_list(home: Path) -> None:
    for number in range(50):
        (home / f"model/{number}").write_text("")
        (home / f"model/{number}").chmod(0o664)
    warnings = check_trust(settings(home))
    assert len(warnings) == 21
    assert warnings[-1].startswith("and ")


@pytest.mark.parametrize("key", ["code/score.py", "model", "bin/python"])
def test_what_is_not_there_cannot_be_loaded(home: Path, key: str) -> None:
    (home / key).rename(home / "gone")
    with pytest.raises(ScorewatchError, match="is not there") as caught:
        check_trust(settings(home))
    assert caught.value.exit_code is ExitCode.SCORER_CANNOT_LOAD


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('model = "model"', 'model = "inbox/model"'),
        ('"code/score.py"', '"inbox/score.py"'),
    ],
)
def test_files_are_not_dropped_where_code_lies(home: Path, old: str, new: str) -> None:
    file = home / "digits.toml"
    file.write_text(file.read_text().replace(old, new))
    (home / "inbox/model").mkdir()
    (home / "inbox/score.py").write_text("")
    with pytest.raises(ScorewatchError, match="lies in the inbox") as caught:
        check_trust(settings(home))
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("place", ["code/inbox", "model/inbox"])
def test_an_inbox_beside_the_script_is_warned_of_and_its_files_are_not_judged_as_code(home: Path, place: str) -> None:
    file = home / "digits.toml"
    file.write_text(file.read_text().replace('path = "inbox"', f'path = "{place}"'))
    (home / place).mkdir()
    (home / place).chmod(0o1777)
    (home / place / "upload.csv").write_text("1")
    (home / place / "upload.csv").chmod(0o666)
    (warning,) = check_trust(settings(home))
    assert "the inbox lies in the folder of" in warning


def test_a_configuration_in_the_inbox_is_refused(home: Path) -> None:
    (home / "digits.toml").rename(home / "inbox/digits.toml")
    text = (home / "inbox/digits.toml").read_text()
    for name in ("code", "model", "bin", "inbox", "outbox"):
        text = text.replace(f'"{name}', f'"{home}/{name}')
    (home / "inbox/digits.toml").write_text(text + f'[state]\npath = "{home}/state"\n')
    with pytest.raises(ScorewatchError, match="lies in the inbox"):
        check_trust(load(home / "inbox/digits.toml"))


def test_a_model_without_a_script_ends_the_start_in_a_sentence(home: Path) -> None:
    file = home / "digits.toml"
    file.write_text(file.read_text().replace('scoring_script = "code/score.py"', ""))
    with pytest.raises(ScorewatchError, match="can't be scored without a scoring script") as caught:
        check_trust(settings(home))
    assert caught.value.exit_code is ExitCode.SCORER_CANNOT_LOAD
