from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from scorewatch.daemon.archive import Archive
from scorewatch.daemon.diskwork import DiskWork
from scorewatch.daemon.mailbox import Recorded
from scorewatch.daemon.publishing import Identity, Publishing
from scorewatch.ledger.trouble import LedgerFullError
from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model.batches import BatchState as S
from scorewatch.model.batches import MiniBatch
from scorewatch.model.files import Refusal, RefusalReason
from scorewatch.model.outcomes import FailureKind, Receipt
from scorewatch.model.policy import Policy
from scorewatch.model.records import BatchMoved, BatchSealed
from scorewatch.outbox.publish import OutputRefusedError
from scorewatch.testing.luck import Luck
from scorewatch.testing.makers import batch, failure
from scorewatch.testing.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Refusing(Luck):
    """Refuses what it is told to, as often as it is told to."""

    def __init__(self) -> None:
        self.refuses: list[tuple[str, Exception]] = []

    def trouble(self, what: str) -> None:
        for index, (name, error) in enumerate(self.refuses):
            if name == what:
                del self.refuses[index]
                raise error


class Disk:
    """The disk's part of the daemon, by itself."""

    def __init__(self) -> None:
        self.luck = _Refusing()
        self.world = world = World(Policy(), self.luck)
        self.said: list[object] = []
        identity = Identity(deployment="one", epoch="1", device_of=lambda slot: f"gpu{slot}")
        self.publishing = Publishing(world.outbox, world.claims, identity, world.clock.time)
        self.archive = Archive(
            outbox=world.outbox,
            claims=world.claims,
            publishing=self.publishing,
            post=self.said.append,
            clock=world.clock.time,
            deployment="one",
        )
        self.work = DiskWork(world.ledger, world.claims, self.publishing, self.archive, self.said.append)

    def claim(self, *names: str) -> MiniBatch:
        """A batch that was claimed, sealed and handed out."""
        files = [self.world.disk.names[f"inbox/{name}"].seen(name) for name in names if self.world.drop(name)]
        batch_id, got, _, _ = self.world.claims.claim(files)
        made = replace(batch(), batch_id=batch_id, files=got)
        self.do(d.SyncClaim(batch=made), records=[BatchSealed(batch=made), self.move(made, S.SEALED, S.RUNNING)])
        self.said.clear()
        return made

    def move(self, it: MiniBatch, was: S, now: S) -> BatchMoved:
        return BatchMoved(batch_id=it.batch_id, was=was, now=now, at=1.0, attempt=1, dispatch=it.dispatch)

    def publish(self, it: MiniBatch) -> d.Publish:
        """The order for an output that lies in staging."""
        path = self.world.outbox.stage("1-1", f"{it.batch_id}.{it.dispatch}", self.world.claims.contents(it))
        count = len(it.files)
        told = Receipt(batch_id=it.batch_id, dispatch=it.dispatch, rows=count, succeeded=count)
        return d.Publish(batch=it, receipt=told, staging=path, worker_id=1, slot=0, model="m", script_sha256="s")

    def do(self, *actions: d.Action, records: list[BatchMoved | BatchSealed] | None = None) -> None:
        self.work.do([d.Decision(tuple(records or ()), actions)])

    def commit(self, it: MiniBatch) -> None:
        """Up to COMMITTED."""
        self.do(self.publish(it))
        self.do(records=[self.move(it, S.RUNNING, S.COMMITTED)])
        self.said.clear()

    def refuse(self, what: str, error: Exception | None = None) -> None:
        self.luck.refuses.append((what, error or OSError(errno.ENOSPC, f"no {what}")))

    def places(self) -> list[str]:
        return [path for path in self.world.disk.names if path.count("/") == 2 and not path.startswith("staging")]


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.world.close()


# ---------------------------------------------------------------- groups
def test_records_are_committed_before_the_loop_hears_of_the_actions(disk: Disk) -> None:
    order = d.RunBatch(worker_id=1, batch=batch("a"), run_timeout_s=1.0, schema=())
    disk.do(order, d.SyncClaim(batch=batch("a")), records=[BatchSealed(batch=batch("a"))])
    assert disk.said == [Recorded((order,))]
    told = [what for _, what, _ in disk.world.timeline]
    assert told.index("recorded") < next(i for i, what in enumerate(told) if str(what).startswith("sync claim"))


def test_a_ledger_that_is_full_starts_nothing_and_the_group_may_be_done_again(disk: Disk) -> None:
    it = disk.claim("a")
    order = d.RunBatch(worker_id=1, batch=it, run_timeout_s=1.0, schema=())
    group = [
        d.Decision((), (disk.publish(it),)),
        d.Decision((BatchSealed(batch=batch("z", number=9)),), (order,)),
    ]
    disk.refuse("record", LedgerFullError("full"))
    with pytest.raises(LedgerFullError):
        disk.work.do(group)
    assert disk.said == [e.BatchPublished(batch_id=it.batch_id, dispatch=0)]
    disk.work.do(group)
    assert disk.said[1:] == [Recorded((order,))]  # and the output is not published twice


def test_an_output_that_failed_is_not_published_behind_the_back_of_the_next_attempt(disk: Disk) -> None:
    it = disk.claim("a")
    group = [d.Decision((BatchSealed(batch=batch("z", number=9)),), (disk.publish(it),))]
    disk.refuse("publish")
    disk.refuse("record", LedgerFullError("full"))
    with pytest.raises(LedgerFullError):
        disk.work.do(group)
    disk.work.do(group)
    assert [type(each) for each in disk.said] == [e.PublishFailed]
    assert disk.world.outbox.manifest(it.batch_id) is None
    disk.do(disk.publish(it))  # asked anew it is
    assert disk.world.outbox.manifest(it.batch_id)


def test_an_output_is_published_though_its_decision_records_something_else(disk: Disk) -> None:
    it = disk.claim("a")
    disk.do(disk.publish(it), records=[BatchSealed(batch=batch("z", number=9))])
    assert disk.said == [e.BatchPublished(batch_id=it.batch_id, dispatch=0)]


# ---------------------------------------------------------------- publishing
def test_outputs_are_made_durable_together_and_each_is_answered(disk: Disk) -> None:
    first, second, torn = disk.claim("a"), disk.claim("b"), disk.claim("c")
    orders = [disk.publish(it) for it in (first, torn, second)]
    disk.world.rewrite("c")
    disk.do(*orders)
    assert sorted(str(type(each)) for each in disk.said) == sorted(
        map(str, (e.BatchPublished, e.BatchPublished, e.PublishFailed))
    )
    syncs = [what for _, what, _ in disk.world.timeline if what == "sync batches"]
    assert len(syncs) == 1
    (failed,) = (each for each in disk.said if isinstance(each, e.PublishFailed))
    assert failed.failure.kind is FailureKind.INPUT_CHANGED
    assert failed.failure.file == "c"
    assert failed.inputs is not None
    assert [seen.mtime_ns for seen in failed.inputs] == [3001]


def test_the_manifest_says_who_made_it_and_of_what(disk: Disk) -> None:
    it = disk.claim("a", "b")
    disk.do(disk.publish(it))
    manifest = disk.world.outbox.manifest(it.batch_id)
    assert manifest is not None
    assert [each["path"] for each in manifest["files"]] == ["a", "b"]
    assert (manifest["deployment"], manifest["device"], manifest["worker"]) == ("one", "gpu0", 1)


def test_an_input_that_is_gone_from_where_its_owner_keeps_it_is_not_read_again(disk: Disk) -> None:
    disk.world.claims.moves_files = False
    it = disk.claim("a", "b")
    order = disk.publish(it)
    disk.world.disk.remove(f"claim/{it.batch_id}/a")
    disk.do(order)
    (failed,) = disk.said
    assert isinstance(failed, e.PublishFailed)
    assert failed.inputs is not None
    assert [seen.relpath for seen in failed.inputs] == ["b"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [(OSError(errno.ENOSPC, "full"), FailureKind.OUTPUT_FAILED), (OutputRefusedError("odd"), FailureKind.BAD_RESULT)],
)
def test_the_disk_s_fault_is_told_from_the_script_s(disk: Disk, error: Exception, kind: FailureKind) -> None:
    it = disk.claim("a")
    disk.refuse("publish", error)
    disk.do(disk.publish(it))
    (failed,) = disk.said
    assert isinstance(failed, e.PublishFailed)
    assert failed.failure.kind is kind
    assert failed.inputs is None


def test_an_output_of_other_files_is_never_overwritten_and_stays_owed(disk: Disk) -> None:
    it, other = disk.claim("a"), disk.claim("b")
    disk.do(disk.publish(replace(other, batch_id=it.batch_id, files=it.files)))
    disk.publishing.manifests.clear()
    disk.said.clear()
    disk.world.rewrite("a")
    seen = disk.world.claims.look(it)
    disk.do(disk.publish(replace(it, files=tuple(each for each in seen if each))))
    assert [type(each) for each in disk.said] == [e.ActionFailed]


def test_a_visible_output_that_could_not_be_made_durable_is_asked_for_again_whatever_its_inputs_do(disk: Disk) -> None:
    it = disk.claim("a")
    order = disk.publish(it)
    disk.refuse("sync outbox")
    disk.do(order)
    assert [type(each) for each in disk.said] == [e.ActionFailed]
    disk.world.rewrite("a")
    disk.do(order)
    assert disk.said[1:] == [e.BatchPublished(batch_id=it.batch_id, dispatch=0)]
    assert disk.world.outbox.lasts(it.batch_id)


def test_a_claim_that_could_not_be_synced_is_synced_before_its_output_shows(disk: Disk) -> None:
    disk.refuse("sync claims")
    it = disk.claim("a")
    assert it.batch_id in disk.publishing.unsynced
    disk.refuse("sync claims")
    disk.do(disk.publish(it))
    (failed,) = disk.said
    assert isinstance(failed, e.PublishFailed)
    assert failed.failure.kind is FailureKind.OUTPUT_FAILED
    disk.do(disk.publish(it))
    assert f"claim/{it.batch_id}/a" in disk.world.disk.lasting
    assert not disk.publishing.unsynced
    disk.publishing.unsynced[it.batch_id] = it
    disk.do(d.SyncClaim(batch=it))
    assert not disk.publishing.unsynced


# ---------------------------------------------------------------- closing
def test_a_released_batch_has_one_line_and_its_inputs_are_done(disk: Disk) -> None:
    first, second = disk.claim("a"), disk.claim("b")
    for it in (first, second):
        disk.commit(it)
    disk.do(d.Release(batch=first), d.Release(batch=second))
    assert disk.said == [e.BatchReleased(batch_id=it.batch_id) for it in (first, second)]
    told = [(line["batch_id"], line["status"]) for line in disk.world.outbox.lines("summary")]
    assert told == [(it.batch_id, "committed") for it in (first, second)]
    assert f"done/{first.batch_id}/a" in disk.places()
    assert not disk.publishing.manifests
    assert not disk.archive.begun


@pytest.mark.parametrize("what", ["summarise", "release"])
def test_a_release_that_fails_is_said_so_and_repeated_with_one_line(disk: Disk, what: str) -> None:
    it = disk.claim("a")
    disk.commit(it)
    disk.refuse(what)
    disk.do(d.Release(batch=it))
    assert [type(each) for each in disk.said] == [e.ActionFailed]
    disk.do(d.Release(batch=it))
    assert disk.said[1:] == [e.BatchReleased(batch_id=it.batch_id)]
    assert len(disk.world.outbox.lines("summary")) == 1


def test_a_release_that_an_earlier_daemon_began_reads_the_manifest_and_looks_for_its_line(disk: Disk) -> None:
    it, new = disk.claim("a"), disk.claim("b")
    for each in (it, new):
        disk.commit(each)
    disk.do(d.Release(batch=it))
    disk.archive.begun.add(it.batch_id)
    disk.publishing.manifests.clear()
    disk.do(d.Release(batch=it), d.Release(batch=new))
    assert [line["batch_id"] for line in disk.world.outbox.lines("summary")] == [it.batch_id, new.batch_id]


@pytest.mark.parametrize("what", ["", "set aside", "list errors", "summarise"])
def test_files_set_aside_are_listed_once_whatever_goes_wrong_on_the_way(disk: Disk, what: str) -> None:
    it = disk.claim("a", "b")
    disk.do(records=[disk.move(it, S.RUNNING, S.QUARANTINED)])
    disk.said.clear()
    action = d.SetAside(batch=it, failure=failure())
    if what:
        disk.refuse(what)
        disk.do(action)
        assert [type(each) for each in disk.said] == [e.ActionFailed]
        disk.said.clear()
    disk.do(action)
    assert disk.said == [e.BatchReleased(batch_id=it.batch_id)]
    assert [line["path"] for line in disk.world.outbox.lines("errors")] == ["a", "b"]
    assert [line["status"] for line in disk.world.outbox.lines("summary")] == ["quarantined"]
    record = disk.world.disk.names[f"quarantine/{it.batch_id}/_error.json"]
    assert (record["kind"], record["files"]) == (FailureKind.SCRIPT_RAISED, ["a", "b"])


def test_halves_hold_what_is_there_as_it_is_now(disk: Disk) -> None:
    it = disk.claim("a", "b", "c")
    disk.do(records=[disk.move(it, S.RUNNING, S.SPLIT)])
    halves = ((it.batch_id + "a", it.files[:1]), (it.batch_id + "b", it.files[1:]))
    disk.world.disk.remove(f"claim/{it.batch_id}/b")
    disk.refuse("divide")
    for _ in range(2):
        disk.do(d.Divide(batch=it, halves=halves))
    failed, divided = disk.said[-2:]
    assert isinstance(failed, e.ActionFailed)
    assert isinstance(divided, e.BatchDivided)
    assert [[seen.relpath for seen in files] for _, files in divided.halves] == [["a"], ["c"]]
    assert divided.halves[0][1][0].ctime_ns != it.files[0].ctime_ns


def test_a_claim_that_holds_a_file_after_all_is_left(disk: Disk) -> None:
    it = disk.claim("a")
    disk.do(d.DropClaim(batch_id=it.batch_id))
    assert f"claim/{it.batch_id}/a" in disk.places()
    disk.world.disk.remove(f"claim/{it.batch_id}/a")
    disk.do(d.DropClaim(batch_id=it.batch_id))
    assert f"claim/{it.batch_id}" not in disk.world.disk.names
    assert disk.said == []


def test_skipped_files_are_listed_and_where_that_fails_the_outbox_is_in_trouble_until_it_works(disk: Disk) -> None:
    refusals = (Refusal("link", RefusalReason.SYMLINK, "it is a symlink"),)
    action = d.ListSkipped(skip_id="20261122T213741Z-" + "0" * 20, refusals=refusals)
    disk.refuse("list errors")
    disk.do(action)
    disk.do(action)
    assert [type(each) for each in disk.said] == [e.FolderTroubled, e.FolderFine]
    assert [line["path"] for line in disk.world.outbox.lines("errors")] == ["link"]


def test_staging_of_a_dead_worker_is_cleared_and_nobody_minds_where_it_can_t_be(disk: Disk) -> None:
    disk.publish(disk.claim("a"))
    disk.refuse("clear staging")
    disk.do(d.ClearStaging(worker_id=1))
    assert "staging/1-1" in disk.world.disk.names
    disk.do(d.ClearStaging(worker_id=1))
    assert "staging/1-1" not in disk.world.disk.names


def test_a_release_that_fails_is_tried_once_a_time(disk: Disk) -> None:
    it = disk.claim("a")
    disk.commit(it)
    for _ in range(2):
        disk.refuse("release")
    disk.do(d.Release(batch=it))
    assert [type(each) for each in disk.said] == [e.ActionFailed]
