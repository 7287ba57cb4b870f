"""What scorewatch keeps inside the inbox, each folder held open, so that a swapped one can't mix two trees.

<inbox>/.scorewatch/claim/<owner>/<batch_id>/<relpath>      owner: <deployment>-<state id>
<inbox>/.scorewatch/claim/<owner>/.parked/<id>/<relpath>    turned out busy after the rename; see `parking`
<inbox>/.scorewatch/done/<day>/<batch_id>/…    quarantine/<batch_id>/…    skipped/<skip_id>/…
"""

from __future__ import annotations

import errno
import os
from typing import Final

from scorewatch.inbox import identity, moves
from scorewatch.inbox.held import META, HeldFolder, close_all, identity_of
from scorewatch.inbox.permissions import LEDGER_HINT, judge_owner, judge_root, unusable
from scorewatch.model.errors import ScorewatchError

CLAIM: Final = "claim"
DONE: Final = "done"
QUARANTINE: Final = "quarantine"
SKIPPED: Final = "skipped"
PARKED: Final = ".parked"


class InboxRoot(HeldFolder):
    """An inbox, and our folders in it, made where they are missing.

    Args:
        path: the inbox.
        owner: `<deployment>-<state id>`, the name of our claims' folder.
        durable: False: nothing is fsynced.

    Raises:
        ScorewatchError: the folder isn't there, or can't be used.
    """

    def __init__(self, path: str | os.PathLike[str], owner: str, *, durable: bool = True) -> None:
        super().__init__(path)
        self.owner = owner
        self._durable = durable
        self.claims_path = f"{self.path}/{META}/{CLAIM}/{owner}"
        try:
            judge_root(self.fd, self.path)
            self.meta_fd, self.claim_fd, self.parked_fd = self._open_ours(self.fd)
        except BaseException:
            os.close(self.fd)
            raise

    def verify(self) -> None:
        """Make sure that the folder which is held still exists: only then does "not there" mean "done".

        Raises:
            OSError: ESTALE, where it was deleted under us.
        """
        if os.fstat(self.claim_fd).st_nlink == 0:
            raise OSError(errno.ESTALE, "the folder of our claims was deleted", self.claims_path)

    def close(self) -> None:
        """Close the descriptors."""
        close_all((self.fd, self.meta_fd, self.claim_fd, self.parked_fd))

    def _open_ours(self, root_fd: int) -> tuple[int, int, int]:
        opened: list[int] = []
        try:
            opened.append(moves.make_folder(root_fd, META))
            judge_owner(opened[0], f"{self.path}/{META}")
            claim = moves.make_folder(opened[0], CLAIM)
            try:
                opened.append(moves.make_folder(claim, self.owner))
                if self._durable:  # a claim is no more durable than the folders above it
                    for fd in (claim, opened[0], root_fd):
                        moves.sync_folder(fd)
            finally:
                os.close(claim)
            opened.append(moves.make_folder(opened[1], PARKED))
        except OSError as error:
            close_all(opened)
            what = f"no claims can be made here: {error.strerror}"
            raise unusable(what, f"{self.path}/{META}", LEDGER_HINT) from error
        except ScorewatchError:
            close_all(opened)
            raise
        return opened[0], opened[1], opened[2]

    def _is_ours(self, held: os.stat_result, fd: int) -> bool:
        """By its identity file, or because ours was deleted for certain and made again on the same disk.

        The empty mount point of an unmounted disk has another device, and what it hides isn't deleted.
        """
        now = identity_of(fd)
        if self._known and now == self._known:
            return True
        return held.st_nlink == 0 and held.st_dev == os.fstat(fd).st_dev and not now

    def _take_up(self, fd: int) -> None:
        ours = self._open_ours(fd)
        for new, old in zip((fd, *ours), (self.fd, self.meta_fd, self.claim_fd, self.parked_fd), strict=True):
            if new != old:
                os.dup2(new, old, inheritable=False)
        close_all(ours)
        if self._known and not self.identity():
            identity.create(f"{self.path}/{identity.INBOX}", {"id": self._known})

    def _mend(self) -> str:
        """Make our folders again if somebody deleted them; what was in them is lost, and the inbox isn't."""
        if os.fstat(self.claim_fd).st_nlink:
            return ""
        try:
            self._take_up(self.fd)
        except (OSError, ScorewatchError) as error:
            return f"our folders in the inbox were deleted and can't be made again: {error}"
        return ""
