"""`scorewatch retry`: quarantined files go back into the inbox, as new arrivals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scorewatch.cli.names import relative_to_inbox
from scorewatch.cli.opened import deployment
from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.standing import owner_of
from scorewatch.cli.words import count, emit, say, shown_path
from scorewatch.inbox.aside import Quarantine
from scorewatch.inbox.held import META
from scorewatch.inbox.layout import InboxRoot
from scorewatch.ledger.reading import LedgerReader
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from scorewatch.cli.opened import Deployment
    from scorewatch.inbox.aside import PutBack

Files = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE]...", help="Names relative to the inbox, as `status` shows them.")
]
All = Annotated[bool, typer.Option("--all", help="Everything that is in quarantine.")]
_NOT_ALL = 1  #: exit code where a file could not be put back


def retry(config: Config, files: Files = None, everything: All = False, as_json: Json = False) -> None:  # noqa: FBT002 - flags of the command line
    """Put quarantined files back into the inbox."""
    if bool(files) is everything:
        raise ScorewatchError(
            "name the files to put back, or say --all, and not both",
            hint="`scorewatch status CONFIG` says how many there are",
        )
    found = deployment(config)
    if found.settings.inbox.claim == "ledger":
        raise ScorewatchError(
            'with claim = "ledger" no file was moved, so none can be put back',
            where=found.settings.inbox.path,
            hint="write the file again, under another name or with other content: that is a new arrival",
        )
    wanted = None if everything else [relative_to_inbox(name, found.settings.inbox.path) for name in files or ()]
    results = _put_back(found, wanted)
    _tell(found, results, as_json=as_json)
    if any(result.message for result in results):
        raise typer.Exit(_NOT_ALL)


def _put_back(found: Deployment, wanted: list[str] | None) -> list[PutBack]:
    inbox, durable = found.settings.inbox, found.settings.state.durability == "power"
    with LedgerReader(found.ledger) as ledger:
        owner = owner_of(found.name, ledger.facts())
    root = InboxRoot(inbox.path, owner or found.name)
    try:
        suffix = inbox.marker_suffix if inbox.ready_when == "marker" else ""
        return Quarantine(root, durable=durable, marker_suffix=suffix).put_back(relpaths=wanted, deployment=found.name)
    except OSError as error:
        raise ScorewatchError(
            f"the quarantine can't be read: {error.strerror}",
            where=inbox.path / META,
            hint="run this as the service's user",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        ) from error
    finally:
        root.close()


def _tell(found: Deployment, results: list[PutBack], *, as_json: bool) -> None:
    inbox = found.settings.inbox.path
    back = [result for result in results if not result.message]
    if as_json:
        listed = [{"path": r.relpath, "batch_id": r.batch_id, "back": not r.message, "why": r.message} for r in results]
        emit({"inbox": str(inbox), "back": len(back), "files": listed})
        return
    for result in results:
        where = f"{inbox}/{result.relpath}" if not result.message else result.message
        say(f"  {printable(result.relpath)}: {printable(where)}", "" if not result.message else "bad")
    if not results:
        say("nothing is in quarantine")
    say(f"{count(len(back), 'file')} put back: {shown_path(inbox)}", "ok" if len(back) == len(results) else "warn")
