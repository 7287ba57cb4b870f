"""One pass over the inbox's folders: the truth about what is there, pulled piece by piece.

The directory is the queue: one folder is read at a time, and only as far as the next batches need. Names only; no file
is looked at here.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scorewatch.inbox import moves, probe
from scorewatch.model.files import Refusal, RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from scorewatch.core.readiness import NameRules

CHUNK = 256  #: names at most in one piece
DEEPEST = 100  #: folders inside folders; what lies deeper is nobody's input, and may be there to do harm
_COARSE_NS = 2_000_000_000  # a folder may change again without its mtime moving for this long, on some file systems
_OUT_OF_MEANS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_FOLDER_IS_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(slots=True)
class Piece:
    """Some of the names of one folder."""

    folder: str
    files: list[str] = field(default_factory=list)  #: relpaths
    refused: list[Refusal] = field(default_factory=list)
    last: bool = False  #: the folder is read to its end


@dataclass(frozen=True, slots=True)
class _Known:
    """A folder as it was when a sweep read it to its end."""

    inode: int
    mtime_ns: int
    swept_ns: int  #: when that sweep began, on the clock that mtimes are made of
    deeper: tuple[str, ...]


class Sweeper:
    """Reads folders, and remembers what need not be read again.

    Args:
        root_fd: the inbox.
        rules: which names are inputs.
        watch: called with (folder, its descriptor) before a folder is read.
        busy: whether files of a folder are settling, so that it is read though it has not changed.
        recursive: False: folders in the inbox are passed over.
    """

    def __init__(
        self,
        root_fd: int,
        rules: NameRules,
        *,
        watch: Callable[[str, int], None],
        busy: Callable[[str], bool],
        recursive: bool = True,
    ) -> None:
        self._root_fd = root_fd
        self._rules = rules
        self._watch = watch
        self._busy = busy
        self._recursive = recursive
        self._known: dict[str, _Known] = {}

    @property
    def folders(self) -> int:
        """How many folders are known."""
        return len(self._known)

    def forget(self, folder: str | None = None) -> None:
        """Read a folder again, or all of them, even if nothing says that it changed."""
        if folder is None:
            self._known.clear()
        else:
            self._known.pop(folder, None)

    def sweep(self, start: Iterable[str] = ("",), *, everything: bool = True) -> Generator[Piece, None, None]:
        """The names below some folders, in pieces; close the generator to end it early.

        Args:
            start: folders; "" is the inbox itself.
            everything: with all the folders below; False: only with those that are new.

        Raises:
            OSError: the inbox itself can't be read.
        """
        stack = list(start)
        while stack:
            folder = stack.pop()
            known = self._known.get(folder)
            if everything and known is not None and not self._busy(folder) and self._unchanged(folder, known):
                stack.extend(known.deeper)
                continue
            try:
                fd = self._open(folder)
            except OSError as error:
                yield from self._unopened(folder, error)
                continue
            try:
                before = set(known.deeper) if known is not None and not everything else frozenset()
                try:
                    yield from self._read(folder, fd)
                except OSError as error:
                    yield from self._unopened(folder, error)
                now = self._known.get(folder)
                stack.extend(name for name in (now.deeper if now else ()) if name not in before)
            finally:
                os.close(fd)

    def _open(self, folder: str) -> int:
        # The root too is opened anew: a second reader of one descriptor would share its position.
        return moves.open_below(self._root_fd, folder) if folder else moves.open_folder(self._root_fd, ".")

    def _unopened(self, folder: str, error: OSError) -> Iterator[Piece]:
        self._known.pop(folder, None)
        if not folder or error.errno in _OUT_OF_MEANS:
            raise error
        if error.errno in _FOLDER_IS_GONE:
            return
        detail = f"the folder can't be looked into: {error.strerror}"
        yield Piece(folder, refused=[Refusal(folder, RefusalReason.UNREADABLE, detail, moved=False)])

    def _unchanged(self, folder: str, known: _Known) -> bool:
        try:
            st = os.stat(folder or ".", dir_fd=self._root_fd, follow_symlinks=False)
        except OSError:
            return False
        same = st.st_ino == known.inode and st.st_mtime_ns == known.mtime_ns
        return same and known.swept_ns - known.mtime_ns > _COARSE_NS

    def _read(self, folder: str, fd: int) -> Iterator[Piece]:
        st = os.fstat(fd)
        if folder and st.st_dev != os.fstat(self._root_fd).st_dev:
            detail = "another file system is mounted here, and files can't be renamed out of it"
            yield Piece(folder, refused=[Refusal(folder, RefusalReason.UNREADABLE, detail, moved=False)])
            return
        began = time.time_ns()
        self._watch(folder, fd)
        deeper: list[str] = []
        prefix = f"{folder}/" if folder else ""
        piece = Piece(folder)
        keeps = self._rules.keeps
        with os.scandir(fd) as entries:
            for entry in entries:
                base = entry.name
                relpath = prefix + base
                if entry.is_file(follow_symlinks=False):
                    if keeps(base, relpath):
                        piece.files.append(relpath)
                elif base[0] == ".":
                    continue
                elif entry.is_dir(follow_symlinks=False):
                    if self._recursive:
                        _descend(piece, relpath, deeper)
                elif keeps(base, relpath):
                    _refuse(piece, entry, relpath)
                if len(piece.files) + len(piece.refused) >= CHUNK:
                    yield piece
                    piece = Piece(folder)
        self._note(folder, _Known(st.st_ino, st.st_mtime_ns, began, tuple(deeper)))
        piece.last = True
        yield piece

    def _note(self, folder: str, now: _Known) -> None:
        """Remember a folder, and forget those that it held and holds no more, with what was in them."""
        before = self._known.get(folder)
        self._known[folder] = now
        gone = list(set(before.deeper).difference(now.deeper)) if before is not None else []
        for name in gone:
            known = self._known.pop(name, None)
            gone += known.deeper if known is not None else ()


def _descend(piece: Piece, folder: str, deeper: list[str]) -> None:
    if folder.count("/") < DEEPEST:
        deeper.append(folder)
    else:
        detail = f"folders are nested deeper than {DEEPEST} here"
        piece.refused.append(Refusal(folder, RefusalReason.UNREADABLE, detail, moved=False))


def _refuse(piece: Piece, entry: os.DirEntry[str], relpath: str) -> None:
    try:
        reason = probe.kind_of(entry.stat(follow_symlinks=False).st_mode)
    except OSError:
        return  # gone in between; the next sweep sees what it is
    if reason is not None:
        piece.refused.append(Refusal(relpath, reason, probe.WORDS[reason]))
