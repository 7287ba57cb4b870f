"""The inbox's thread on a real file system, with real writers: each file to exactly one claim, whole."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import socket
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scorewatch.inbox import identity, probe
from scorewatch.inbox.claim import RenameClaims
from scorewatch.inbox.hands import PatrolRules
from scorewatch.inbox.ledger_claims import LedgerClaims
from scorewatch.inbox.patrol import Patrol
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.decisions import Claim
from scorewatch.model.events import (
    BatchClaimed,
    ClaimFailed,
    Event,
    FilesRefused,
    FilesSettled,
    FolderFine,
    FolderTroubled,
    SweepEnded,
)
from scorewatch.model.files import Observation, RefusalReason


class House:
    """A scheduler of few words: claims whatever is offered, and keeps count."""

    def __init__(self, inbox: Path, claims: Any = None, *, size: int = 32, greedy: bool = True, **rules: Any) -> None:
        self.inbox = inbox
        self.claims = claims or RenameClaims(inbox, "digits-1", durable=False, marker_suffix=rules.get("suffix", ""))
        rules.pop("suffix", None)
        self.mail: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.notices: list[str] = []
        self.patrol = Patrol(PatrolRules(**rules), self.claims, self.mail.put, notice=self.notices.append)
        self.size = size
        self.greedy = greedy
        self.waiting: list[Observation] = []
        self.offered: Counter[str] = Counter()
        self.claimed: Counter[str] = Counter()
        self.files: dict[str, tuple[str, Observation]] = {}
        self.refused: dict[str, tuple[RefusalReason, bool]] = {}
        self.refusals = 0
        self.seen: list[Event] = []
        self.ticket = 0
        self.patrol.start()

    def read_mail(self, timeout: float = 0.05) -> None:
        try:
            event = self.mail.get(timeout=timeout)
        except queue.Empty:
            return
        if isinstance(event, FilesSettled):
            self.waiting += event.files
            self.offered.update(file.relpath for file in event.files)
        elif isinstance(event, BatchClaimed):
            for file in event.files:
                self.claimed[file.relpath] += 1
                self.files[file.relpath] = (event.batch_id, file)
        elif isinstance(event, FilesRefused):
            self.refusals += len(event.refusals)
            self.refused.update({r.relpath: (r.reason, r.moved) for r in event.refusals})
        else:
            self.seen.append(event)
        while self.greedy and self.waiting:
            self.claim_some()

    def claim_some(self) -> None:
        self.ticket += 1
        self.patrol.claim(Claim(ticket=self.ticket, files=tuple(self.waiting[: self.size]), because=SealReason.FILES))
        del self.waiting[: self.size]

    def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, f"{sum(self.claimed.values())} claimed, {self.refused}, {self.seen[-5:]}"
            self.read_mail()

    def until_claimed(self, number: int, within: float = 20.0) -> None:
        self.until(lambda: sum(self.claimed.values()) >= number, within)

    def until_swept(self) -> None:
        """Until a look at everything that began now has ended."""
        for _ in range(2):
            self.seen.clear()
            self.patrol.ring()
            self.until(lambda: any(isinstance(event, SweepEnded) for event in self.seen))

    def path(self, relpath: str) -> Path:
        return Path(self.claims.root.claims_path) / self.files[relpath][0] / relpath

    def stop(self) -> None:
        self.patrol.stop()
        assert self.patrol.join(5.0)
        self.claims.root.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    probe.ignore_lease_breaks()
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def open_house(inbox: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def new(claims: Any = None, **rules: Any) -> House:
        houses.append(House(inbox, claims, **rules))
        return houses[-1]

    yield new
    for house in houses:
        house.stop()


Open = Callable[..., House]

SLOPPY_WRITER = """
import hashlib, random, sys, time
folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
dice = random.Random(name)
for n in range(count):
    body = bytes([dice.randrange(256)]) * dice.randrange(100, 3000)
    body += hashlib.sha256(body).digest()
    cut = dice.randrange(1, len(body))
    with open(f"{folder}/{name}-{n}", "wb", buffering=0) as file:
        file.write(body[:cut])
        if dice.random() < 0.3:
            time.sleep(0.004)
        file.write(body[cut:])
"""


def test_files_written_in_place_are_never_torn(open_house: Open, inbox: Path) -> None:
    house = open_house(size=4)
    command = [sys.executable, "-c", SLOPPY_WRITER, str(inbox)]
    writers = [subprocess.Popen([*command, name, "200"]) for name in "ab"]
    house.until_claimed(400)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert set(house.claimed.values()) == {1}
    bodies = [house.path(relpath).read_bytes() for relpath in house.files]
    assert sum(hashlib.sha256(body[:-32]).digest() != body[-32:] for body in bodies) == 0
    sizes = {relpath: file.size for relpath, (_, file) in house.files.items()}
    assert all(house.path(relpath).stat().st_size == size for relpath, size in sizes.items())


def test_one_file_renamed_into_an_idle_inbox_is_offered_at_once(open_house: Open, inbox: Path, tmp_path: Path) -> None:
    house = open_house(rescan_s=60.0)
    house.until_swept()
    took = []
    for n in range(20):
        (tmp_path / "x").write_text("x")
        began = time.perf_counter()
        (tmp_path / "x").rename(inbox / f"f{n}")
        house.until_claimed(n + 1)
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.05


def test_a_file_that_was_busy_for_long_is_offered_as_soon_as_it_is_closed(open_house: Open, inbox: Path) -> None:
    house = open_house(rescan_s=60.0)
    with (inbox / "a").open("w") as writer:
        writer.write("x")
        writer.flush()
        stories = house.patrol._examiner.settling._stories
        house.until(lambda: "a" in stories and stories["a"].tries == 6)  # the next look is a second away
    began = time.monotonic()
    house.until_claimed(1)
    assert time.monotonic() - began < 0.5


def test_whole_trees_made_at_once_are_found(open_house: Open, inbox: Path) -> None:
    house = open_house(rescan_s=60.0)
    house.until_swept()
    for n in range(200):
        folder = inbox / f"d{n}/b/c"
        folder.mkdir(parents=True)
        (folder / "file").write_text(str(n))
    house.until_claimed(200)
    assert set(house.claimed.values()) == {1}


def test_a_tree_that_is_moved_in_is_found(open_house: Open, inbox: Path, tmp_path: Path) -> None:
    house = open_house(rescan_s=60.0)
    house.until_swept()
    (tmp_path / "t/u").mkdir(parents=True)
    (tmp_path / "t/u/f").write_text("x")
    (tmp_path / "t").rename(inbox / "t")
    house.until_claimed(1)
    (inbox / "t").rename(inbox / "v")
    (inbox / "v/u/g").write_text("x")
    house.until_claimed(2)
    assert set(house.claimed) == {"t/u/f", "v/u/g"}


def test_tortured_names_and_things_that_are_no_files(open_house: Open, inbox: Path) -> None:
    house = open_house()
    names = [
        "x" * 255,
        "new\nline",
        "\udcff\udcfe",
        "-rf",
        "\x1b[2J",
        "\u202egpj.exe",
        "a b",
        "=1+1",
        "tab\t",
        "é",
        "e\u0301",
    ]
    for name in names:
        (inbox / name).write_text("x")
    for name in ("..x", ".hidden", "a.part"):
        (inbox / name).write_text("x")
    (inbox / "link").symlink_to("/etc/passwd")
    os.mkfifo(inbox / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(inbox / "sock"))
    house.until_claimed(len(names))
    house.until(lambda: len(house.refused) == 3)
    assert house.claimed == Counter(names)
    assert house.refused == {
        "link": (RefusalReason.SYMLINK, True),
        "pipe": (RefusalReason.FIFO, True),
        "sock": (RefusalReason.SOCKET, True),
    }
    assert sorted(p.name for p in inbox.iterdir()) == ["..x", ".hidden", ".scorewatch", "a.part"]


def test_an_empty_file_may_still_be_filled(open_house: Open, inbox: Path) -> None:
    house = open_house()
    (inbox / "empty").touch()
    (inbox / "filled").touch()
    house.until_swept()
    (inbox / "filled").write_text("x")
    house.until_claimed(1)
    house.until(lambda: "empty" in house.refused)
    assert (dict(house.claimed), house.refused) == ({"filled": 1}, {"empty": (RefusalReason.EMPTY, True)})


def test_what_is_never_whole_is_listed_in_the_end(open_house: Open, inbox: Path) -> None:
    house = open_house(incomplete_s=0.3)
    with (inbox / "a").open("w") as writer:
        writer.write("x")
        writer.flush()
        house.until(lambda: "a" in house.refused)
    assert house.refused["a"] == (RefusalReason.NEVER_COMPLETED, True)


def test_two_deployments_share_an_inbox_and_each_file_goes_to_one(open_house: Open, inbox: Path) -> None:
    houses = [open_house(RenameClaims(inbox, f"d-{n}", durable=False), size=3) for n in range(2)]
    for n in range(500):
        (inbox / f"f{n}").write_text("x")

    def all_claimed() -> bool:
        houses[1].read_mail(0.0)
        return sum(sum(house.claimed.values()) for house in houses) >= 500

    houses[0].until(all_claimed)
    assert houses[0].claimed + houses[1].claimed == Counter({f"f{n}": 1 for n in range(500)})


def test_marked_files_are_claimed_and_unmarked_ones_wait(open_house: Open, inbox: Path) -> None:
    house = open_house(suffix=".done", ready_when="marker", marker_suffix=".done", incomplete_s=1.0)
    for name in ("a", "b", "s.done"):
        (inbox / name).write_text("x")
    house.until_swept()
    assert not house.claimed
    (inbox / "a.done").touch()
    house.until_claimed(1)
    house.until(lambda: len(house.refused) == 2)
    assert dict(house.claimed) == {"a": 1}
    assert house.refused == {
        "b": (RefusalReason.NEVER_COMPLETED, True),
        "s.done": (RefusalReason.ORPHAN_MARKER, True),
    }


def test_what_an_overflow_swallowed_is_found(open_house: Open, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = open_house(rescan_s=600.0)
    house.until_swept()
    with monkeypatch.context() as patch:
        patch.setattr(house.patrol.watcher, "on_event", lambda _: None)
        (inbox / "swallowed").write_text("x")
        house.until_swept()  # proves that the mail runs; it finds the file as well
    house.until_claimed(1)
    monkeypatch.setattr(house.patrol.watcher, "on_event", lambda _: None)
    (inbox / "again").write_text("x")
    house.patrol.watcher.on_queue_overflow()
    house.until_claimed(2)


@pytest.mark.parametrize("remade", [True, False])
def test_an_inbox_that_goes_away_is_waited_for(open_house: Open, inbox: Path, remade: bool) -> None:
    identity_path = inbox / identity.INBOX
    house = open_house(rescan_s=600.0)
    identity.create(identity_path)
    house.until_swept()
    if remade:
        shutil.rmtree(inbox)
    else:
        inbox.rename(inbox.with_name("away"))
    house.until(lambda: any(isinstance(event, FolderTroubled) for event in house.seen))
    house.waiting = [Observation("x")]
    house.claim_some()
    house.until(lambda: any(isinstance(event, ClaimFailed) for event in house.seen))
    if remade:
        inbox.mkdir()
    else:
        inbox.with_name("away").rename(inbox)
    house.until(lambda: any(isinstance(event, FolderFine) for event in house.seen))
    (inbox / "a").write_text("x")
    house.until_claimed(1)
    assert identity.read(identity_path) is not None


def test_a_hundred_thousand_names_are_offered_as_they_are_needed(open_house: Open, inbox: Path) -> None:
    one = inbox / "f0"
    one.write_text("x")
    made = 1
    for n in range(1, 100_000):
        if n % 50_000 == 0:
            one = inbox / f"f{n}"
            one.write_text("x")
        else:
            os.link(one, inbox / f"f{n}")
        made += 1
    tracemalloc.start()
    began = time.monotonic()
    house = open_house(greedy=False)
    house.until(lambda: len(house.waiting) >= 4096)
    first = time.monotonic() - began
    time.sleep(0.3)  # it must not go on by itself; there is no event for that
    while not house.mail.empty():
        house.read_mail()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(house.waiting) < 4096 + 512
    assert peak < 16_000_000
    assert first < 5.0
    for _ in range(100):
        house.claim_some()
    house.until_claimed(3200)
    house.until(lambda: sum(house.offered.values()) > 7000)
    assert max(house.offered.values()) == 1


def test_an_inbox_that_may_not_be_written(open_house: Open, inbox: Path) -> None:
    ledger: set[Any] = set()
    house = open_house(LedgerClaims(inbox, lambda *key: key in ledger), rescan_s=0.1)
    for name in ("a", "b"):
        (inbox / name).write_text("x")
    (inbox / "link").symlink_to("a")
    house.until_claimed(2)
    ledger |= {(f.relpath, f.size, f.mtime_ns, f.ctime_ns) for _, f in house.files.values()}
    house.until_swept()
    assert house.claimed == Counter("ab")
    (inbox / "a").write_text("another")
    house.until_claimed(3)
    house.until_swept()
    assert house.claimed == Counter({"a": 2, "b": 1})
    assert (house.refused, house.refusals) == ({"link": (RefusalReason.SYMLINK, False)}, 1)
    assert sorted(p.name for p in inbox.iterdir()) == ["a", "b", "link"]


def test_where_no_lease_can_be_had_two_looks_decide(open_house: Open, inbox: Path) -> None:
    claims = RenameClaims(inbox, "d-1", durable=False)
    claims.leases = False
    house = open_house(claims)
    (inbox / "a").write_text("half")
    began = time.monotonic()
    house.until_claimed(1)
    assert time.monotonic() - began >= 1.9
    assert not house.files["a"][1].quiet


def test_without_a_bell_it_polls_and_says_so_once(
    open_house: Open, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr("scorewatch.inbox.watcher.InotifyFD.__init__", refuse)
    house = open_house(rescan_s=0.2)
    house.until_swept()
    (inbox / "a").write_text("x")
    house.until_claimed(1)
    assert [("inotify instance" in notice, "0.2 seconds" in notice) for notice in house.notices] == [(True, True)]


def without_the_rights_of_root() -> list[str]:
    """A prefix under which root, too, needs a permission to read."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("takes setpriv")
    caps = "-dac_override,-dac_read_search"
    prefix = ["setpriv", "--bounding-set", caps, "--inh-caps", caps]
    if subprocess.run([*prefix, sys.executable, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("the interpreter can't be run here without the rights of root")
    return prefix


def test_what_can_t_be_read_is_listed_once_and_stops_nothing(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    for name in ("closed", "open"):
        (inbox / name).mkdir(parents=True)
        (inbox / name / "f").write_text("x")
    (inbox / "secret").write_text("x")
    (inbox / "secret").chmod(0o000)
    (inbox / "closed").chmod(0o000)
    told = run_apart(inbox, "unreadable", *without_the_rights_of_root())
    (inbox / "closed").chmod(0o700)  # or nobody but root could remove it
    refused = "[('closed', 'unreadable', False), ('secret', 'unreadable', False)] 2"
    assert told.splitlines() == ["['open/f']", refused, "['open/f', 'secret']"]


def run_apart(inbox: Path, part: str, *wrapper: str) -> str:
    """Run one of the parts below in a process with other limits or mounts; what it printed."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*wrapper, sys.executable, str(Path(__file__)), str(inbox), part]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def may_unshare(*flags: str) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *flags, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0 or not may_unshare("-m"), reason="needs root, to mount")
def test_an_inbox_that_is_unmounted_is_waited_for_and_its_mount_point_not_believed(inbox: Path) -> None:
    assert run_apart(inbox, "mounts", "unshare", "-m").splitlines() == ["['after', 'before']", "[]"]


@pytest.mark.skipif(not may_unshare("-U", "-r"), reason="needs user namespaces, for a limit of our own")
@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_when_the_kernel_gives_no_more_watches_everything_is_found_by_looking(inbox: Path, limit: str) -> None:
    shell = f'echo {3 if limit.endswith("watches") else 0} > /proc/sys/user/{limit}; exec "$@"'
    told = run_apart(inbox, "watches", "unshare", "-U", "-r", "sh", "-c", shell, "sh")
    assert told.startswith("20 20 ['the inbox is looked through every 0.3 seconds:")


def batch_of(batch_id: str, file: Observation) -> MiniBatch:
    return MiniBatch(
        batch_id=batch_id, files=(file,), total_bytes=1, sealed_because=SealReason.FILES, sealed_at=0.0, tries=4
    )


def part_unreadable(inbox: Path) -> None:
    house = House(inbox, rescan_s=0.1)
    house.until_claimed(1)
    house.until(lambda: len(house.refused) == 2)
    house.until_swept()
    print(sorted(house.claimed))
    print(sorted((name, str(reason), moved) for name, (reason, moved) in house.refused.items()), house.refusals)
    os.utime(inbox, (0, 0))  # so old that only what is known to be in it keeps it from being passed over
    house.until_swept()
    (inbox / "secret").chmod(0o600)
    house.until_claimed(2)
    print(sorted(house.claimed))
    house.stop()


def part_mounts(inbox: Path) -> None:
    disk = inbox.with_name("disk")
    disk.mkdir()
    subprocess.run(["mount", "--bind", disk, inbox], check=True)
    house = House(inbox, rescan_s=600.0)
    identity.create(inbox / identity.INBOX)
    (inbox / "before").write_text("x")
    house.until_claimed(1)
    house.until_swept()
    house.claims.release(batch_of("20261122T213741Z-00000000000000000000", house.files["before"][1]))
    subprocess.run(["umount", "-l", inbox], check=True)
    house.until(lambda: any(isinstance(event, FolderTroubled) for event in house.seen))
    empty = sorted(path.name for path in inbox.iterdir())
    subprocess.run(["mount", "--bind", disk, inbox], check=True)
    house.until(lambda: any(isinstance(event, FolderFine) for event in house.seen))
    (inbox / "after").write_text("x")
    house.until_claimed(2)
    for relpath, (batch_id, file) in house.files.items():
        house.claims.release(batch_of(batch_id, file))
        assert list((disk / ".scorewatch/done").glob(f"*/{batch_id}/{relpath}"))
    print(sorted(house.claimed))
    print(empty)
    house.stop()


def part_watches(inbox: Path) -> None:
    for n in range(10):
        (inbox / f"d{n}").mkdir()
    house = House(inbox, rescan_s=0.3)
    house.until_swept()
    for n in range(10):
        (inbox / f"d{n}/old").write_text("x")
        (inbox / f"new{n}").mkdir()
        (inbox / f"new{n}/f").write_text("x")
    house.until_claimed(20)
    house.until(lambda: bool(house.notices))
    print(len(house.claimed), sum(house.claimed.values()), house.notices)
    house.stop()


if __name__ == "__main__":  # the parts that run as somebody else, or under limits of their own
    probe.ignore_lease_breaks()
    {"unreadable": part_unreadable, "mounts": part_mounts, "watches": part_watches}[sys.argv[2]](Path(sys.argv[1]))
