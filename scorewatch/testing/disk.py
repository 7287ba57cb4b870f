"""A disk made of a dictionary: what is seen now, and what of it would outlive a power cut.

Every change is a step at which the world may end. A change lasts once a folder that it touches was synced, together
with all earlier changes that it builds on; what was not synced is kept or lost as luck has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from scorewatch.model.files import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scorewatch.testing.luck import Luck

FOLDER = "(folder)"
_DEEP = 2  # slashes in the path of something inside a folder that was made, and not there from the beginning


@dataclass(frozen=True, slots=True)
class Drop:
    """A file that a producer dropped: `uid` and `version` say which content it is, whatever its name."""

    uid: int
    kind: str
    size: int
    mtime_ns: int
    ctime_ns: int
    version: int = 0

    def seen(self, relpath: str) -> Observation:
        """What a look at it tells."""
        return Observation(relpath, self.size, self.mtime_ns, self.ctime_ns, dev=1, inode=self.uid, quiet=True)


@dataclass(frozen=True, slots=True)
class _Change:
    kind: str  # put, move, tree, remove
    path: str
    target: str
    value: Any
    stamp: int

    def folders(self) -> set[str]:
        """Those whose sync makes it last."""
        return {_parent(path) for path in (self.path, self.target) if path}

    def keys(self) -> set[str]:
        """What it has in common with the changes that it builds on."""
        paths = {path for path in (self.path, self.target) if path}
        return paths | {_parent(path) for path in paths if path.count("/") >= _DEEP}


class Disk:
    """Paths to values; folders are values too.

    Args:
        step: called before each change, with words for it.
        roots: folders that were always there.
        strict: a rename lasts only once the folder that it went into was synced.
    """

    def __init__(self, step: Callable[[str], None], roots: tuple[str, ...], *, strict: bool = False) -> None:
        self.names: dict[str, Any] = dict.fromkeys(roots, FOLDER)
        self.lasting: dict[str, Any] = dict(self.names)
        self._pending: list[_Change] = []
        self._step = step
        self._strict = strict
        self._stamp = 0

    # ------------------------------------------------------------ looking
    def inside(self, folder: str) -> Iterator[tuple[str, Any]]:
        """(name, value) of what lies directly in a folder, in order."""
        prefix = folder + "/"
        for path in sorted(self.names):
            if path.startswith(prefix) and "/" not in path[len(prefix) :]:
                yield path[len(prefix) :], self.names[path]

    # ------------------------------------------------------------ changing
    def make(self, path: str) -> None:
        """Make a folder, if it isn't there."""
        if path not in self.names:
            self._change("put", path, value=FOLDER)

    def put(self, path: str, value: object) -> None:
        """Write a file."""
        self._change("put", path, value=value)

    def move(self, path: str, target: str) -> None:
        """Rename a file; never over another."""
        if path not in self.names:
            raise FileNotFoundError(path)
        if target in self.names:
            raise FileExistsError(target)
        self._change("move", path, target)

    def move_tree(self, path: str, target: str) -> None:
        """Rename a folder with all that is in it."""
        self._change("tree", path, target)

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all that is in it; gone already is fine."""
        if path in self.names:
            self._change("remove", path)

    def _change(self, kind: str, path: str, target: str = "", value: object = None) -> None:
        self._step(f"{kind} {path} {target}".rstrip())
        self._stamp += 1
        change = _Change(kind, path, target, value, self._stamp)
        if not _apply(self.names, change):
            raise FileNotFoundError(path)
        self._pending.append(change)

    # ------------------------------------------------------------ lasting
    def sync(self, *folders: str) -> None:
        """Make the names in folders last."""
        for folder in folders:
            self._step(f"sync {folder}")
            self._flush(partial(self._is_made_to_last, folder))

    def settle(self, path: str) -> None:
        """Make what lies at a path last, by whose doing ever: no step of ours."""
        self._flush(lambda change: path in (change.path, change.target))

    def _is_made_to_last(self, folder: str, change: _Change) -> bool:
        if self._strict:
            return _parent(change.target or change.path) == folder
        return folder in change.folders()

    def _flush(self, chosen: Callable[[_Change], bool]) -> None:
        needed: set[str] = set()
        marked = []
        for change in reversed(self._pending):
            if chosen(change) or change.keys() & needed:
                needed |= change.keys()
                marked.append(change)
        for change in reversed(marked):
            _apply(self.lasting, change)
        kept = set(map(id, marked))
        self._pending = [change for change in self._pending if id(change) not in kept]

    def cut_power(self, luck: Luck) -> None:
        """Lose what was not synced, as luck has it."""
        for change, kept in zip(self._pending, luck.keeps(len(self._pending)), strict=True):
            if kept:
                _apply(self.lasting, change)
        self.names = dict(self.lasting)
        self._pending = []


def _apply(names: dict[str, Any], change: _Change) -> bool:
    """Make a change, if what it builds on is there."""
    path, target = change.path, change.target
    if change.kind == "put":
        if _parent(path) in names:
            names[path] = change.value
        return _parent(path) in names
    if change.kind == "remove":
        for gone in [name for name in names if name == path or name.startswith(path + "/")]:
            del names[gone]
        return True
    if path not in names or _parent(target) not in names:
        return False
    if change.kind == "move":
        value = names.pop(path)
        names[target] = replace(value, ctime_ns=change.stamp) if isinstance(value, Drop) else value
        return True
    for name in [name for name in names if name == path or name.startswith(path + "/")]:
        names[target + name[len(path) :]] = names.pop(name)
    return True


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
