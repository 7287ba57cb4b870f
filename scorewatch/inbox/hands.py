"""What the inbox's thread is told, and what it needs of the claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from scorewatch.core.readiness import Marker, Quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scorewatch.inbox.held import HeldFolder
    from scorewatch.inbox.probe import Probed
    from scorewatch.model.files import Observation, Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class PatrolRules:
    """What the inbox's thread is told about what the user wants."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    recursive: bool = True
    ready_when: Literal["quiet", "marker"] = "quiet"
    marker_suffix: str = ".done"
    settle_s: float = 0.0
    incomplete_s: float = 3600.0
    rescan_s: float = 30.0
    max_file_bytes: int | None = None  #: larger files are skipped
    sizes: bool = False  #: batches are sealed by bytes too, so every file is looked at before it is offered
    flood: int = 80  #: more candidates than this in one pass are offered without a look: the claim looks
    offer_limit: int = 4096  #: names offered and not yet resolved by a claim

    def readiness(self) -> Quiet | Marker:
        """When a file is whole."""
        if self.ready_when == "marker":
            return Marker(suffix=self.marker_suffix, incomplete_s=self.incomplete_s)
        return Quiet(settle_s=self.settle_s, incomplete_s=self.incomplete_s)


class Hands(Protocol):
    """What the patrol needs of the claims; `RenameClaims` and `LedgerClaims` are such."""

    @property
    def root(self) -> HeldFolder:
        """The inbox."""
        ...

    leases: bool
    moves_files: bool

    def claim(self, files: Sequence[Observation]) -> tuple[str, tuple[Observation, ...], list[str], list[str]]:
        """See `ports.Claims`."""
        ...

    def probe(self, folder_fd: int, relpath: str) -> Probed:
        """Look at one name."""
        ...

    def taken(self, seen: Observation) -> bool:
        """Whether a file was claimed before, though it is there still."""
        ...

    def parked(self) -> tuple[str, ...]:
        """Files to be claimed that no sweep finds."""
        ...

    def skip(self, refusals: Sequence[Refusal]) -> tuple[str, tuple[Refusal, ...]]:
        """Move refused names aside; those that are told for the first time."""
        ...

    def came_back(self) -> None:
        """The inbox was away."""
        ...
