from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.outbox.durable import umask
from scorewatch.outbox.outbox import Outbox
from scorewatch.outbox.publish import OutputRefusedError

ID = "20261122T213741Z-8f0c2a6b1d3e4f5a6b7c"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_output_appears_whole_under_the_day_of_its_id(story: Any) -> None:
    place = story.publish({"predictions.parquet": b"PAR1", "_files/deep/x.png": b"png"})
    assert place == story.root / "batches" / "sealed_date=2026-11-22" / ID
    found = tree(place)
    manifest = json.loads(found.pop("_manifest.json"))
    assert found == {"predictions.parquet": b"PAR1", "_files/deep/x.png": b"png"}
    assert manifest == story.outbox.manifest(ID)
    assert manifest["files"][1] == {"path": "b/\udcff.csv", "size_bytes": 11, "mtime_ns": 112, "ctime_ns": 223}
    assert list((story.root / ".staging" / "1700000000-3").iterdir()) == []


def test_no_output_no_manifest(story: Any) -> None:
    assert story.outbox.manifest(ID) is None


def test_publishing_again_drops_the_second_and_keeps_the_first(story: Any) -> None:
    place = story.publish({"predictions.parquet": b"one"})
    before = tree(place)
    assert story.publish({"predictions.parquet": b"another"}) == place
    assert tree(place) == before
    assert list((story.root / ".staging" / "1700000000-3").iterdir()) == []


def test_publishing_again_with_nothing_left_in_staging_is_done_already(story: Any) -> None:
    staged = story.stage()
    manifest = story.manifest(staged)
    story.outbox.publish(ID, str(staged), manifest)
    story.outbox.publish(ID, str(staged), manifest)
    assert len(list((story.root / "batches").rglob("_manifest.json"))) == 1


def test_a_lost_staging_without_an_output_is_no_success(story: Any) -> None:
    staged = story.stage()
    manifest = story.manifest(staged)
    (staged / "predictions.parquet").unlink()
    staged.rmdir()
    with pytest.raises(FileNotFoundError):
        story.outbox.publish(ID, str(staged), manifest)


@pytest.mark.parametrize("foreign", ["other files", "no manifest", "garbage", "a file", "a symlink"])
def test_a_foreign_output_is_never_overwritten_and_stops_the_service(story: Any, foreign: str, tmp_path: Path) -> None:
    place = story.outbox.place(ID)
    place.parent.mkdir(parents=True)
    if foreign == "a file":
        place.write_bytes(b"mine")
    elif foreign == "a symlink":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        (place / "treasure").write_bytes(b"mine")
        texts = {"other files": json.dumps({"files": []}), "garbage": '{"files": 7', "no manifest": None}
        if texts[foreign] is not None:
            (place / "_manifest.json").write_text(str(texts[foreign]))
    before = tree(place.parent)
    with pytest.raises(ScorewatchError, match="not made of these files") as caught:
        story.publish()
    assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE
    assert tree(place.parent) == before
    assert list((tmp_path / "elsewhere").iterdir() if foreign == "a symlink" else []) == []


def test_a_symlinked_staging_is_refused(story: Any, tmp_path: Path) -> None:
    real = story.stage()
    manifest = story.manifest(real)
    elsewhere = tmp_path / "elsewhere"
    real.rename(elsewhere)
    real.symlink_to(elsewhere)
    with pytest.raises(OutputRefusedError, match="symlink"):
        story.outbox.publish(ID, str(real), manifest)
    worker = real.parent
    real.unlink()
    elsewhere.rename(tmp_path / real.name)
    worker.rmdir()
    worker.symlink_to(tmp_path)
    with pytest.raises(OutputRefusedError, match="symlink"):
        story.outbox.publish(ID, str(real), manifest)
    assert not story.outbox.place(ID).exists()
    assert (tmp_path / real.name / "predictions.parquet").read_bytes() == b"PAR1"


@pytest.mark.parametrize("path", ["/etc", "{root}/.staging", "{root}/.staging/../batches/x", "{root}/.staging/a/b/c"])
def test_a_staging_elsewhere_is_refused(story: Any, path: str) -> None:
    manifest = story.manifest(story.stage())
    with pytest.raises(OutputRefusedError, match="its own staging folder"):
        story.outbox.publish(ID, path.format(root=story.root), manifest)


def plant(staged: Path, what: str) -> None:
    (staged / "predictions.parquet").write_bytes(b"PAR1 and more") if what == "grown" else None
    (staged / "late.txt").write_bytes(b"x") if what == "unlisted" else None
    (staged / "predictions.parquet").unlink() if what in {"missing", "symlink", "fifo"} else None
    (staged / "predictions.parquet").symlink_to("/etc/passwd") if what == "symlink" else None
    os.mkfifo(staged / "predictions.parquet") if what == "fifo" else None
    (staged / "_files").symlink_to("/etc") if what == "folder link" else None
    (staged / "_manifest.json").mkdir() if what == "manifest folder" else None
    (staged / "/".join("d" * 1 for _ in range(60))).mkdir(parents=True) if what == "deep" else None


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("grown", "has changed"),
        ("unlisted", "not there when run"),
        ("missing", "is missing"),
        ("symlink", "neither a file nor a folder"),
        ("fifo", "neither a file nor a folder"),
        ("folder link", "neither a file nor a folder"),
        ("manifest folder", "made a folder named _manifest.json"),
        ("deep", "nested deeper"),
    ],
)
def test_what_differs_from_the_receipt_is_refused(story: Any, what: str, words: str) -> None:
    staged = story.stage()
    manifest = story.manifest(staged)
    plant(staged, what)
    with pytest.raises(OutputRefusedError, match=words):
        story.outbox.publish(ID, str(staged), manifest)
    assert not story.outbox.place(ID).exists()


def test_a_script_that_writes_our_manifest_is_told(story: Any) -> None:
    with pytest.raises(OutputRefusedError, match="scorewatch's own"):
        story.publish({"_manifest.json": b"{}"})


def test_a_manifest_left_by_an_earlier_try_is_replaced(story: Any, tmp_path: Path) -> None:
    staged = story.stage()
    manifest = story.manifest(staged)
    (tmp_path / "outside").write_text("untouched")
    (staged / "_manifest.json").symlink_to(tmp_path / "outside")
    with pytest.raises(OutputRefusedError):
        story.outbox.publish(ID, str(staged), manifest)
    (staged / "_manifest.json").unlink()
    (staged / "_manifest.json").write_text('{"torn')
    story.outbox.publish(ID, str(staged), manifest)
    assert story.outbox.manifest(ID) == json.loads(json.dumps(manifest))
    assert (tmp_path / "outside").read_text() == "untouched"


def test_private_and_executable_files_become_readable_as_the_umask_says(story: Any) -> None:
    staged = story.stage({"predictions.parquet": b"P", "_files/tool": b"x"})
    (staged / "predictions.parquet").chmod(0o000)
    (staged / "_files" / "tool").chmod(0o4777)
    (staged / "_files").chmod(0o500)
    story.outbox.publish(ID, str(staged), story.manifest(staged))
    place, mask = story.outbox.place(ID), story.outbox._publisher._mask
    modes = {str(p.relative_to(place)): stat.S_IMODE(p.stat().st_mode) for p in place.rglob("*")}
    assert modes.pop("_files") == 0o777 & ~mask
    assert set(modes.values()) == {0o666 & ~mask}


def test_the_umask_is_read_as_it_is() -> None:
    before = os.umask(0o027)
    try:
        assert umask() == 0o027
    finally:
        os.umask(before)


def test_nothing_is_published_through_a_symlinked_day(story: Any, tmp_path: Path) -> None:
    (story.root / "batches" / "sealed_date=2026-11-22").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        story.publish()
    assert not (tmp_path / ID).exists()


def test_an_unmounted_outbox_is_not_made_again(story: Any) -> None:
    staged = story.stage()
    manifest = story.manifest(staged)
    story.root.rename(story.root.with_name("away"))
    story.root.mkdir()
    with pytest.raises(FileNotFoundError):
        story.outbox.publish(ID, str(staged), manifest)
    assert list(story.root.iterdir()) == []


def test_a_short_write_is_finished(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    story.publish()
    assert story.outbox.manifest(ID)["batch_id"] == ID


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "mkdir"])
def test_a_failing_disk_leaves_nothing_visible_and_the_next_try_works(
    story: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    staged = story.stage()
    manifest = story.manifest(staged)

    def fails(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fails)
        with pytest.raises(OSError, match="No space"):
            story.outbox.publish(ID, str(staged), manifest)
    assert not story.outbox.place(ID).exists()
    story.outbox.publish(ID, str(staged), manifest)
    assert story.outbox.manifest(ID) is not None


class Fsyncs:
    """Notes which paths are fsynced, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.seen: list[str] = []
        real = os.fsync

        def fsync(fd: int) -> None:
            self.seen.append(str(Path(f"/proc/self/fd/{fd}").readlink()).removeprefix(f"{root}/"))
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)

    def take(self) -> list[str]:
        seen, self.seen = self.seen, []
        return seen


def test_power_syncs_each_thing_once_and_in_order(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fsyncs = Fsyncs(monkeypatch, story.root)
    staged = story.stage()
    inside = str(staged.relative_to(story.root))
    story.outbox.publish(ID, str(staged), story.manifest(staged))
    assert fsyncs.take() == [f"{inside}/_manifest.json", inside]
    other = ID[:-1] + "d"
    again = story.stage()
    story.outbox.publish(other, str(again), story.manifest(again, story.batch(other)))
    fsyncs.take()
    story.outbox.sync()
    assert fsyncs.take() == ["batches", "batches/sealed_date=2026-11-22"]
    story.outbox.sync()
    assert fsyncs.take() == []


def test_an_output_that_a_killed_daemon_left_is_synced_when_it_is_recognised(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.publish()
    after_the_crash = Outbox.open(story.root)
    fsyncs = Fsyncs(monkeypatch, story.root)
    assert after_the_crash.manifest(ID) is not None
    after_the_crash.sync()
    assert fsyncs.take() == ["batches", "batches/sealed_date=2026-11-22"]


def test_the_outboxs_own_folders_are_durable_from_the_start(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fsyncs = Fsyncs(monkeypatch, story.root.parent)
    Outbox.open(story.root)
    assert fsyncs.take() == ["outbox"]


def test_a_failed_sync_is_owed_still(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    story.publish()
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
        with pytest.raises(OSError, match="I/O error"):
            story.outbox.sync()
    fsyncs = Fsyncs(monkeypatch, story.root)
    story.outbox.sync()
    assert fsyncs.take() == ["batches", "batches/sealed_date=2026-11-22"]


def test_process_syncs_nothing(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fsyncs = Fsyncs(monkeypatch, story.root)
    story.outbox = Outbox.open(story.root, "process")
    story.publish()
    story.outbox.sync()
    story.outbox.summarise([{"batch_id": ID}])
    assert fsyncs.take() == []


def test_an_output_swapped_between_look_and_rename_is_taken_back(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = story.stage()
    manifest = story.manifest(staged)
    real = os.rename

    def swapping(source: str, target: str, **fds: int) -> None:
        real(staged, staged.with_name("hidden"))
        staged.mkdir()
        (staged / "predictions.parquet").write_bytes(b"evil")
        real(source, target, **fds)

    monkeypatch.setattr(os, "rename", swapping)
    with pytest.raises(OutputRefusedError, match="exchanged"):
        story.outbox.publish(ID, str(staged), manifest)
    assert not story.outbox.place(ID).exists()


def test_an_outbox_spelled_through_a_symlink_takes_both_spellings(story: Any, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(story.root)
    story.outbox = Outbox.open(link)
    staged = story.stage()
    spelled = str(staged).replace(str(story.root), str(link))
    story.outbox.publish(ID, spelled, story.manifest(staged))
    assert story.outbox.manifest(ID) is not None


def test_every_visible_manifest_is_listed(story: Any) -> None:
    story.publish()
    (story.root / "batches" / "sealed_date=2026-11-22" / "notes").mkdir()
    assert [found["batch_id"] for found in story.outbox.manifests()] == [ID]


def test_an_outbox_that_is_no_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "batches").write_text("a file in its place")
    for where in (tmp_path / "missing", tmp_path):
        with pytest.raises(ScorewatchError, match="can't be used") as caught:
            Outbox.open(where)
        assert caught.value.exit_code is ExitCode.FOLDER_UNUSABLE


def test_what_the_receipt_could_not_name_is_counted(story: Any) -> None:
    staged = story.stage(dict.fromkeys("abcd", b"x"))
    manifest = story.manifest(staged)
    manifest = {**manifest, "outputs": manifest["outputs"][:1], "outputs_unlisted": 3}
    with pytest.raises(OutputRefusedError, match="1 files are missing"):
        story.outbox.publish(ID, str(staged), {**manifest, "outputs_unlisted": 4})
    with pytest.raises(OutputRefusedError, match="lies beside"):
        story.outbox.publish(ID, str(staged), {**manifest, "outputs_unlisted": 2})
    story.outbox.publish(ID, str(staged), manifest)
    assert story.outbox.manifest(ID)["outputs_unlisted"] == 3
