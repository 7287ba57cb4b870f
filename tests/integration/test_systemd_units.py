"""The shipped units, as systemd itself reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scorewatch.model.errors import ExitCode
from scorewatch.settings.schema import Workers

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "scorewatch@.service"
DROP_INS = sorted(path.name for path in (SYSTEMD / "drop-ins").glob("*.conf"))

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A unit folder with one instance; the program that it starts exists on this machine."""
    text = UNIT.read_text().replace("/opt/scorewatch/bin/scorewatch", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    (tmp_path / "scorewatch@digits.service").symlink_to(UNIT.name)
    return tmp_path


def analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    unit = str(folder / "scorewatch@digits.service")
    return subprocess.run(
        ["systemd-analyze", *arguments, unit], capture_output=True, text=True, timeout=60, check=False
    )


def drop_in(folder: Path, name: str) -> None:
    (folder / "scorewatch@.service.d").mkdir(exist_ok=True)
    shutil.copy(SYSTEMD / "drop-ins" / name, folder / "scorewatch@.service.d" / name)


def exposure(folder: Path) -> float:
    done = analyze(folder, "security", "--offline=true", "--no-pager")
    found = re.search(r"Overall exposure level for .*: (\d+\.\d+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), flags=re.MULTILINE)


def test_systemd_has_nothing_to_say_against_the_unit(folder: Path) -> None:
    done = analyze(folder, "verify")
    assert (done.stderr, done.returncode) == ("", 0)


def test_systemd_would_say_something_against_a_key_that_it_does_not_know(folder: Path) -> None:
    """It exits 0 all the same, so that only its words can be trusted."""
    text = (folder / UNIT.name).read_text()
    (folder / UNIT.name).write_text(text.replace("PrivateIPC=", "PrivateIPX="))
    assert "PrivateIPX" in analyze(folder, "verify").stderr


@pytest.mark.parametrize("name", DROP_INS)
def test_systemd_has_nothing_to_say_against_a_drop_in(folder: Path, name: str) -> None:
    drop_in(folder, name)
    assert analyze(folder, "verify").stderr == ""


def test_the_unit_is_hardly_exposed(folder: Path) -> None:
    assert exposure(folder) <= 0.8


def test_the_unit_is_even_less_exposed_where_the_service_owns_its_files(folder: Path) -> None:
    drop_in(folder, "own-files.conf")
    assert exposure(folder) <= 0.5


def test_a_restart_is_not_tried_where_none_can_help() -> None:
    for_ever = {ExitCode.USAGE, ExitCode.SCORER_CANNOT_LOAD, ExitCode.ERROR_THRESHOLD, ExitCode.ALREADY_RUNNING}
    assert values("RestartPreventExitStatus") == [" ".join(str(int(code)) for code in sorted(for_ever))]


def test_the_manager_waits_longer_than_running_batches_may_take() -> None:
    assert int(values("TimeoutStopSec")[0]) > Workers().grace_seconds


def test_inbox_and_outbox_are_one_mount() -> None:
    assert values("ReadWritePaths") == ["/srv/scorewatch/%i"]


def test_the_lease_on_files_of_others_works() -> None:
    assert values("AmbientCapabilities") == values("CapabilityBoundingSet") == ["CAP_LEASE"]
    assert values("PrivateUsers") == ["no"]


def test_what_a_dead_or_hungry_worker_needs_is_set() -> None:
    assert (values("KillMode"), values("OOMPolicy")) == (["mixed"], ["continue"])


@pytest.mark.parametrize("tool", ["systemd-sysusers", "systemd-tmpfiles"])
def test_the_user_and_the_folders_can_be_made(tmp_path: Path, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / "etc").mkdir()
    shutil.copy("/etc/passwd", tmp_path / "etc/passwd")
    shutil.copy("/etc/group", tmp_path / "etc/group")
    snippets = {"systemd-sysusers": ["sysusers.d"], "systemd-tmpfiles": ["sysusers.d", "tmpfiles.d"]}[tool]
    for snippet in snippets:
        program = "systemd-sysusers" if snippet == "sysusers.d" else tool
        create = ["--create"] if program == "systemd-tmpfiles" else []
        text = (SYSTEMD / snippet / "scorewatch.conf").read_text()
        (tmp_path / f"{snippet}.conf").write_text(re.sub(r"^#(?=d )", "", text, flags=re.MULTILINE))
        done = subprocess.run(
            [program, *create, f"--root={tmp_path}", str(tmp_path / f"{snippet}.conf")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    if tool == "systemd-tmpfiles":
        assert (tmp_path / "srv/scorewatch/digits/inbox").stat().st_mode & 0o7777 == 0o2770
    else:
        assert "scorewatch" in (tmp_path / "etc/passwd").read_text()
