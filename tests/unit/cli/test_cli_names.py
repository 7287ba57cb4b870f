"""Which file somebody means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scorewatch.cli.names import relative_to_inbox
from scorewatch.model.errors import ScorewatchError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "d" / "inbox"
    (folder / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("a.csv", "a.csv"),
        ("sub/a.csv", "sub/a.csv"),
        ("./sub//a.csv", "sub/a.csv"),
        ("sub/../a.csv", "a.csv"),
        ("d/inbox/sub/a.csv", "sub/a.csv"),
        ("odd\n\udcff", "odd\n\udcff"),
    ],
)
def test_names_are_relative_to_the_inbox_or_lead_into_it(inbox: Path, name: str, meant: str) -> None:
    assert relative_to_inbox(name, inbox) == meant


def test_an_absolute_path_inside_the_inbox_is_meant_too_through_links_as_well(inbox: Path, tmp_path: Path) -> None:
    assert relative_to_inbox(f"{inbox}/sub/a.csv", inbox) == "sub/a.csv"
    link = tmp_path / "link"
    link.symlink_to(inbox)
    assert relative_to_inbox(f"{inbox}/a.csv", link) == "a.csv"


def test_inside_the_inbox_a_name_is_still_relative_to_the_inbox(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inbox / "sub")
    assert relative_to_inbox("a.csv", inbox) == "a.csv"


@pytest.mark.parametrize("name", ["../x", "..", ".", "", "/etc/passwd", "sub/../../x"])
def test_what_leads_out_is_refused(inbox: Path, name: str) -> None:
    with pytest.raises(ScorewatchError, match="no name inside the inbox"):
        relative_to_inbox(name, inbox)


def test_a_neighbour_whose_name_begins_like_the_inbox_is_outside(inbox: Path) -> None:
    with pytest.raises(ScorewatchError, match="no name inside the inbox"):
        relative_to_inbox(f"{inbox}-2/a.csv", inbox)
