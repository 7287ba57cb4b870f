"""Who owns a file: whoever renamed it out of the inbox. The claims of one deployment, as folders.

`<inbox>/.scorewatch/claim/<deployment>-<state id>/<batch id>/<relpath>`; nothing else confers ownership, and what
stands there is the truth after a crash.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Literal

from scorewatch.core.readiness import Lease
from scorewatch.inbox import moves, probe
from scorewatch.inbox.aside import Quarantine
from scorewatch.inbox.done import Archive
from scorewatch.inbox.layout import InboxRoot
from scorewatch.inbox.parking import Parking
from scorewatch.inbox.skipping import Skipper
from scorewatch.inbox.stuck import Stuck
from scorewatch.inbox.taking import Taking
from scorewatch.model import ids
from scorewatch.model.files import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.files import Observation, Refusal


def new_id() -> str:
    """A batch id: now, and 80 random bits."""
    return ids.make(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), os.urandom(ids.ENTROPY_BYTES))


class RenameClaims:
    """Implements `ports.Claims` by renames below one inbox.

    `claim`, `probe`, `skip` and `parked` belong to the inbox's thread, the rest to the syncer's.

    Args:
        inbox: the folder.
        owner: `<deployment>-<state id>`.
        durable: False: durability = "process", nothing is fsynced.
        after: "archive" or "delete", for the inputs of committed batches.
        marker_suffix: of completion markers, which travel with their files; empty: there are none.

    Raises:
        ScorewatchError: the inbox can't be used.
    """

    moves_files = True  #: a claimed file leaves the inbox, so nothing needs to be remembered of it

    def __init__(
        self,
        inbox: str | os.PathLike[str],
        owner: str,
        *,
        durable: bool = True,
        after: Literal["archive", "delete"] = "archive",
        marker_suffix: str = "",
    ) -> None:
        self.root = InboxRoot(inbox, owner, durable=durable)
        self.leases = not self.root.remote
        self._durable = durable
        self._after = after
        self._suffix = marker_suffix
        self._parking = Parking(self.root, marker_suffix, durable=durable)
        self._archive = Archive(self.root)
        self._stuck = Stuck()
        self._skipper = Skipper(self.root, self._parking, durable=durable, leases=self.leases)
        self.quarantine = Quarantine(self.root, durable=durable, marker_suffix=marker_suffix)

    # ------------------------------------------------------------ the inbox's thread
    def claim(self, files: Sequence[Observation]) -> tuple[str, tuple[Observation, ...], list[str], list[str]]:
        """Take files for a new batch: (batch id, those got, busy or not whole, vanished).

        Where the environment fails after the first file, the rest is told as busy: the next claim says why.
        """
        batch_id = new_id()
        os.mkdir(batch_id, 0o700, dir_fd=self.root.claim_fd)
        batch_fd = moves.open_folder(self.root.claim_fd, batch_id)
        taking = Taking(self.root, batch_fd, self._parking, leases=self.leases, marker_suffix=self._suffix)
        try:
            for number, file in enumerate(files):
                try:
                    taking.take(file)
                except OSError:
                    if not taking.got:
                        raise
                    taking.busy += [rest.relpath for rest in files[number:]]
                    break
        finally:
            taking.close()
            os.close(batch_fd)
            if not taking.got:
                moves.remove_empty(self.root.claim_fd, batch_id)
        for relpath, why in taking.stuck:
            self._stuck.add(relpath, why)
        return batch_id, tuple(taking.got), taking.busy, taking.vanished

    def parked(self) -> tuple[str, ...]:
        """Files that wait to be claimed and lie in the inbox no more."""
        return self._parking.relpaths()

    def probe(self, folder_fd: int, relpath: str) -> probe.Probed:
        """Look at one name, of which the folder is open; a parked file of that path comes first."""
        parked = self._parking.folder_of(relpath)
        base = relpath.rpartition("/")[2]
        if why := self._stuck.why(relpath):
            return probe.Probed(reason=RefusalReason.UNREADABLE, detail=f"it can't be moved out of the inbox: {why}")
        if not parked:
            return probe.probe(folder_fd, base, relpath, leases=self.leases)
        with moves.Folders(self.root.parked_fd) as folders:
            found = probe.probe(folders.at(parked), base, relpath, leases=self.leases)
        if found.gone:
            self._parking.left(relpath)
        return found

    def taken(self, seen: Observation) -> bool:  # noqa: ARG002 - the other kind of claims needs to know
        """Whether a file was taken before, though it is still there: never, here."""
        return False

    def skip(self, refusals: Sequence[Refusal]) -> tuple[str, tuple[Refusal, ...]]:
        """Move refused names to `skipped/<skip id>/`: (skip id, those that are new, each with whether it moved)."""
        return self._skipper.skip(new_id(), refusals)

    def came_back(self) -> None:
        """The inbox was away and is there again: read what is parked anew."""
        self._parking.read()

    # ------------------------------------------------------------ the syncer's thread
    def sync(self, batches: Sequence[MiniBatch]) -> None:
        """Make the claims of these batches durable: each folder involved is fsynced once."""
        if not self._durable or not batches:
            return
        sources: set[str] = set()
        for batch in batches:
            folders = moves.with_parents(file.relpath for file in batch.files)
            self._sync_folders(self.root.claim_fd, {f"{batch.batch_id}/{f}".rstrip("/") for f in folders})
            sources |= {moves.split(file.relpath)[0] for file in batch.files}
        moves.sync_folder(self.root.claim_fd)
        self._sync_folders(self.root.fd, sources)
        self._parking.sync()

    def where(self, batch: MiniBatch) -> str:
        """The folder that the relpaths of a batch are relative to."""
        return f"{self.root.claims_path}/{batch.batch_id}"

    def look(self, batch: MiniBatch) -> tuple[Observation | None, ...]:
        """The identity of each file in the claim now; None: gone."""
        self.root.verify()
        with moves.Folders(self.root.claim_fd) as folders:
            return tuple(
                probe.look(folders.at, f"{batch.batch_id}/{file.relpath}", file.relpath) for file in batch.files
            )

    def remains(self, sealed: Container[str] | None = None) -> Mapping[str, tuple[Observation, ...]]:
        """Every claim that stands, by batch id; claims of other owners are not looked at.

        Args:
            sealed: the ids that the ledger knows. Given, a claim that isn't among them is finished first: a file
                whose marker was claimed already is fetched, and one that a writer has open still is parked.
        """
        found = {}
        for batch_id in moves.names(self.root.claim_fd):
            if ids.is_batch_id(batch_id):
                if sealed is not None and batch_id not in sealed:
                    self._finish(batch_id)
                found[batch_id] = self._contents(batch_id)
        return found

    def divide(self, batch: MiniBatch, halves: Sequence[tuple[str, tuple[Observation, ...]]]) -> None:
        """Move the files into the claims of the halves; those that moved before are there already."""
        self.root.verify()
        for half_id, _ in halves:
            os.close(moves.make_folder(self.root.claim_fd, half_id))
        if self._durable:
            moves.sync_folder(self.root.claim_fd)  # a half is durable before its files leave the whole
        for half_id, files in halves:
            self._move_files(batch.batch_id, self.root.claim_fd, half_id, [file.relpath for file in files])
        moves.remove_empty(self.root.claim_fd, batch.batch_id)
        if self._durable:
            moves.sync_folder(self.root.claim_fd)

    def release(self, batch: MiniBatch) -> None:
        """Move the claim to `done/`, or delete it."""
        self.root.verify()
        if self._after == "archive":
            self._archive.take(batch.batch_id, time.time())
        else:
            moves.remove_tree(self.root.claim_fd, batch.batch_id)

    def set_aside(self, batch: MiniBatch, record: Mapping[str, Any]) -> None:
        """Move the files to `quarantine/<batch id>/`, after the record that says why."""
        self.root.verify()
        relpaths = [file.relpath for file in batch.files]
        quarantine_fd = self.quarantine.admit(batch.batch_id, relpaths, record)
        try:
            self._move_files(batch.batch_id, quarantine_fd, batch.batch_id, relpaths)
        finally:
            os.close(quarantine_fd)
        moves.remove_empty(self.root.claim_fd, batch.batch_id)
        if self._durable:
            moves.sync_folder(self.root.claim_fd)

    def drop(self, batch_id: str) -> None:
        """Remove the empty folders of a claim.

        Raises:
            OSError: ENOTEMPTY, there is a file in it; it is left.
        """
        self.root.verify()
        if not moves.remove_empty(self.root.claim_fd, batch_id):
            os.rmdir(batch_id, dir_fd=self.root.claim_fd)

    def quarantined(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(batch id, relpath, record) of each file in quarantine."""
        return self.quarantine.quarantined()

    def skipped(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(skip id, relpath, record) of each skipped name."""
        return self.quarantine.skipped()

    def prune_done(self, keep_days: int, now: float) -> list[str]:
        """Delete the days of `done/` that are older; their names."""
        return self._archive.prune(keep_days, now)

    # ------------------------------------------------------------ inside
    def _sync_folders(self, root_fd: int, folders: set[str]) -> None:
        with moves.Folders(root_fd) as opened:
            for folder in sorted(folders):
                # A producer's folder may be gone by now, and a claim may have gone on to its next place.
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    moves.sync_folder(opened.at(folder))

    def _contents(self, batch_id: str) -> tuple[Observation, ...]:
        files = sorted(path.partition("/")[2] for path in moves.files_below(self.root.claim_fd, batch_id))
        with moves.Folders(self.root.claim_fd) as folders:
            seen = [probe.look(folders.at, f"{batch_id}/{path}", path) for path in files if not self._is_marker(path)]
        return tuple(one for one in seen if one is not None)

    def _is_marker(self, path: str) -> bool:
        return bool(self._suffix) and path.endswith(self._suffix)

    def _finish(self, batch_id: str) -> None:
        """End what a crash cut off in the middle of a claim."""
        inside = {path.partition("/")[2] for path in moves.files_below(self.root.claim_fd, batch_id)}
        with moves.Folders(self.root.claim_fd) as claims, moves.Folders(self.root.fd) as sources:
            for marker in filter(self._is_marker, inside):
                relpath = marker.removesuffix(self._suffix)
                if relpath not in inside:
                    _fetch(relpath, self._suffix, sources, claims, batch_id)
            for relpath in inside:
                folder, base = moves.split(f"{batch_id}/{relpath}")
                if not self._is_marker(relpath) and self.leases:
                    found = probe.probe(claims.at(folder), base, relpath)
                    if found.lease is Lease.BUSY:
                        self._parking.put(claims.at(folder), relpath)

    def _move_files(self, batch_id: str, target_root: int, target: str, relpaths: Sequence[str]) -> None:
        """Move files, and their markers, from a claim; absent here is moved before. Both ends are made durable."""
        names = [name for path in relpaths for name in ((path, path + self._suffix) if self._suffix else (path,))]
        with moves.Folders(self.root.claim_fd) as sources, moves.Folders(target_root, make=True) as targets:
            for name in names:
                folder, base = moves.split(name)
                into = targets.at(f"{target}/{folder}".rstrip("/"))
                with contextlib.suppress(FileNotFoundError):
                    source = sources.at(f"{batch_id}/{folder}".rstrip("/"))
                    moves.move_if_there(source, into, base)
        if self._durable:
            folders = moves.with_parents(relpaths)
            self._sync_folders(target_root, {f"{target}/{folder}".rstrip("/") for folder in folders})
            self._sync_folders(self.root.claim_fd, {f"{batch_id}/{folder}".rstrip("/") for folder in folders})


def _fetch(relpath: str, suffix: str, sources: moves.Folders, claims: moves.Folders, batch_id: str) -> None:
    """Bring the file of a claimed marker; where there is none, the marker goes back, to be listed as an orphan."""
    folder, base = moves.split(relpath)
    ours = claims.at(f"{batch_id}/{folder}".rstrip("/"))
    try:
        moves.move(sources.at(folder), base, ours, base)
    except FileNotFoundError:
        with moves.Folders(sources.at(""), make=True, mode=0o755) as made:
            moves.put_back_marker(ours, made.at(folder), base + suffix)
