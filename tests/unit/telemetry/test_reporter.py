"""What the log tells of a day's work: each change of state once, and no more."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.core.draft import Instant
from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model import records as r
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.decisions import NOTHING, Decision
from scorewatch.model.errors import ExitCode
from scorewatch.model.files import Observation, Refusal, RefusalReason
from scorewatch.model.outcomes import Failure, FailureKind, Receipt
from scorewatch.model.policy import Policy
from scorewatch.telemetry import describe
from scorewatch.telemetry.logs import make_logger
from scorewatch.telemetry.reporter import Reporter
from scorewatch.telemetry.vocabulary import EVENTS, LEVELS

if TYPE_CHECKING:
    from scorewatch.model.events import Event
    from scorewatch.model.records import Record

CHECKOUT = Path(__file__).parents[3]
BATCH = "20261122T213741Z-8f0c2a6b1d3e4f5a6b7c"
FILES = (Observation("a.csv", 10), Observation("b\n.csv", 20))
RAISED = Failure(
    kind=FailureKind.SCRIPT_RAISED, message="it can't", exception="ValueError", traceback="long", file="a.csv"
)
STOPPED = Failure(kind=FailureKind.DAEMON_STOPPED, message="the service stopped")
RECEIPT = Receipt(batch_id=BATCH, dispatch=1, rows=2, succeeded=2, load_s=0.1, run_s=0.25, write_s=0.0125)

# Told by other rooms with `note`, not by what the scheduler hears.
NOTED = {
    "service_started", "service_ready", "reloaded", "reload_refused", "advice", "library_warned", "watch_started",
    "watch_failed", "watch_overflowed", "polling", "sweep_failed",
}  # fmt: skip


class Story:
    """A reporter, what it wrote, and a clock that is held."""

    def __init__(self, level: str = "debug") -> None:
        self.stream = io.StringIO()
        self.reporter = Reporter(make_logger("digits", level=level, form="json", stream=self.stream))
        self.clock = 100.0

    def hear(
        self, event: Event | None = None, *, records: tuple[Record, ...] = (), actions: tuple[Any, ...] = ()
    ) -> list[str]:
        """The names of the lines that this led to."""
        before = len(self.lines)
        now = Instant(self.clock, 1_795_383_461.0 + self.clock)
        self.reporter.hear(event or e.ClockTicked(), Decision(records, actions), now)
        return [line["event"] for line in self.lines[before:]]

    def moved(self, was: BatchState, now: BatchState, **fields: Any) -> list[str]:
        record = r.BatchMoved(batch_id=BATCH, was=was, now=now, at=0.0, **{"attempt": 1, "dispatch": 1, **fields})
        return self.hear(records=(record,))

    def sealed(self) -> list[str]:
        batch = MiniBatch(
            batch_id=BATCH, files=FILES, total_bytes=30, sealed_because=SealReason.WAIT, sealed_at=0.0, tries=4
        )
        return self.hear(records=(r.BatchSealed(batch=batch),), actions=(d.SyncClaim(batch=batch),))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


S = BatchState


def test_a_batch_that_goes_well_is_one_line_for_each_step() -> None:
    story = Story(level="info")
    assert story.sealed() == ["batch_sealed"]
    assert story.last == {
        "timestamp": "2026-11-22T21:39:21.000Z", "level": "info", "event": "batch_sealed", "deployment": "digits",
        "batch_id": BATCH, "files": 2, "bytes": 30, "because": "wait",
    }  # fmt: skip
    assert story.moved(S.SEALED, S.RUNNING, worker_id=3) == ["batch_running"]
    assert (story.last["files"], story.last["attempt"], story.last["worker_id"]) == (2, 1, 3)
    assert story.hear(e.BatchStarted(worker_id=3, batch_id=BATCH, dispatch=1)) == []
    assert story.hear(e.BatchScored(worker_id=3, receipt=RECEIPT, staging="/x")) == ["batch_scored"]
    assert (story.last["rows"], story.last["run_s"], story.last["write_s"]) == (2, 0.25, 0.0125)
    story.clock += 1.5
    assert story.moved(S.SCORED, S.COMMITTED, receipt=RECEIPT) == ["batch_committed"]
    assert (story.last["files"], story.last["succeeded"], story.last["seconds"]) == (2, 2, 1.5)
    assert story.hear(e.BatchReleased(batch_id=BATCH)) == []
    assert story.moved(S.COMMITTED, S.RELEASED) == ["batch_released"]
    assert {line["level"] for line in story.lines} == {"info"}


def test_a_batch_that_goes_wrong_says_why_but_not_its_traceback() -> None:
    story = Story(level="warning")
    story.sealed()
    assert story.moved(S.RUNNING, S.SEALED, failure=RAISED, tries=4, worker_id=3) == ["batch_retried"]
    assert story.last["kind"] == "script_raised"
    assert (story.last["message"], story.last["exception"], story.last["file"]) == ("it can't", "ValueError", "a.csv")
    assert story.moved(S.RUNNING, S.SEALED, failure=STOPPED) == ["batch_interrupted"]
    assert story.moved(S.RUNNING, S.SPLIT, failure=RAISED, attempt=4) == ["batch_split"]
    assert story.moved(S.RUNNING, S.QUARANTINED, failure=RAISED, attempt=4) == ["batch_quarantined"]
    assert story.last["names"] == ["a.csv", "b\n.csv"]
    assert "long" not in story.stream.getvalue()


def test_a_batch_that_was_never_started_is_no_warning() -> None:
    story = Story(level="info")
    story.sealed()
    assert story.moved(S.RUNNING, S.SEALED) == ["batch_returned"]
    assert story.last["level"] == "info"


def test_what_an_earlier_run_left_is_counted_and_known_by_its_size() -> None:
    story = Story()
    remains = e.Remains(
        batch_id=BATCH, row=None, state=S.CLAIMED, clean_stop=False, claim=FILES, output=False, receipt=None
    )
    assert story.hear(e.RemainsFound((remains,))) == ["recovered"]
    assert story.last["states"] == {"claimed": 1}
    story.moved(S.SEALED, S.RUNNING)
    assert story.last["files"] == 2


def test_nothing_is_remembered_of_what_is_over() -> None:
    story = Story()
    for state in (S.RELEASED, S.VOID):
        story.sealed()
        story.hear(e.ActionFailed(batch_id=BATCH, message="no"))
        story.moved(S.COMMITTED, state)
        story.moved(S.SEALED, S.RUNNING)
        assert story.last["files"] is None
        assert story.hear(e.ActionFailed(batch_id=BATCH, message="no")) == ["owed"]
        story.hear(e.BatchReleased(batch_id=BATCH))


def test_a_hundred_thousand_refused_files_are_one_line_with_twenty_names() -> None:
    story = Story()
    refusals = tuple(
        Refusal(f"{n}.csv", RefusalReason.EMPTY if n else RefusalReason.FIFO, "it is") for n in range(100_000)
    )
    assert story.hear(records=(r.FilesSkipped(skip_id="x", refusals=refusals, at=0.0),)) == ["files_skipped"]
    assert (story.last["files"], story.last["reasons"]) == (100_000, {"empty": 99_999, "fifo": 1})
    assert story.last["names"] == [f"{n}.csv" for n in range(20)]


def test_a_folder_in_trouble_is_told_when_that_begins_changes_and_ends() -> None:
    story = Story()
    gone = e.FolderTroubled(role=e.Role.INBOX, message="it is gone")
    assert story.hear(e.FolderFine(e.Role.INBOX)) == []
    assert [story.hear(gone), story.hear(gone)] == [["folder_troubled"], []]
    assert story.hear(e.FolderTroubled(role=e.Role.OUTBOX, message="it is full")) == ["folder_troubled"]
    assert story.hear(e.FolderTroubled(role=e.Role.INBOX, message="it is another one")) == ["folder_troubled"]
    assert [story.hear(e.FolderFine(e.Role.INBOX)), story.hear(e.FolderFine(e.Role.INBOX))] == [["folder_fine"], []]


def test_a_claim_that_keeps_failing_is_told_once() -> None:
    story = Story()
    failed = e.ClaimFailed(ticket=1, message="no room")
    assert [story.hear(failed), story.hear(failed)] == [["claim_failed"], []]
    assert story.hear(e.BatchClaimed(ticket=2, batch_id=BATCH, files=FILES)) == []
    assert story.hear(failed) == ["claim_failed"]
    assert story.hear(e.BatchClaimed(ticket=2, batch_id="", files=(), busy=2)) == ["claim_empty"]


def test_what_is_owed_is_told_once_a_reason() -> None:
    story = Story()
    failed = e.ActionFailed(batch_id=BATCH, message="busy")
    assert [story.hear(failed), story.hear(failed)] == [["owed"], []]
    story.hear(e.BatchDivided(batch_id=BATCH, halves=()))
    assert story.hear(failed) == ["owed"]


def test_a_worker_that_was_asked_to_end_did_not_die() -> None:
    story = Story(level="info")
    assert story.hear(actions=(d.StartWorker(worker_id=1, slot=0, generation=1),)) == ["worker_started"]
    assert story.hear(e.WorkerReady(worker_id=1, pid=77, init_s=3.25, model="forest")) == ["worker_ready"]
    assert (story.last["pid"], story.last["init_s"], story.last["model"]) == (77, 3.25, "forest")
    assert story.hear(actions=(d.StopWorker(worker_id=1),)) == ["worker_stopping"]
    assert story.hear(e.WorkerDied(worker_id=1, exit_code=0)) == ["worker_ended"]
    assert story.hear(e.WorkerDied(worker_id=1, exit_code=0)) == ["worker_died"], "nothing is remembered of the dead"
    assert story.hear(e.WorkerDied(worker_id=2, exit_code=-9, log_tail="z" * 5000, out_of_memory=True)) == [
        "worker_died"
    ]
    assert (story.last["exit_code"], story.last["out_of_memory"], len(story.last["log_tail"])) == (-9, True, 1000)
    assert story.hear(actions=(d.StopWorker(worker_id=3),)) == ["worker_stopping"]
    assert story.hear(e.WorkerDied(worker_id=3, exit_code=-11)) == ["worker_died"]


def test_a_scorer_that_cannot_load_shows_its_traceback() -> None:
    story = Story()
    assert story.hear(e.WorkerInitFailed(worker_id=1, failure=RAISED)) == ["worker_init_failed"]
    assert (story.last["level"], story.last["traceback"]) == ("error", "long")


def test_the_end_is_told_with_its_reason() -> None:
    story = Story()
    assert story.hear(e.StopRequested(now=True)) == ["stopping"]
    assert story.hear(actions=(d.Exit(code=ExitCode.DONE),)) == ["exiting"]
    assert story.hear(actions=(d.Exit(code=ExitCode.ERROR_THRESHOLD, message="too many"),)) == ["failing"]
    assert (story.last["code"], story.last["message"], story.last["level"]) == (4, "too many", "error")


def test_health_is_told_only_where_it_changes() -> None:
    story = Story()
    for problems in ([], ["the breaker is open"], ["the breaker is open"], ["no room", "the breaker is open"], []):
        story.reporter.health(problems)
    told = [(line["event"], line["message"]) for line in story.lines]
    assert told == [
        ("trouble", "the breaker is open"),
        ("trouble", "no room"),
        ("trouble_over", "no room"),
        ("trouble_over", "the breaker is open"),
    ]


def test_a_turn_of_the_loop_in_which_nothing_happens_is_no_line() -> None:
    story = Story()
    story.reporter.hear(e.ClockTicked(), NOTHING, Instant(1.0, 1.0))
    assert story.lines == []


def test_a_reload_can_send_the_lines_elsewhere() -> None:
    story, elsewhere = Story(), io.StringIO()
    story.reporter.use(make_logger("digits", level="warning", form="json", stream=elsewhere))
    story.sealed()
    story.reporter.note("reload_refused", message="unknown key")
    assert story.lines == []
    assert [json.loads(line)["event"] for line in elsewhere.getvalue().splitlines()] == ["reload_refused"]


def everything() -> list[str]:
    """The names of all lines that the reporter writes by itself."""
    story, told = Story(), []
    told += story.sealed()
    for was, now in ((S.SEALED, S.RUNNING), (S.RUNNING, S.SEALED), (S.SCORED, S.COMMITTED), (S.COMMITTED, S.RELEASED),
                     (S.RUNNING, S.SPLIT), (S.RUNNING, S.QUARANTINED), (S.SEALED, S.VOID)):  # fmt: skip
        told += story.moved(was, now)
    for failure in (RAISED, STOPPED):
        told += story.moved(S.RUNNING, S.SEALED, failure=failure)
    three: dict[str, Any] = {"worker_id": 1, "batch_id": BATCH, "dispatch": 1}
    for event in (
        e.FilesSettled(FILES), e.SweepEnded(offered=1, settling=0), e.ClaimFailed(ticket=1, message="no"),
        e.BatchClaimed(ticket=1, batch_id="", files=()), e.RemainsFound(()),
        e.ActionFailed(batch_id=BATCH, message="no"),
        e.PublishFailed(batch_id=BATCH, dispatch=1, failure=STOPPED), e.BatchStarted(**three), e.BatchRan(**three),
        e.BatchScored(worker_id=1, receipt=RECEIPT, staging=""), e.SchemaAsked(**three, columns=()),
        e.FolderTroubled(role=e.Role.STATE, message="full"), e.FolderFine(e.Role.STATE),
        e.WorkerReady(worker_id=1, pid=1, init_s=1.0), e.WorkerInitFailed(worker_id=1, failure=RAISED),
        e.WorkerDied(worker_id=1, exit_code=1), e.StopRequested(), e.PolicyChanged(Policy()),
    ):  # fmt: skip
        told += story.hear(event)
    records = (r.FilesSkipped(skip_id="", refusals=(), at=0.0), r.SchemaGrown(columns=(("score", "double"),)))
    actions = (
        d.StartWorker(worker_id=1, slot=0, generation=1), d.KillWorker(worker_id=1, because="hung"),
        d.Withdraw(**three),
        d.StopWorker(worker_id=1), d.Exit(code=ExitCode.DONE), d.Exit(code=ExitCode.USAGE),
    )  # fmt: skip
    told += story.hear(records=records, actions=actions)
    told += story.hear(e.WorkerDied(worker_id=1, exit_code=0))
    story.reporter.health(["x"])
    story.reporter.health([])
    return [*told, *(line["event"] for line in story.lines[-2:])]


def test_every_line_is_in_the_vocabulary_and_every_word_of_it_is_used() -> None:
    assert set(everything()) == EVENTS.keys() - NOTED
    assert EVENTS.keys() >= NOTED


def said(room: str, by: str) -> set[str]:
    """The literal event names that the files of a room hand to functions of these names."""
    call = re.compile(rf'\b(?:{by})\(\s*"(\w+)"')
    files = (CHECKOUT / "scorewatch" / room).rglob("*.py")
    return {name for path in files for name in call.findall(path.read_text(encoding="utf-8"))}


def test_no_room_says_what_the_vocabulary_lacks() -> None:
    ours, daemons = said("telemetry", "_say|_step|note"), said("daemon", "_?note")
    assert "batch_sealed" in ours
    assert "service_ready" in daemons
    assert ours | daemons <= EVENTS.keys()


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_each_word_has_a_level_a_sentence_and_a_row_in_the_manual(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert LEVELS[name] in {"debug", "info", "warning", "error"}
    assert EVENTS[name].endswith(".")
    row = f"| `{name}` | {LEVELS[name]} | {EVENTS[name]} |"
    assert row in (CHECKOUT / "docs/logs.md").read_text(encoding="utf-8").splitlines()


def test_the_manual_of_the_logs_is_up_to_date(tmp_path: Path) -> None:
    describe.main([str(tmp_path)])
    written = (tmp_path / "docs/logs.md").read_text(encoding="utf-8")
    assert (CHECKOUT / "docs/logs.md").read_text(encoding="utf-8") == written
