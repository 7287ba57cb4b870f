"""Collects what a new ledger is made from, and makes the folders that are there now this deployment's own."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorewatch.cli.looking import InboxLook
from scorewatch.daemon import roots
from scorewatch.daemon.lock import Lock
from scorewatch.daemon.remains import read_remains
from scorewatch.inbox import identity, probe
from scorewatch.inbox.claim import RenameClaims
from scorewatch.inbox.held import META
from scorewatch.inbox.layout import CLAIM
from scorewatch.ledger.ledger import Ledger
from scorewatch.ledger.rebuild import Rebuilt, rebuild
from scorewatch.model import ids
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.outbox.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scorewatch.model.batches import BatchState, MiniBatch
    from scorewatch.model.events import Remains
    from scorewatch.model.files import Observation
    from scorewatch.model.outcomes import Failure
    from scorewatch.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Result:
    """What was made, and what it could not take in."""

    made: Rebuilt
    warnings: list[str]


class _NoRows:
    """A ledger that knows nothing, so that every claim is judged by what stands on disk."""

    def open_batches(self) -> list[tuple[MiniBatch, BatchState]]:
        return []

    def batch(self, batch_id: str) -> tuple[MiniBatch, BatchState] | None:  # noqa: ARG002 - the protocol's
        return None

    def failure_of(self, batch_id: str) -> Failure | None:  # noqa: ARG002 - the protocol's
        return None


def rebuild_ledger(settings: Settings) -> Result:
    """Make the ledger again; attempts start again, and a new epoch.

    Raises:
        ScorewatchError: a daemon runs (exit code 5), or a folder can't be used or belongs to another deployment (6).
    """
    _need(settings)
    lock = Lock(settings.state.path, settings.deployment.name)
    try:
        state_id = _settle_identities(settings)
        made = _rebuild(settings, state_id)
        with ExitStack() as stack:
            ledger = Ledger.open(settings.state.path / roots.LEDGER, settings.state.durability)
            stack.callback(ledger.close)
            ledger.set_roots({})
            roots.verify(settings, ledger)
        return Result(made, _strangers(settings, state_id))
    finally:
        lock.release()


def _need(settings: Settings) -> None:
    for role, path in (("inbox", settings.inbox.path), ("outbox", settings.output.path)):
        if not path.is_dir():
            raise ScorewatchError(
                f"the {role} is not there, and the ledger is made from it",
                where=path,
                hint="mount the disk that it lies on, or make the folder if it is lost",
                exit_code=ExitCode.FOLDER_UNUSABLE,
            )
    try:
        settings.state.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ScorewatchError(
            f"the state folder can't be made: {error.strerror}",
            where=settings.state.path,
            hint="make it, writable by the service's user",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        ) from error


# ---------------------------------------------------------------- whose folders these are
def _settle_identities(settings: Settings) -> str:
    """The state's id: the one that it has, or had as the outbox remembers; the outbox is told if it is another.

    The claims lie under its name, so a lost state folder gets its old id back.
    """
    outbox, state = settings.output.path / identity.OUTBOX, settings.state.path / identity.STATE
    name = settings.deployment.name
    standing, known = identity.read(outbox), identity.read(state)
    if standing is not None and standing.get("deployment", name) != name:
        raise ScorewatchError(
            f"this outbox belongs to the deployment {standing['deployment']!r}",
            where=settings.output.path,
            hint="give each deployment an outbox of its own",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        )
    remembered = standing.get("state") if standing else None
    if known is None:
        known = identity.create(state, {"id": str(remembered)} if remembered else {})
    if standing is not None and remembered != known["id"]:
        os.unlink(outbox)  # noqa: PTH108 - as the rest of what touches these folders
        identity.create(outbox, {**standing, "deployment": name, "state": known["id"]})
    return str(known["id"])


def _strangers(settings: Settings, state_id: str) -> list[str]:
    """Claims of other states of this deployment: another machine's, or those of a state that is lost."""
    ours = f"{settings.deployment.name}-{state_id[:8]}"
    folder = settings.inbox.path / META / CLAIM
    if not folder.is_dir():
        return []
    others = [each for each in sorted(folder.iterdir()) if each.name.startswith(f"{settings.deployment.name}-")]
    return [
        f"{each} holds claims of another state of this deployment, which were left alone; if that state is lost for "
        "ever, move the files back into the inbox"
        for each in others
        if each.name != ours and any(path.is_file() for path in each.rglob("*"))
    ]


# ---------------------------------------------------------------- what it is made from
def _rebuild(settings: Settings, state_id: str) -> Rebuilt:
    inbox, outbox = settings.inbox, Outbox.open(settings.output.path, settings.state.durability)
    committed: set[str] = set()
    with InboxLook(inbox) as look:
        return rebuild(
            settings.state.path / roots.LEDGER,
            remains=_remains(settings, outbox, f"{settings.deployment.name}-{state_id[:8]}"),
            manifests=_noted(outbox, committed),
            done=_done(look, committed),
            quarantine=_quarantined(look),
            tries=settings.retry_settings.max_retries + 1,
            state_id=state_id[:8],
        )


def _remains(settings: Settings, outbox: Outbox, owner: str) -> tuple[Remains, ...]:
    inbox = settings.inbox
    if inbox.claim == "ledger":
        return ()  # such claims were rows, and nothing else
    suffix = inbox.marker_suffix if inbox.ready_when == "marker" else ""
    claims = RenameClaims(inbox.path, owner, durable=settings.state.durability == "power", marker_suffix=suffix)
    try:
        return read_remains(_NoRows(), claims, outbox, clean_stop=False)
    finally:
        claims.root.close()


def _noted(outbox: Outbox, committed: set[str]) -> Iterator[Mapping[str, Any]]:
    for manifest in outbox.manifests():
        committed.add(str(manifest.get("batch_id")))
        yield manifest


def _done(look: InboxLook, committed: set[str]) -> Iterator[tuple[str, tuple[Observation, ...]]]:
    """Batches in `done/` whose output is gone; the others are known from their manifests by now."""
    for day, name in look.done_batches():
        batch_id = Path(name).stem if "." in name else name
        if ids.is_batch_id(batch_id) and batch_id not in committed:
            committed.add(batch_id)
            yield batch_id, look.observe(f"done/{day}/{name}")


def _quarantined(look: InboxLook) -> Iterator[tuple[str, tuple[Observation, ...], Mapping[str, Any]]]:
    groups: dict[str, tuple[list[Observation], Mapping[str, Any]]] = {}
    for aside in look.quarantined():
        files, _ = groups.setdefault(aside.group, ([], aside.record))
        seen = os.lstat(aside.path)
        files.append(probe.observe(aside.relpath, seen))
    for group, (files, record) in groups.items():
        if ids.is_batch_id(group):
            yield group, tuple(files), record
