"""Claims in an inbox that may not be written: nothing moves, and the ledger's row is the claim.

What was taken is known by (relpath, size, mtime_ns, ctime_ns), which grows with the files that are kept; one process
only; and since the files stay within their writers' reach, the daemon must look for torn reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from scorewatch.core.readiness import Lease
from scorewatch.inbox import moves, probe
from scorewatch.inbox.claim import new_id
from scorewatch.inbox.held import HeldFolder
from scorewatch.inbox.skipping import Told
from scorewatch.model.files import UNKNOWN_SIZE, Observation

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.files import Refusal

Key: TypeAlias = tuple[str, int, int, int]


class LedgerClaims:
    """Implements `ports.Claims` without touching the inbox.

    Args:
        inbox: the folder.
        taken: (relpath, size, mtime_ns, ctime_ns) -> whether the ledger knows that file; called in the inbox's thread.

    Raises:
        ScorewatchError: the inbox isn't there.
    """

    moves_files = False

    def __init__(self, inbox: str | os.PathLike[str], taken: Callable[[str, int, int, int], bool]) -> None:
        self.root = HeldFolder(inbox)
        self.leases = not self.root.remote
        self._taken = taken
        self._unwritten: set[Key] = set()  # claimed, and not yet seen in the ledger
        self._told = Told()

    # ------------------------------------------------------------ the inbox's thread
    def claim(self, files: Sequence[Observation]) -> tuple[str, tuple[Observation, ...], list[str], list[str]]:
        """Look at each file once more: (batch id, those that are whole, busy, vanished)."""
        got: list[Observation] = []
        busy: list[str] = []
        vanished: list[str] = []
        with moves.Folders(self.root.fd) as folders:
            for file in files:
                found = self._probe_below(folders, file.relpath)
                if found.gone:
                    vanished.append(file.relpath)
                elif found.seen is not None and self._is_whole(file, found):
                    self._unwritten.add(_key(found.seen))
                    got.append(found.seen)
                else:
                    busy.append(file.relpath)
        return new_id(), tuple(got), busy, vanished

    def _is_whole(self, offered: Observation, found: probe.Probed) -> bool:
        seen = found.seen
        if seen is None or seen.size == 0 or found.lease is Lease.BUSY or self.taken(seen):
            return False
        return found.lease is Lease.QUIET or (offered.size != UNKNOWN_SIZE and offered.same_content(seen))

    def _probe_below(self, folders: moves.Folders, relpath: str) -> probe.Probed:
        folder, base = moves.split(relpath)
        try:
            return probe.probe(folders.at(folder), base, relpath, leases=self.leases)
        except OSError as error:
            return probe.explain(error, relpath)

    def probe(self, folder_fd: int, relpath: str) -> probe.Probed:
        """Look at one name, of which the folder is open."""
        return probe.probe(folder_fd, moves.split(relpath)[1], relpath, leases=self.leases)

    def taken(self, seen: Observation) -> bool:
        """Whether a file of this identity was claimed before."""
        key = _key(seen)
        if self._taken(*key):
            self._unwritten.discard(key)
            return True
        return key in self._unwritten

    def parked(self) -> tuple[str, ...]:
        """Nothing moves, so nothing is parked."""
        return ()

    def skip(self, refusals: Sequence[Refusal]) -> tuple[str, tuple[Refusal, ...]]:
        """Tell each refusal once; all stay where they are."""
        return new_id(), self._told.fresh(refusals)

    def came_back(self) -> None:
        """The inbox was away: nothing of it is remembered here."""

    # ------------------------------------------------------------ the syncer's thread
    def sync(self, batches: Sequence[MiniBatch]) -> None:
        """The ledger's row is the claim: there is nothing else to make durable."""

    def where(self, batch: MiniBatch) -> str:  # noqa: ARG002 - all lie in one place
        """The inbox itself."""
        return self.root.path

    def look(self, batch: MiniBatch) -> tuple[Observation | None, ...]:
        """The identity of each file now; None: gone."""
        with moves.Folders(self.root.fd) as folders:
            return tuple(probe.look(folders.at, file.relpath, file.relpath) for file in batch.files)

    def remains(self, sealed: Container[str] | None = None) -> Mapping[str, tuple[Observation, ...]]:  # noqa: ARG002
        """Nothing stands on disk: what was claimed and not recorded is in the inbox as before."""
        return {}

    def divide(self, batch: MiniBatch, halves: Sequence[tuple[str, tuple[Observation, ...]]]) -> None:
        """The halves are rows, too."""

    def release(self, batch: MiniBatch) -> None:
        """The inputs are kept."""

    def set_aside(self, batch: MiniBatch, record: Mapping[str, Any]) -> None:
        """They stay; the ledger and `errors/` say what became of them."""

    def drop(self, batch_id: str) -> None:
        """There is no folder."""

    def prune_done(self, keep_days: int, now: float) -> list[str]:  # noqa: ARG002 - nothing is kept by us
        """There is no `done/`."""
        return []

    def quarantined(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Nothing is set aside."""
        return iter(())

    def skipped(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Nothing is moved."""
        return iter(())


def _key(seen: Observation) -> Key:
    return seen.relpath, seen.size, seen.mtime_ns, seen.ctime_ns
