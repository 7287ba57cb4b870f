"""An inbox on a real file system, and its claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scorewatch.inbox import probe
from scorewatch.inbox.claim import RenameClaims

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _lease_breaks_are_ignored() -> None:
    probe.ignore_lease_breaks()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def claims(inbox: Path) -> Iterator[RenameClaims]:
    made = RenameClaims(inbox, "digits-1", durable=False)
    yield made
    made.root.close()
