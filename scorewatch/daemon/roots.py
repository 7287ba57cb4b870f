"""Whether inbox, outbox and state are the folders of last time: an unmounted disk looks empty, and is not believed.

Each holds an identity file, and the ledger remembers the three ids. What differs or is missing ends the start with
exit code 6: nothing is scored twice when the mount comes back.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorewatch.inbox import identity
from scorewatch.ledger.ledger import Ledger
from scorewatch.ledger.opening import sync_folder
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.events import Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scorewatch.settings.schema import Settings

LEDGER = "ledger.db"
REBUILD = "`scorewatch ledger rebuild CONFIG` takes the folders that are there now as this deployment's"


@dataclass(frozen=True, kw_only=True, slots=True)
class Roots:
    """The three folders, known to be the right ones."""

    inbox: Path
    outbox: Path
    state: Path
    ids: Mapping[str, str]  #: role -> id; a read-only inbox has none

    @property
    def state_id(self) -> str:
        """Eight characters that tell this deployment's claims from those of another of the same name."""
        return self.ids[Role.STATE][:8]

    def files(self) -> dict[Role, Path]:
        """Where each identity file is."""
        return identity_files(self.inbox, self.outbox, self.state)


def identity_files(inbox: Path, outbox: Path, state: Path) -> dict[Role, Path]:
    """Where the identity file of each folder is."""
    return {
        Role.INBOX: inbox / identity.INBOX,
        Role.OUTBOX: outbox / identity.OUTBOX,
        Role.STATE: state / identity.STATE,
    }


def make_state_folder(settings: Settings) -> None:
    """The state folder, unless an outbox says that there was one, and its disk is not mounted.

    Nothing is made for a deployment whose inbox isn't there.
    """
    state = settings.state.path
    _need_inbox(settings.inbox.path)
    known = _read(settings.output.path / identity.OUTBOX, Role.OUTBOX)
    same = known is not None and known.get("deployment") == settings.deployment.name
    if same and _read(state / identity.STATE, Role.STATE) is None and not (state / LEDGER).exists():
        raise _unusable(
            "this deployment has run before, but its state folder is empty or gone",
            state,
            f"mount the disk that it lies on; if it is lost, {REBUILD}",
        )
    try:
        _make(state, 0o700)
    except OSError as error:
        raise _unusable(f"the state folder can't be made: {error.strerror}", state) from error


def open_ledger(settings: Settings) -> Ledger:
    """The ledger; one that was there and is gone is not silently begun anew."""
    path = settings.state.path / LEDGER
    if not path.exists() and _read(settings.state.path / identity.STATE, Role.STATE) is not None:
        raise _unusable(
            "the ledger is gone",
            path,
            "`scorewatch ledger rebuild CONFIG` makes it again from the claims, the outbox and done/",
        )
    return Ledger.open(path, settings.state.durability)


def verify(settings: Settings, ledger: Ledger) -> Roots:
    """Check all three folders, and at the first start make them this deployment's own."""
    inbox, outbox, state = settings.inbox.path, settings.output.path, settings.state.path
    recorded = ledger.roots()
    _need_folders(inbox, outbox, recorded)
    state_id = _state_id(state / identity.STATE, recorded)
    owner = {"deployment": settings.deployment.name, "state": state_id}
    found = {
        str(Role.STATE): state_id,
        str(Role.OUTBOX): _outbox_id(outbox / identity.OUTBOX, recorded, owner),
    }
    if settings.inbox.claim == "rename":
        found[str(Role.INBOX)] = _inbox_id(inbox / identity.INBOX, recorded)
    if found != recorded:
        ledger.set_roots(found)
    return Roots(inbox=inbox, outbox=outbox, state=state, ids=found)


def _need_folders(inbox: Path, outbox: Path, recorded: Mapping[str, str]) -> None:
    _need_inbox(inbox)
    if outbox.is_dir():
        return
    if Role.OUTBOX in recorded:
        raise _unusable("the outbox is not there", outbox, "mount what it lies on, or put it back")
    try:
        _make(outbox, 0o777)
    except OSError as error:
        raise _unusable(f"the outbox can't be made: {error.strerror}", outbox) from error


def _need_inbox(inbox: Path) -> None:
    if not inbox.is_dir():
        raise _unusable("the inbox is not there", inbox, "make it, or mount what it lies on")


def _make(folder: Path, mode: int) -> None:
    """Make a folder and those above it, durably: what lies in it is no more durable than its name."""
    missing = list(itertools.takewhile(lambda each: not each.exists(), (folder, *folder.parents)))
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    for made in missing:
        sync_folder(made.parent)


def _state_id(path: Path, recorded: Mapping[str, str]) -> str:
    """The ledger lies here too, so the disk is the right one if it knows an id."""
    standing = _read(path, Role.STATE)
    known = recorded.get(Role.STATE)
    if standing is not None and known and standing["id"] != known:
        raise _unusable("this is another deployment's state folder", path.parent, REBUILD)
    if standing is not None:
        return str(standing["id"])
    return str(_create(path, {"id": known} if known else {})["id"])


def _outbox_id(path: Path, recorded: Mapping[str, str], owner: Mapping[str, str]) -> str:
    standing = _known(path, Role.OUTBOX, recorded)
    if standing is None:
        return str(_create(path, dict(owner))["id"])
    if standing.get("state", owner["state"]) != owner["state"]:
        raise _unusable(
            f"this outbox belongs to the deployment {standing.get('deployment')!r} (or to another state folder of it)",
            path.parent,
            f"give each deployment an outbox of its own; if the old state is lost, {REBUILD}",
        )
    return str(standing["id"])


def _inbox_id(path: Path, recorded: Mapping[str, str]) -> str:
    """Deployments may share an inbox: whoever came first made the file."""
    standing = _known(path, Role.INBOX, recorded)
    if standing is None:
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unusable(
                f"nothing can be written in the inbox: {error.strerror}",
                path.parent.parent,
                'make it writable by the service\'s user, or set [inbox] claim = "ledger"',
            ) from error
        with contextlib.suppress(FileExistsError):
            return str(_create(path, {})["id"])
        standing = _known(path, Role.INBOX, recorded) or {"id": ""}
    return str(standing["id"])


def _known(path: Path, role: Role, recorded: Mapping[str, str]) -> dict[str, Any] | None:
    """What an identity file says, if it says what the ledger remembers."""
    standing = _read(path, role)
    known = recorded.get(role)
    if known and standing is None:
        raise _unusable(
            f"this is not the {role} of last time: it has no identity file",
            path,
            f"mount the disk that it lies on; if the folder was made anew, {REBUILD}",
        )
    if known and standing is not None and standing["id"] != known:
        raise _unusable(f"this is not the {role} of last time, but another one", path, REBUILD)
    return standing


def _read(path: Path, role: Role) -> dict[str, Any] | None:
    try:
        return identity.read(path)
    except OSError as error:
        raise _unusable(f"the {role} can't be read: {error.strerror}", path.parent) from error


def _create(path: Path, extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return identity.create(path, extra)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unusable(f"no file can be made here: {error.strerror}", path.parent) from error


def _unusable(what: str, where: Path, hint: str = "") -> ScorewatchError:
    return ScorewatchError(what, where=where, hint=hint, exit_code=ExitCode.FOLDER_UNUSABLE)
