"""The deployment that `init` writes: named after its folder, and whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorewatch.cli.templates import write_template
from scorewatch.settings.load import load


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("first", "first"),
        ("Order Forms_2026", "order-forms-2026"),
        ("--x--", "x"),
        ("日本", "my-deployment"),
        ("é\udcff\n", "my-deployment"),
        ("a" * 63 + "_b", "a" * 63),
    ],
)
def test_the_deployment_bears_the_name_of_its_folder(tmp_path: Path, folder: str, name: str) -> None:
    config = write_template(tmp_path / folder)
    assert load(config).deployment.name == name
    (line,) = [line for line in config.read_text().splitlines() if line.startswith("name = ")]
    assert line.endswith("  # names the lock, the logs, the metrics: a-z, 0-9 and -")


def test_the_folder_that_one_stands_in_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert load(write_template(Path())).deployment.name == "here"


def test_the_comments_stay_in_line(tmp_path: Path) -> None:
    config = write_template(tmp_path / "first")
    lines = config.read_text().splitlines()
    where = {line.index("#") for line in lines if line.startswith(("name = ", "scoring_script = ", "path = "))}
    assert len(where) == 1
