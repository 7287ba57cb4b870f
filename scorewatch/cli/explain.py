"""`scorewatch explain`: everything that happened to one input, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorewatch.cli.life import life_of
from scorewatch.cli.names import relative_to_inbox
from scorewatch.cli.nearest import nearest
from scorewatch.cli.opened import deployment
from scorewatch.cli.options import Config, Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.words import count, emit, printable_text, say, shown_path, size, when
from scorewatch.inbox.probe import ignore_lease_breaks
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.files import RefusalReason
from scorewatch.telemetry.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.cli.life import Life

File = Annotated[
    str, typer.Argument(metavar="FILE", help="Its name relative to the inbox, or a path inside it.", show_default=False)
]
_LONGEST_TRACEBACK = 4000  # characters, its end


def explain(config: Config, file: File, as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Tell everything that happened to one input."""
    found = deployment(config)
    inbox = found.settings.inbox.path
    relpath = relative_to_inbox(file, inbox)
    ignore_lease_breaks()
    try:
        life = life_of(found, relpath)
        near = "" if life.known else nearest(found, relpath)
    except OSError as error:
        raise ScorewatchError(
            f"the inbox can't be looked into: {error.strerror}",
            where=inbox,
            hint="run this as the service's user, or as root",
            exit_code=ExitCode.FOLDER_UNUSABLE,
        ) from error
    verdict, mood, path = verdict_of(life)
    if as_json:
        emit({**life.as_json(), "verdict": verdict, "path": path, "nearest": near or None})
        return
    for line in _story(life):
        say(line)
    say(f"{printable(relpath)}: {verdict}" + (f": {shown_path(path)}" if path else ""), mood)
    if near:
        say(f"  did you mean {printable(near)}?")


# ---------------------------------------------------------------- the verdict
def verdict_of(life: Life) -> tuple[str, str, str]:
    """(how it stands with the file of this name now, mood, the path to look at)."""
    if life.claimed:
        return _claimed(life)
    if life.here is not None and (told := _in_the_inbox(life.here)):
        return told, "", life.here["path"]
    if life.quarantine:
        last = life.quarantine[-1]
        return "in quarantine, and why is told beside it", "bad", last["record"] or last["path"]
    return _ended(life)


def _claimed(life: Life) -> tuple[str, str, str]:
    batch_id = life.claimed[-1]
    if not batch_id:
        return "taken out of the inbox while somebody wrote to it; it waits until it is whole", "", ""
    state = next((batch["state"] for batch in life.batches if batch["batch_id"] == batch_id), "claimed")
    return f"in batch {batch_id}, which is {state}", "", ""


def _in_the_inbox(here: dict[str, Any]) -> str:
    """What becomes of it; empty: that is told elsewhere (a folder; a file that was taken, and is not moved)."""
    if here["folder"] or here["taken"]:
        return ""
    if here["ignored_by"]:
        rule = printable(here["ignored_by"])
        why = "[inbox] include names it not" if rule == "include" else f"its name matches {rule}"
        return f"lies in the inbox and is never taken: {why}"
    if here["below"]:
        return "lies in the inbox and is never taken: [inbox] recursive is false"
    if here["stuck"] or here["refused"]:
        return _refused(here)
    if here["marker_of"]:
        return f"the completion marker of {printable(here['marker_of'])}"
    return "still being written" if here["being_written"] else "waits in the inbox"


def _refused(here: dict[str, Any]) -> str:
    stuck = here["stuck"]
    if not stuck:
        return f"lies in the inbox and will be skipped: {here['refused']}"
    mended = "; it is taken once it can be read" if stuck["reason"] == RefusalReason.UNREADABLE else ""
    return f"waits in the inbox and can't be taken: {printable(stuck['message'])}{mended}"


def _ended(life: Life) -> tuple[str, str, str]:
    scored = [batch["output"] for batch in life.batches if batch["output"]]
    scored += [output["output"] for output in life.outputs]
    last = life.batches[-1] if life.batches else None
    if scored and (last is None or last["output"]):
        return "scored; its result", "ok", scored[-1]
    if last is not None and last["outcome"] == "quarantined":
        return "was in quarantine, and is there no more (put back, or removed by hand)", "warn", ""
    if life.skipped:
        return f"skipped: {printable(str(life.skipped[-1]['message'] or life.skipped[-1]['reason']))}", "warn", ""
    if life.done or (last is not None and last["outcome"] == "committed"):
        return "scored; its result is gone from the outbox (pruned, or removed)", "warn", "".join(life.done[-1:])
    if last is not None:
        return f"in batch {last['batch_id']}, which is {last['outcome'] or last['state']}", "", ""
    return "never seen: nothing here knows a file of this name", "warn", ""


# ---------------------------------------------------------------- the story
def _story(life: Life) -> Iterator[str]:
    for batch in life.batches:
        yield from _batch(batch)
    for skip in life.skipped:
        at = f"{when(skip['at'])}  " if isinstance(skip.get("at"), int | float) else ""
        yield f"{at}skipped ({printable(str(skip['reason']))}): {printable(str(skip['message'] or ''))}"
    for output in life.outputs:
        yield f"scored in batch {printable(str(output['batch_id']))}: {shown_path(output['output'])}"
    for aside in life.quarantine:
        yield f"in quarantine: {shown_path(aside['path'])}"
        yield from _traceback(str(aside["traceback"] or ""))
    for path in life.done:
        yield f"the input: {shown_path(path)}"
    if life.here is not None and not life.here["folder"]:
        yield f"in the inbox now: {shown_path(life.here['path'])}, {size(life.here['size_bytes'])}"


def _batch(batch: dict[str, Any]) -> Iterator[str]:
    half = f", a half of {batch['parent_id']}" if batch["parent_id"] else ""
    others = f"with {count(batch['files'] - 1, 'other')}" if batch["files"] > 1 else "alone"
    because = f"({batch['sealed_because']})"
    yield f"{when(batch['sealed_at'])}  taken into batch {batch['batch_id']}, {others} {because}{half}"
    if batch["started_at"] is not None:
        yield f"{when(batch['started_at'])}  handed to a worker"
    for told in batch["history"]:
        yield from _event(told)
    if batch["committed_at"] is not None:
        failed = f", {batch['failed']} of its files failed" if batch["failed"] else ""
        rows = "" if batch["rows"] is None else f", {count(batch['rows'], 'row')}"
        yield f"{when(batch['committed_at'])}  scored by worker {batch['worker_id']}{rows}{failed}"
        yield f"    {shown_path(batch['output'] or 'its output is gone from the outbox')}"


def _event(told: dict[str, Any]) -> Iterator[str]:
    failure = told["failure"]
    why = f": {printable(failure['message'])}" if failure else ""
    event = {
        "sealed": f"attempt {told['attempt']} failed" if failure else "goes back and waits for a worker",
        "split": "attempts used up, divided into halves",
        "quarantined": "set aside",
        "void": "its claim held none of its files any more",
    }.get(told["event"], told["event"])
    yield f"{when(told['at'])}  {event}{why}"


def _traceback(text: str) -> Iterator[str]:
    for line in printable_text(text[-_LONGEST_TRACEBACK:].strip("\n")).split("\n") if text else ():
        yield f"    {line}"
