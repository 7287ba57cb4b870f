"""Names that were refused and stay in the inbox: named while they are there, and no longer than that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from scorewatch.cli.explain import verdict_of
from scorewatch.cli.life import life_of
from scorewatch.cli.opened import deployment
from scorewatch.cli.standing import standing
from scorewatch.cli.status import _lines
from scorewatch.cli.templates import write_template
from scorewatch.ledger.ledger import Ledger
from scorewatch.model.files import Refusal, RefusalReason
from scorewatch.model.records import FilesSkipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scorewatch.cli.opened import Deployment

LOCKED = "no permission to read it"


@pytest.fixture
def d(tmp_path: Path) -> Deployment:
    found = deployment(write_template(tmp_path / "d"))
    for path in found.settings.inbox.path.iterdir():
        path.unlink()
    return found


@pytest.fixture
def ledger(d: Deployment) -> Iterator[Ledger]:
    d.state.mkdir()
    opened = Ledger.open(d.ledger, "process")
    opened.set_roots({"state": "0123456789abcdef0123456789abcdef"})
    yield opened
    opened.close()


def drop(d: Deployment, *names: str) -> None:
    for name in names:
        path = d.settings.inbox.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def refuse(
    ledger: Ledger,
    *names: str,
    moved: bool = False,
    in_s: float = 60.0,
    reason: RefusalReason = RefusalReason.UNREADABLE,
) -> None:
    """In the future, so that files which are there by now did not change since."""
    refusals = tuple(Refusal(name, reason, LOCKED, moved=moved) for name in names)
    at = time.time() + in_s
    ledger.record([FilesSkipped(skip_id=f"{names[0]}-{at}", refusals=refusals, at=at)])


def named(d: Deployment) -> list[str]:
    return [one["path"] for one in standing(d).refused]


def test_files_that_cannot_be_taken_are_named_with_the_reason(d: Deployment, ledger: Ledger) -> None:
    drop(d, "a.txt", "sub/b\n.txt", "fine.txt")
    refuse(ledger, "a.txt", "sub/b\n.txt", "gone.txt")
    found = standing(d)
    assert [(one["path"], one["reason"]) for one in found.refused] == [
        ("a.txt", "unreadable"),
        ("sub/b\n.txt", "unreadable"),
    ]
    assert f"  ! 2 files can't be taken: a.txt, sub/b\\n.txt ({LOCKED})" in _lines(found)
    assert found.as_json()["refused"][0]["message"] == LOCKED


def test_a_name_is_told_once_and_by_its_last_end(d: Deployment, ledger: Ledger) -> None:
    drop(d, "twice", "moved")
    refuse(ledger, "twice", "moved")
    refuse(ledger, "twice", in_s=61)
    refuse(ledger, "moved", moved=True, in_s=61)
    assert named(d) == ["twice"]


def test_what_was_mended_since_is_not_named(d: Deployment, ledger: Ledger) -> None:
    drop(d, "mended", "folder/inside")
    refuse(ledger, "mended", "folder", in_s=-60)
    assert named(d) == []
    refuse(ledger, "mended", "folder")
    assert sorted(named(d)) == ["folder", "mended"]


def test_many_are_counted_and_a_few_are_named(d: Deployment, ledger: Ledger) -> None:
    names = [f"{number:02}" for number in range(12)]
    drop(d, *names)
    refuse(ledger, *names)
    (line,) = [line for line in _lines(standing(d)) if "can't be taken" in line]
    assert line.startswith("  ! 12 files can't be taken: 00, 01, ")
    assert "09, … (" in line


def test_such_a_file_is_explained_by_why_it_waits(d: Deployment, ledger: Ledger) -> None:
    drop(d, "locked.txt", "fine.txt")
    refuse(ledger, "locked.txt")
    verdict, _, path = verdict_of(life_of(d, "locked.txt"))
    assert verdict == f"waits in the inbox and can't be taken: {LOCKED}; it is taken once it can be read"
    assert path == str(d.settings.inbox.path / "locked.txt")
    assert verdict_of(life_of(d, "fine.txt"))[0] == "waits in the inbox"


def test_a_link_that_could_not_be_moved_is_explained_by_that(d: Deployment, ledger: Ledger) -> None:
    (d.settings.inbox.path / "link").symlink_to("nowhere")
    refuse(ledger, "link", reason=RefusalReason.SYMLINK)
    assert verdict_of(life_of(d, "link"))[0] == f"waits in the inbox and can't be taken: {LOCKED}"
