"""`doctor`: what hurts is found, with the line that mends it, and nothing is left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorewatch.cli import kernel_checks, worker_checks
from scorewatch.cli.doctor import _all
from scorewatch.cli.folder_checks import file_system
from scorewatch.cli.kernel_checks import clock, kernel
from scorewatch.cli.templates import write_template
from scorewatch.settings.load import load

if TYPE_CHECKING:
    from scorewatch.cli.findings import Finding


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_template(tmp_path / "d")


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def bad(config: Path) -> list[Finding]:
    return [finding for finding in _all(load(config)) if finding.level == "bad"]


def test_a_fresh_deployment_has_nothing_bad_and_is_left_as_it_was(config: Path) -> None:
    before = sorted(config.parent.rglob("*"))
    assert bad(config) == []
    assert sorted(config.parent.rglob("*")) == before


def test_each_finding_that_hurts_has_the_line_that_mends_it(config: Path) -> None:
    change(config, "[workers]", '[workers]\ndevices = ["0"]')
    (config.parent / "inbox").rename(config.parent / "away")
    for finding in _all(load(config)):
        assert finding.what
        assert finding.mend or finding.level == "ok"


def test_a_missing_inbox_is_bad_and_a_missing_outbox_will_be_made(config: Path) -> None:
    (config.parent / "inbox").rename(config.parent / "away")
    (finding,) = bad(config)
    assert (finding.about, finding.mend) == ("inbox", f"mkdir -p {config.parent / 'inbox'}")


def test_an_interpreter_that_does_not_run_is_bad(config: Path, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no >&2\nexit 9\n")
    broken.chmod(0o755)
    change(config, "[deployment]", f'[deployment]\npython = "{broken}"')
    assert [finding.about for finding in bad(config)] == ["workers"]


def test_a_library_that_the_format_needs_and_that_is_not_there_is_bad(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(worker_checks._NEEDED, "parquet", ("no_such_library",))
    (finding,) = bad(config)
    assert "no_such_library" in finding.what
    assert finding.mend == f"{load(config).deployment.python} -m pip install no_such_library"


def test_a_library_that_ends_the_interpreter_is_no_end_of_the_doctor(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(worker_checks._NEEDED, "parquet", ("deadly",))
    (finding,) = bad(config)
    assert "does not run" in finding.what


def test_a_gpu_that_is_asked_for_and_not_there_is_bad(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_checks, "_cards", list)
    change(config, "[workers]", '[workers]\ndevices = ["7"]')
    (finding,) = bad(config)
    assert (finding.about, finding.mend) == ("gpu", "[workers] devices = []")


def test_code_in_a_place_where_anybody_can_write_is_bad(config: Path) -> None:
    (config.parent / "code" / "score.py").chmod(0o666)
    (finding,) = bad(config)
    assert "anybody can write" in finding.what


def test_everything_that_is_missing_is_named(config: Path) -> None:
    change(config, "[inbox]", 'model = "models/digits"\n[inbox]')
    (config.parent / "code" / "score.py").unlink()
    script, model = bad(config)
    assert script.what == f"{config.parent / 'code' / 'score.py'}: the scoring script is not there"
    assert model.what == f"{config.parent / 'models' / 'digits'}: the model is not there"
    assert model.mend == f"correct [deployment] model in {config}"


def test_an_inbox_in_the_folder_of_the_code_is_mended_by_moving_the_script(config: Path) -> None:
    (config.parent / "code" / "score.py").rename(config.parent / "score.py")
    change(config, "code/score.py", "score.py")
    (finding,) = [one for one in _all(load(config)) if "the inbox lies in the folder of the code" in one.what]
    assert finding.mend == "move the script to a folder of its own, e.g. code/"


def test_one_is_no_plural(config: Path) -> None:
    found = [finding.what for finding in _all(load(config))]
    assert any(what.endswith("the inbox has 1 folder") for what in found)


def test_too_few_watches_are_told_with_the_sysctl_that_raises_them(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_checks, "_limit", lambda _name: 100)
    warned = [finding for finding in kernel(load(config), folders=80) if finding.level == "warn"]
    assert "sysctl -w fs.inotify.max_user_watches=" in warned[0].mend


def test_too_few_open_files_are_told_with_the_units_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_checks.resource, "getrlimit", lambda _which: (64, 64))
    warned = [finding for finding in kernel(load(config), folders=1) if finding.level == "warn"]
    assert "LimitNOFILE=" in warned[-1].mend


def test_files_from_the_future_show_that_the_clock_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("")
    assert clock([file]).level == "ok"
    os.utime(file, (2**32, 2**32))
    assert clock([file]).level == "bad"


def test_file_systems_are_known_by_the_name_of_their_deepest_mount() -> None:
    assert file_system(Path("/proc/self")) == "proc"
    assert file_system(Path(sys.executable)) not in {"", "proc"}
