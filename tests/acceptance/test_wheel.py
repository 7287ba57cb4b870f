"""The wheel alone, in an environment with nothing else: what a user gets from `pip install scorewatch`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOR_THE_BUILD = ["pyproject.toml", "README.md", "LICENSE"]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """What a program printed that ended well; nothing of this environment leads it to the sources."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build from: setuptools leaves its traces in the tree that it builds from."""
    copy = tmp_path_factory.mktemp("source")
    shutil.copytree(REPOSITORY / "scorewatch", copy / "scorewatch", ignore=shutil.ignore_patterns("__pycache__"))
    for name in FOR_THE_BUILD:
        if (REPOSITORY / name).exists():
            shutil.copy(REPOSITORY / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip builds it for anybody."""
    dist = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", dist, ".", cwd=source)
    [built] = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and what it asks for, no more."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home / "env", with_pip=True)
    run(home / "env" / "bin" / "python", "-m", "pip", "install", "--quiet", str(wheel), cwd=home)
    return home / "env" / "bin"


def test_it_holds_every_file_of_the_package_and_nothing_beside_it(wheel: Path, source: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = [path for path in (source / "scorewatch").rglob("*") if path.is_file()]
    assert inside == {str(path.relative_to(source)) for path in package}


def test_init_and_run_once_need_nothing_but_the_wheel(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import scorewatch; print(scorewatch.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)

    said = run(installed / "scorewatch", "init", "first", cwd=tmp_path)
    assert said.splitlines()[0].endswith("first/scorewatch.toml")
    run(installed / "scorewatch", "run", "first/scorewatch.toml", "--once", cwd=tmp_path)

    read = "import pandas; print(pandas.read_parquet('first/outbox/batches').sort_values('file').to_csv(index=False))"
    table = run(installed / "python", "-c", read, cwd=tmp_path).split()
    assert [line.rsplit(",", 1)[0] for line in table] == [
        "lines,words,bytes,file",
        "2,9,45,fox.txt",
        "1,8,35,one-line.txt",
        "3,3,32,prices.csv",
    ]


def test_the_demo_says_what_it_lacks(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run([installed / "scorewatch", "demo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "scorewatch[demo]"' in done.stderr


def test_init_writes_over_nothing(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    done = subprocess.run(
        [installed / "scorewatch", "init", "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "inbox" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]
