"""What the loop needs of the daemon's own threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from scorewatch.model.decisions import Claim, Decision


class Inbox(Protocol):
    """The inbox's thread."""

    def claim(self, action: Claim) -> None:
        """Have files claimed; BatchClaimed or ClaimFailed follows as a letter."""
        ...


class Syncer(Protocol):
    """The disk's thread."""

    def submit(self, decision: Decision) -> None:
        """Have records committed, and the disk's actions done after them; answers follow as letters."""
        ...
