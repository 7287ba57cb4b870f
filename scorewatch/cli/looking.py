"""What lies in the folders of a deployment, counted without changing anything.

Nothing here makes a folder, follows a link, or needs a daemon.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from scorewatch.core.readiness import Marker, NameRules
from scorewatch.inbox import moves, probe
from scorewatch.inbox.aside import read_record
from scorewatch.inbox.held import META
from scorewatch.inbox.layout import CLAIM, DONE, PARKED, QUARANTINE, SKIPPED
from scorewatch.inbox.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from scorewatch.model.files import Observation
    from scorewatch.settings.schema import Inbox


@dataclass(frozen=True, slots=True)
class Aside:
    """One file that was set aside, in quarantine or skipped."""

    group: str  #: the id of the batch, or of the skip
    relpath: str
    record: dict[str, object]
    path: str  #: where it lies, absolute
    record_path: str  #: what says why; empty: nothing does


class InboxLook:
    """An inbox, held open for reading.

    Args:
        settings: of the inbox.
        owner: `<deployment>-<state id>`; empty: unknown.

    Raises:
        OSError: it can't be opened.
    """

    def __init__(self, settings: Inbox, owner: str = "") -> None:
        self._settings = settings
        self._owner = owner
        self.fd = os.open(settings.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    # ------------------------------------------------------------ the queue
    def rules(self) -> NameRules:
        """Which names are inputs."""
        return NameRules(include=self._settings.include, exclude=self._settings.exclude)

    def waiting(self) -> Iterator[str]:
        """The relpath of every input that lies in the inbox, whole or not; markers are none."""
        sweeper = Sweeper(
            self.fd,
            self.rules(),
            watch=lambda _folder, _fd: None,
            busy=lambda _folder: True,
            recursive=self._settings.recursive,
        )
        marker = Marker(suffix=self._settings.marker_suffix) if self._settings.ready_when == "marker" else None
        for piece in sweeper.sweep():
            for relpath in piece.files:
                if marker is None or marker.marks(relpath) is None:
                    yield relpath

    def claimed(self) -> Iterator[tuple[str, str]]:
        """(batch id, relpath) of what is claimed by this deployment; parked files bear an empty id."""
        for path in self._below(f"{CLAIM}/{self._owner}") if self._owner else ():
            group, _, relpath = path.partition("/")
            if group == PARKED:
                yield "", relpath.partition("/")[2]
            elif not self._is_marker(relpath):
                yield group, relpath

    # ------------------------------------------------------------ set aside
    def quarantined(self) -> Iterator[Aside]:
        """Each file in quarantine."""
        return self._aside(QUARANTINE)

    def skipped(self) -> Iterator[Aside]:
        """Each name that was skipped and moved."""
        return self._aside(SKIPPED)

    def _aside(self, kind: str) -> Iterator[Aside]:
        with contextlib.ExitStack() as opened:
            try:
                meta = opened.enter_context(_folder(self.fd, META))
                above = opened.enter_context(_folder(meta, kind))
            except FileNotFoundError:
                return
            for group in moves.names(above):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    yield from self._group(above, kind, group)

    def _group(self, above: int, kind: str, group: str) -> Iterator[Aside]:
        name, record = read_record(above, group)
        base = f"{self._settings.path}/{META}/{kind}/{group}"
        for path in moves.files_below(above, group):
            relpath = path.partition("/")[2]
            if relpath != name and not self._is_marker(relpath):
                yield Aside(group, relpath, record, f"{base}/{relpath}", f"{base}/{name}" if name else "")

    # ------------------------------------------------------------ anywhere in our own folder
    def done(self, relpath: str, batches: Collection[str] | None = None) -> Iterator[str]:
        """The absolute paths in `done/` under which a file of this name lies.

        Args:
            relpath: relative to the inbox.
            batches: look only where these batches lie; None: everywhere, which costs a look a batch.
        """
        with contextlib.suppress(FileNotFoundError), _folder(self.fd, META) as meta, _folder(meta, DONE) as done:
            for day in moves.names(done):
                with contextlib.suppress(OSError), _folder(done, day) as fd:
                    for batch in moves.names(fd) if batches is None else batches:
                        if _is_there(fd, f"{batch}/{relpath}"):
                            yield f"{self._settings.path}/{META}/{DONE}/{day}/{batch}/{relpath}"

    def done_batches(self) -> Iterator[tuple[str, str]]:
        """(day, folder's name) of each batch in `done/`."""
        with contextlib.suppress(FileNotFoundError), _folder(self.fd, META) as meta, _folder(meta, DONE) as done:
            for day in moves.names(done):
                with contextlib.suppress(NotADirectoryError), _folder(done, day) as fd:
                    names = moves.names(fd)
                yield from ((day, name) for name in names)

    def observe(self, folder: str) -> tuple[Observation, ...]:
        """The files in a folder of ours, each as it is now; their paths are relative to that folder."""
        with _folder(self.fd, META) as meta, moves.Folders(meta) as folders:
            paths = sorted(path.removeprefix(f"{folder}/") for path in moves.files_below(meta, folder))
            seen = [probe.look(folders.at, f"{folder}/{path}", path) for path in paths if not self._is_marker(path)]
        return tuple(one for one in seen if one is not None)

    def _below(self, folder: str) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), _folder(self.fd, META) as meta:
            here = moves.open_below(meta, folder)
            try:
                yield from moves.files_below(here)
            finally:
                os.close(here)

    def _is_marker(self, path: str) -> bool:
        return self._settings.ready_when == "marker" and path.endswith(self._settings.marker_suffix)


@contextlib.contextmanager
def _folder(above: int, name: str) -> Iterator[int]:
    fd = moves.open_folder(above, name)
    try:
        yield fd
    finally:
        os.close(fd)


def _is_there(fd: int, path: str) -> bool:
    folder, base = moves.split(path)
    try:
        here = moves.open_below(fd, folder)
    except (OSError, ValueError):
        return False
    try:
        os.stat(base, dir_fd=here, follow_symlinks=False)
    except OSError:
        return False
    finally:
        os.close(here)
    return True
