"""Claims by rename: what stands on disk at each step, and after a crash between any two."""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from pathlib import Path

import pytest

from scorewatch.inbox import moves, taking
from scorewatch.inbox.claim import RenameClaims
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.model.files import Observation
from scorewatch.model.ids import halves


def batch_of(batch_id: str, files: tuple[Observation, ...]) -> MiniBatch:
    return MiniBatch(
        batch_id=batch_id, files=files, total_bytes=0, sealed_because=SealReason.FILES, sealed_at=0.0, tries=4
    )


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def drop(inbox: Path, *relpaths: str) -> list[Observation]:
    for relpath in relpaths:
        (inbox / relpath).parent.mkdir(parents=True, exist_ok=True)
        (inbox / relpath).write_text(relpath)
    return [Observation(relpath) for relpath in relpaths]


def claim_all(claims: RenameClaims, files: list[Observation]) -> MiniBatch:
    batch_id, got, busy, vanished = claims.claim(files)
    assert (len(got), busy, vanished) == (len(files), [], [])
    return batch_of(batch_id, got)


def test_claims_lie_under_their_owner_and_are_closed_to_others(claims: RenameClaims, inbox: Path) -> None:
    batch = claim_all(claims, drop(inbox, "s/a"))
    assert tree(inbox) == [f".scorewatch/claim/digits-1/{batch.batch_id}/s/a"]
    assert (inbox / ".scorewatch").stat().st_mode & 0o777 == 0o700


def test_an_empty_claim_leaves_no_folder(claims: RenameClaims, inbox: Path) -> None:
    claims.claim([Observation("gone"), Observation("s/gone")])
    assert claims.remains() == {}
    assert [p.name for p in (inbox / ".scorewatch/claim/digits-1").iterdir()] == [".parked"]


def test_claims_of_others_are_not_ours(claims: RenameClaims, inbox: Path) -> None:
    other = RenameClaims(inbox, "other-2")
    theirs = claim_all(other, drop(inbox, "a"))
    assert claims.remains() == {}
    assert list(other.remains()) == [theirs.batch_id]
    other.root.close()


# ---------------------------------------------------------------- a writer in the wrong moment
def race(monkeypatch: pytest.MonkeyPatch, act: object) -> None:
    """Have `act` called after the file was opened and probed, just before the rename."""
    rename = os.rename

    def racing(src: str, dst: str, **fds: int) -> None:
        monkeypatch.setattr(taking.os, "rename", rename)
        act()  # type: ignore[operator]
        rename(src, dst, **fds)

    monkeypatch.setattr(taking.os, "rename", racing)


def test_a_file_that_a_writer_opens_in_between_is_parked_and_claimed_once_it_is_quiet(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = []

    def knock() -> None:
        os.close(os.open(inbox / "a", os.O_RDONLY))
        with pytest.raises(BlockingIOError):
            os.open(inbox / "a", os.O_WRONLY | os.O_NONBLOCK)
        writers.append(1)

    race(monkeypatch, knock)
    _, got, busy, _ = claims.claim(drop(inbox, "a", "b"))
    assert ([file.relpath for file in got], busy, writers) == (["b"], ["a"], [1])
    assert not (inbox / "a").exists()
    assert claims.parked() == ("a",)

    drop(inbox, "a")  # a second arrival of that name, which must not meet the first
    (inbox / "a").write_text("second")
    first = claim_all(claims, [Observation("a")])
    second = claim_all(claims, [Observation("a")])
    assert (Path(claims.where(first)) / "a").read_text() == "a"
    assert (Path(claims.where(second)) / "a").read_text() == "second"
    assert claims.parked() == ()
    assert list((inbox / ".scorewatch/claim/digits-1/.parked").iterdir()) == []


def test_a_file_that_is_replaced_in_between_is_claimed_as_what_it_is_now(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "new").write_text("longer content")
    race(monkeypatch, lambda: (tmp_path / "new").rename(inbox / "a"))
    batch = claim_all(claims, drop(inbox, "a"))
    assert batch.files[0].size == len("longer content")
    assert batch.files[0].inode == (Path(claims.where(batch)) / "a").stat().st_ino


def test_a_busy_file_that_replaces_one_in_between_is_parked(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "new").open("w") as writer:
        writer.write("half")
        writer.flush()
        race(monkeypatch, lambda: (tmp_path / "new").rename(inbox / "a"))
        _, got, busy, _ = claims.claim(drop(inbox, "a"))
        assert (got, busy, claims.parked()) == ((), ["a"], ("a",))
        assert claims.claim([Observation("a")])[2] == ["a"]
        writer.write(" and whole")
    batch = claim_all(claims, [Observation("a")])
    assert (Path(claims.where(batch)) / "a").read_text() == "half and whole"


def test_a_later_arrival_never_replaces_the_first_of_its_name_in_a_claim(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def dropping(src: str, dst: str, **fds: int) -> None:
        rename(src, dst, **fds)
        (inbox / "a").write_text("second")

    files = drop(inbox, "a")
    monkeypatch.setattr(taking.os, "rename", dropping)
    batch_id, got, busy, _ = claims.claim([*files, *files])
    assert (len(got), busy) == (1, ["a"])
    assert (Path(claims.where(batch_of(batch_id, got))) / "a").read_text() == "a"
    assert (inbox / "a").read_text() == "second"


def test_parked_files_are_found_by_the_next_start(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (inbox / "s").mkdir()
    with (tmp_path / "new").open("w") as writer:
        writer.write("x")
        writer.flush()
        race(monkeypatch, lambda: (tmp_path / "new").rename(inbox / "s/a"))
        claims.claim(drop(inbox, "s/a"))
    again = RenameClaims(inbox, "digits-1")
    assert (again.remains(), again.parked()) == ({}, ("s/a",))
    claim_all(again, [Observation("s/a")])
    assert again.parked() == ()
    again.root.close()


def test_a_start_parks_what_a_crash_left_busy_in_a_claim_that_nobody_sealed(claims: RenameClaims, inbox: Path) -> None:
    unsealed = claim_all(claims, drop(inbox, "a", "b"))
    sealed = claim_all(claims, drop(inbox, "c"))
    with (Path(claims.where(unsealed)) / "a").open("a"), (Path(claims.where(sealed)) / "c").open("a"):
        remains = claims.remains(sealed={sealed.batch_id})
    assert {k: [f.relpath for f in v] for k, v in remains.items()} == {unsealed.batch_id: ["b"], sealed.batch_id: ["c"]}
    assert claims.parked() == ("a",)


def test_one_file_that_can_t_be_moved_costs_the_others_nothing(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refusing(src: str, dst: str, **fds: int) -> None:
        if src == "b":
            raise PermissionError(1, "Operation not permitted")
        rename(src, dst, **fds)

    monkeypatch.setattr(taking.os, "rename", refusing)
    _, got, busy, _ = claims.claim(drop(inbox, "a", "b", "c"))
    assert ([file.relpath for file in got], busy) == (["a", "c"], ["b"])
    found = claims.probe(claims.root.fd, "b")
    assert found.reason is not None
    assert "not permitted" in found.detail


def test_when_the_disk_fails_what_was_got_is_told_and_the_next_claim_says_why(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def failing(src: str, dst: str, **fds: int) -> None:
        if src != "a":
            raise OSError(28, "No space left on device")
        rename(src, dst, **fds)

    monkeypatch.setattr(taking.os, "rename", failing)
    files = drop(inbox, "a", "b", "c")
    _, got, busy, _ = claims.claim(files)
    assert ([file.relpath for file in got], busy) == (["a"], ["b", "c"])
    with pytest.raises(OSError, match="No space"):
        claims.claim(files[1:])
    assert len(claims.remains()) == 1
    assert (inbox / "b").exists()


# ---------------------------------------------------------------- markers
def test_markers_travel_with_their_files_to_the_end(inbox: Path) -> None:
    claims = RenameClaims(inbox, "d-1", marker_suffix=".done")
    drop(inbox, "a", "a.done", "b", "b.done", "c")
    batch_id, got, busy, _ = claims.claim([Observation(n) for n in "abc"])
    assert ([file.relpath for file in got], busy) == (["a", "b"], ["c"])
    left, right = halves(batch_id)
    claims.divide(batch_of(batch_id, got), [(left, got[:1]), (right, got[1:])])
    claims.set_aside(batch_of(left, got[:1]), {})
    claims.release(batch_of(right, got[1:]))
    names = [name.split(".scorewatch/")[1].split("/", 2)[-1] for name in tree(inbox) if ".scorewatch/" in name]
    assert sorted(names) == sorted(["_error.json", "a", "a.done", f"{right}/b", f"{right}/b.done"])
    assert [(r.relpath, r.message) for r in claims.quarantine.put_back()] == [("a", "")]
    assert {"a", "a.done"} <= set(tree(inbox))
    claims.root.close()


def test_a_crash_between_marker_and_file_is_finished_by_the_next_start(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = RenameClaims(inbox, "d-1", marker_suffix=".done")
    drop(inbox, "s/a", "s/a.done")

    class Crash(BaseException):
        pass

    rename = os.rename

    def crashing(src: str, dst: str, **fds: int) -> None:
        if src == "a":
            raise Crash
        rename(src, dst, **fds)

    with monkeypatch.context() as patch:
        patch.setattr(taking.os, "rename", crashing)
        with pytest.raises(Crash):
            claims.claim([Observation("s/a")])
    claims.root.close()
    again = RenameClaims(inbox, "d-1", marker_suffix=".done")
    remains = again.remains(sealed=())
    assert [[file.relpath for file in files] for files in remains.values()] == [["s/a"]]
    assert not (inbox / "s/a").exists()
    again.root.close()


def test_a_marker_whose_file_goes_away_in_between_goes_back(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = RenameClaims(inbox, "d-1", marker_suffix=".done")
    drop(inbox, "a", "a.done")
    race(monkeypatch, (inbox / "a").unlink)
    _, got, _, vanished = claims.claim([Observation("a")])
    assert (got, vanished) == ((), ["a"])
    assert tree(inbox) == ["a.done"]
    claims.root.close()


def test_a_marker_that_a_crash_left_alone_in_a_claim_goes_back_to_be_listed(inbox: Path) -> None:
    claims = RenameClaims(inbox, "d-1", marker_suffix=".done")
    drop(inbox, "s/a", "s/a.done")
    batch = claim_all(claims, [Observation("s/a")])
    (Path(claims.where(batch)) / "s/a").unlink()
    assert claims.remains(sealed=()) == {batch.batch_id: ()}
    claims.drop(batch.batch_id)
    assert tree(inbox) == ["s/a.done"]
    claims.root.close()


# ---------------------------------------------------------------- where it ends
def test_released_claims_are_archived_by_day_and_pruned_by_age(claims: RenameClaims, inbox: Path) -> None:
    batch = claim_all(claims, drop(inbox, "s/a"))
    claims.release(batch)
    claims.release(batch)
    (day,) = (inbox / ".scorewatch/done").iterdir()
    assert tree(day) == [f"{batch.batch_id}/s/a"]
    old = inbox / ".scorewatch/done/2020-01-01/x"
    old.mkdir(parents=True)
    (old / "link").symlink_to(inbox)
    (inbox / ".scorewatch/done/notes").mkdir()
    assert claims.prune_done(30, 1_800_000_000.0 if day.name > "2027" else day.stat().st_mtime) == ["2020-01-01"]
    assert day.exists()
    assert (inbox / ".scorewatch/done/notes").exists()


def test_an_archived_namesake_is_not_mixed_with(claims: RenameClaims, inbox: Path) -> None:
    batch = claim_all(claims, drop(inbox, "a"))
    claims.release(batch)
    (inbox / f".scorewatch/claim/digits-1/{batch.batch_id}").mkdir()
    (inbox / f".scorewatch/claim/digits-1/{batch.batch_id}/b").write_text("b")
    claims.release(batch)
    (day,) = (inbox / ".scorewatch/done").iterdir()
    assert tree(day) == [f"{batch.batch_id}.2/b", f"{batch.batch_id}/a"]


def test_a_day_that_was_deleted_by_hand_is_made_again(claims: RenameClaims, inbox: Path) -> None:
    claims.release(claim_all(claims, drop(inbox, "a")))
    shutil.rmtree(inbox / ".scorewatch/done")
    claims.release(claim_all(claims, drop(inbox, "b")))
    assert [p.name for p in (inbox / ".scorewatch/done").rglob("b")] == ["b"]


def test_released_inputs_can_be_deleted(inbox: Path) -> None:
    claims = RenameClaims(inbox, "d-1", after="delete")
    batch = claim_all(claims, drop(inbox, "s/a"))
    claims.release(batch)
    claims.release(batch)
    assert tree(inbox) == []
    claims.root.close()


def test_gone_means_done_only_while_the_inbox_stands(claims: RenameClaims, inbox: Path) -> None:
    batch = claim_all(claims, drop(inbox, "a"))
    shutil.rmtree(inbox / ".scorewatch")
    for act in (claims.release, claims.look, lambda b: claims.set_aside(b, {})):
        with pytest.raises(OSError, match="deleted"):
            act(batch)


def test_drop_never_removes_a_file(claims: RenameClaims, inbox: Path) -> None:
    batch = claim_all(claims, drop(inbox, "s/a"))
    with pytest.raises(OSError, match="not empty"):
        claims.drop(batch.batch_id)
    (Path(claims.where(batch)) / "s/a").unlink()
    claims.drop(batch.batch_id)
    claims.drop(batch.batch_id)
    assert claims.remains() == {}


# ---------------------------------------------------------------- fsync
def test_sync_makes_each_folder_durable_once_and_process_durability_none(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = RenameClaims(inbox, "d-1")
    one = claim_all(claims, drop(inbox, "a", "s/t/b", "s/c"))
    two = claim_all(claims, drop(inbox, "d"))
    synced: list[str] = []
    monkeypatch.setattr(moves, "sync_folder", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    claims.sync([one, two])
    base = f"{inbox}/.scorewatch/claim/d-1"
    a, b = f"{base}/{one.batch_id}", f"{base}/{two.batch_id}"
    assert sorted(synced) == sorted([base, a, f"{a}/s", f"{a}/s/t", b, str(inbox), f"{inbox}/s", f"{inbox}/s/t"])
    synced.clear()
    RenameClaims(inbox, "d-2", durable=False).sync([one, two])
    assert synced == []
    claims.root.close()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were fsynced, in their order."""
    found: list[str] = []
    monkeypatch.setattr(moves, "sync_folder", lambda fd: found.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    return found


def test_every_folder_above_a_claim_is_durable_before_the_first_claim(inbox: Path, synced: list[str]) -> None:
    RenameClaims(inbox, "d-1").root.close()
    meta = f"{inbox}/.scorewatch"
    assert {str(inbox), meta, f"{meta}/claim"} <= set(synced)  # which hold .scorewatch, claim and d-1


def test_a_half_is_durable_before_its_files_leave_the_whole(inbox: Path, synced: list[str]) -> None:
    claims = RenameClaims(inbox, "d-1")
    batch = claim_all(claims, drop(inbox, "a", "s/b"))
    first, second = halves(batch.batch_id)
    synced.clear()
    claims.divide(batch, ((first, batch.files[:1]), (second, batch.files[1:])))
    base = f"{inbox}/.scorewatch/claim/d-1"
    left = synced.index(f"{base}/{batch.batch_id}")
    assert synced.index(base) < left
    assert synced.index(f"{base}/{first}") < left
    claims.root.close()


def test_quarantine_is_durable_up_to_the_inbox(inbox: Path, synced: list[str]) -> None:
    claims = RenameClaims(inbox, "d-1")
    batch = claim_all(claims, drop(inbox, "s/t/a"))
    synced.clear()
    claims.set_aside(batch, {})
    meta, source = f"{inbox}/.scorewatch", f"{inbox}/.scorewatch/claim/d-1/{batch.batch_id}"
    folder = f"{meta}/quarantine/{batch.batch_id}"
    before = synced[: synced.index(source)]
    assert {meta, f"{meta}/quarantine", folder, f"{folder}/s", f"{folder}/s/t"} <= set(before)
    claims.root.close()


def test_a_parked_file_is_durable_where_it_waits_and_when_it_leaves(inbox: Path, synced: list[str]) -> None:
    claims = RenameClaims(inbox, "d-1")
    (inbox / "s").mkdir()
    (inbox / "s/a").write_text("x")
    fd = os.open(inbox / "s", os.O_RDONLY)
    synced.clear()
    claims._parking.put(fd, "s/a")
    os.close(fd)
    parked = f"{inbox}/.scorewatch/claim/d-1/.parked"
    (place,) = Path(parked).iterdir()
    assert set(synced) == {parked, str(place), f"{place}/s"}
    synced.clear()
    claims.sync([claim_all(claims, [Observation("s/a")])])
    assert parked in synced
    claims.root.close()


# ---------------------------------------------------------------- after a crash, or a hand in between
def test_a_file_under_both_names_was_moved_by_a_link_and_is_moved_on(claims: RenameClaims, inbox: Path) -> None:
    batch = claim_all(claims, drop(inbox, "a", "b"))
    first, second = halves(batch.batch_id)
    claims.divide(batch, ((first, batch.files[:1]), (second, batch.files[1:])))
    (inbox / f".scorewatch/claim/digits-1/{batch.batch_id}").mkdir()
    base = inbox / ".scorewatch/claim/digits-1"
    os.link(base / first / "a", base / batch.batch_id / "a")  # as a crash between link and unlink leaves it
    claims.divide(batch, ((first, batch.files[:1]), (second, batch.files[1:])))
    assert tree(base) == [f"{first}/a", f"{second}/b"]


def test_another_file_of_that_name_is_never_taken_for_the_same(claims: RenameClaims, inbox: Path) -> None:
    batch = claim_all(claims, drop(inbox, "a"))
    other = inbox / f".scorewatch/quarantine/{batch.batch_id}/a"
    other.parent.mkdir(parents=True)
    other.write_text("another")
    with pytest.raises(FileExistsError):
        claims.set_aside(batch, {})
    assert (Path(claims.where(batch)) / "a").read_text() == "a"
    assert other.read_text() == "another"


def test_a_target_that_is_deleted_meanwhile_is_no_move_that_was_made_before(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = claim_all(claims, drop(inbox, "a"))

    def deleted(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(moves, "move", deleted)
    with pytest.raises(OSError, match="was deleted"):
        claims.set_aside(batch, {})
    assert tree(Path(claims.where(batch))) == ["a"]


def test_folders_deeper_than_the_interpreter_calls_are_looked_through_and_removed(
    claims: RenameClaims, inbox: Path
) -> None:
    batch = claim_all(claims, drop(inbox, "a"))
    fd = os.open(claims.where(batch), os.O_RDONLY)
    for _ in range(200):  # what a script unpacked beside its input
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        assert len(claims.remains()[batch.batch_id]) == 2
        claims.release(batch)
        assert len(claims.prune_done(1, 10_000_000_000.0)) == 1
    finally:
        sys.setrecursionlimit(usual)
    assert tree(inbox) == []


# ---------------------------------------------------------------- who may
def test_a_planted_folder_or_link_is_refused_in_a_sentence(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (inbox / ".scorewatch").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ScorewatchError) as caught:
        RenameClaims(inbox, "d-1")
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with pytest.raises(ScorewatchError, match="not there"):
        RenameClaims(tmp_path / "missing", "d-1")
