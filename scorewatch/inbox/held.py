"""A folder that is held open: whether the path still leads to it, and what to do when it leads there again.

The descriptor's number stays the same for the object's life: when the folder comes back after an unmount, what the
number stands for is replaced (dup2), so that no other thread ever holds a closed one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from scorewatch.inbox import moves
from scorewatch.inbox.permissions import unusable
from scorewatch.inbox.probe import remote_filesystem
from scorewatch.model.errors import ScorewatchError

if TYPE_CHECKING:
    from collections.abc import Iterable

META: Final = ".scorewatch"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC  # the operator's own path: links in it are meant


class HeldFolder:
    """An inbox that is only read.

    Args:
        path: the inbox.

    Raises:
        ScorewatchError: the folder isn't there, or can't be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)  # noqa: PTH100 - a link in it must stay a link: nothing is resolved
        try:
            self.fd = os.open(self.path, _FLAGS)
        except FileNotFoundError as error:
            raise unusable("the inbox is not there", self.path, "make it, or mount what it lies on") from error
        except OSError as error:
            raise unusable(f"the inbox can't be opened: {error.strerror}", self.path) from error
        self.remote = remote_filesystem(self.fd)  #: the kind of network file system, or empty
        self._known = ""

    def identity(self) -> str:
        """The id in the identity file of the inbox that is held; empty: it has none."""
        return identity_of(self.fd)

    def trouble(self) -> str:
        """What is wrong with the inbox, as a sentence; empty: nothing. Costs a few stats.

        One that was unmounted and is mounted again, or renamed and renamed back, is taken up again here.
        """
        held = os.fstat(self.fd)
        try:
            there = os.stat(self.path)  # noqa: PTH116 - compared with a descriptor's, in one style
        except OSError as error:
            return f"the inbox can't be seen: {error.strerror}"
        if not os.path.samestat(held, there):
            return self._look_again(held)
        if not self._known:
            self._known = self.identity()
        return self._mend()

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

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def _look_again(self, held: os.stat_result) -> str:
        """Look whether the folder that is there now is our inbox again, and hold that one then."""
        try:
            fd = os.open(self.path, _FLAGS)
        except OSError as error:
            return f"the inbox can't be opened: {error.strerror}"
        try:
            if not self._is_ours(held, fd):
                return (
                    "another folder lies where the inbox was; put the inbox back, or, if this is meant, stop the "
                    "service and run `scorewatch ledger rebuild CONFIG`"
                )
            self._take_up(fd)
        except (OSError, ScorewatchError) as error:
            return f"the inbox is back and can't be used: {error}"
        finally:
            os.close(fd)
        return ""

    def _is_ours(self, held: os.stat_result, fd: int) -> bool:
        """By its identity file; without one (it can't be written), by the inode that its file system gave it."""
        now = identity_of(fd)
        return now == self._known if self._known or now else os.fstat(fd).st_ino == held.st_ino

    def _take_up(self, fd: int) -> None:
        os.dup2(fd, self.fd, inheritable=False)

    def _mend(self) -> str:
        """What is wrong inside the right folder, after an attempt to mend it."""
        return ""


def close_all(descriptors: Iterable[int]) -> None:
    """Close each of them."""
    for fd in descriptors:
        os.close(fd)


def identity_of(root_fd: int) -> str:
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
