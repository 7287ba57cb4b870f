"""The inbox folder and what scorewatch keeps inside it, held open, so that a swapped folder can't mix two trees.

<inbox>/.scorewatch/claim/<owner>/<batch_id>/<relpath>      owner: <deployment>-<state id>
<inbox>/.scorewatch/claim/<owner>/.parked/<id>/<relpath>    turned out busy after the rename; see `parking`
<inbox>/.scorewatch/done/<day>/<batch_id>/…    quarantine/<batch_id>/…    skipped/<skip_id>/…
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from scorewatch.inbox import identity, moves
from scorewatch.inbox.permissions import LEDGER_HINT, judge_owner, judge_root, unusable
from scorewatch.inbox.probe import remote_filesystem
from scorewatch.model.errors import ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Iterable

META: Final = ".scorewatch"
CLAIM: Final = "claim"
DONE: Final = "done"
QUARANTINE: Final = "quarantine"
SKIPPED: Final = "skipped"
PARKED: Final = ".parked"


class InboxRoot:
    """Descriptors of the inbox and of our folders in it.

    The numbers stay the same for the object's life: when the inbox comes back after an unmount, what they stand for
    is replaced (dup2), so that other threads never hold a closed one.

    Args:
        path: the inbox.
        owner: `<deployment>-<state id>`, the name of our claims' folder.

    Raises:
        ScorewatchError: the folder isn't there, or can't be used.
    """

    def __init__(self, path: str | os.PathLike[str], owner: str) -> None:
        self.path = os.path.abspath(path)  # noqa: PTH100 - a link in it must stay a link: nothing is resolved
        self.owner = owner
        self._known = ""
        self.fd = self._open_root()
        try:
            judge_root(self.fd, self.path)
            self.meta_fd, self.claim_fd, self.parked_fd = self._open_ours(self.fd)
        except BaseException:
            os.close(self.fd)
            raise
        self.remote = remote_filesystem(self.fd)
        self.claims_path = f"{self.path}/{META}/{CLAIM}/{owner}"

    @property
    def dev(self) -> int:
        """The device of the inbox."""
        return os.fstat(self.fd).st_dev

    def _open_root(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise unusable("the inbox is not there", self.path, "make it, or mount what it lies on") from error
        except OSError as error:
            raise unusable(f"the inbox can't be opened: {error.strerror}", self.path) from error

    def _open_ours(self, root_fd: int) -> tuple[int, int, int]:
        opened: list[int] = []
        try:
            opened.append(moves.make_folder(root_fd, META))
            judge_owner(opened[0], f"{self.path}/{META}")
            claim = moves.make_folder(opened[0], CLAIM)
            try:
                opened.append(moves.make_folder(claim, self.owner))
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

    def identity(self) -> str:
        """The id in the identity file of the inbox that is held; empty: it has none."""
        return _identity_of(self.fd)

    def trouble(self) -> str:
        """What is wrong with the inbox, as a sentence; empty: nothing. Costs two stats.

        One that was deleted and made again, or unmounted and mounted again, is taken up again here.
        """
        held = os.fstat(self.fd)
        try:
            there = os.stat(self.path)  # noqa: PTH116 - compared with a descriptor's, in one style
        except OSError as error:
            return f"the inbox can't be seen: {error.strerror}"
        if not os.path.samestat(held, there):
            return self._take_up(held)
        if not self._known:
            self._known = self.identity()
        return ""

    def unreadable(self) -> str:
        """Why the inbox itself can't be read; empty: it can."""
        try:
            fd = moves.open_folder(self.fd, ".")
            try:
                with os.scandir(fd) as entries:
                    next(entries, None)
            finally:
                os.close(fd)
        except OSError as error:
            return f"the inbox can't be read: {error.strerror or error}"
        return ""

    def verify(self) -> None:
        """Make sure that the folder which is held still exists: only then does "not there" mean "done".

        Raises:
            OSError: ESTALE, where it was deleted under us.
        """
        if os.fstat(self.claim_fd).st_nlink == 0:
            raise OSError(errno.ESTALE, "the folder of our claims was deleted", self.claims_path)

    def _take_up(self, held: os.stat_result) -> str:
        """Look whether the folder that is there now is our inbox again, and hold that one then."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            return f"the inbox can't be opened: {error.strerror}"
        try:
            now = _identity_of(fd)
            # Deleted for certain, and made again on the same disk: what was in it is gone, and this one is new. An
            # unmounted disk's empty mount point has another device, and what it hid isn't deleted.
            again = held.st_nlink == 0 and held.st_dev == os.fstat(fd).st_dev and not now
            if not again and (not self._known or now != self._known):
                return "another folder lies where the inbox was; put the inbox back, or restart if this is meant"
            self._hold(fd)
            if again and self._known:
                identity.create(f"{self.path}/{identity.INBOX}", {"id": self._known})
        except (OSError, ScorewatchError) as error:
            return f"the inbox is back and can't be used: {error}"
        finally:
            os.close(fd)
        return ""

    def _hold(self, root_fd: int) -> None:
        ours = self._open_ours(root_fd)
        for new, old in zip((root_fd, *ours), (self.fd, self.meta_fd, self.claim_fd, self.parked_fd), strict=True):
            os.dup2(new, old, inheritable=False)
        close_all(ours)

    def close(self) -> None:
        """Close the descriptors."""
        close_all((self.fd, self.meta_fd, self.claim_fd, self.parked_fd))


def close_all(descriptors: Iterable[int]) -> None:
    """Close each of them."""
    for fd in descriptors:
        os.close(fd)


def _identity_of(root_fd: int) -> str:
    """The id of the inbox at an open folder; empty: none."""
    try:
        meta_fd = moves.open_folder(root_fd, META)
    except OSError:
        return ""
    try:
        content = moves.read_json(meta_fd, "identity.json")
    finally:
        os.close(meta_fd)
    return str(content.get("id", "")) if content else ""
