"""What policy refuses is moved aside with its reason, told once, and never followed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scorewatch.inbox import moves, skipping
from scorewatch.inbox.claim import RenameClaims
from scorewatch.model.files import Refusal, RefusalReason


def refusal(relpath: str, reason: RefusalReason) -> Refusal:
    return Refusal(relpath, reason, f"it is {reason}")


def test_a_link_is_moved_as_a_link_with_the_reason_beside_it(claims: RenameClaims, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    (inbox / "s").mkdir()
    (inbox / "s/link").symlink_to(tmp_path / "secret")
    os.mkfifo(inbox / "fifo")
    skip_id, told = claims.skip([refusal("s/link", RefusalReason.SYMLINK), refusal("fifo", RefusalReason.FIFO)])
    folder = inbox / ".scorewatch/skipped" / skip_id
    assert [r.moved for r in told] == [True, True]
    assert (folder / "s/link").is_symlink()
    assert (folder / "fifo").is_fifo()
    assert (tmp_path / "secret").read_text() == "canary"
    record = json.loads((folder / "_error.json").read_text())
    assert [r["relpath"] for r in record["refusals"]] == ["s/link", "fifo"]
    assert sorted((group, relpath) for group, relpath, _ in claims.skipped()) == [
        (skip_id, "fifo"),
        (skip_id, "s/link"),
    ]


def test_what_became_a_file_in_the_meantime_is_parked_and_not_lost(claims: RenameClaims, inbox: Path) -> None:
    (inbox / "a").write_text("content")
    (inbox / "b").write_text("content")
    _, told = claims.skip([refusal("a", RefusalReason.EMPTY), refusal("b", RefusalReason.SYMLINK)])
    assert told == ()
    assert claims.parked() == ("a", "b")
    assert list((inbox / ".scorewatch/skipped").iterdir()) == []


def test_what_stays_is_told_once(claims: RenameClaims, inbox: Path) -> None:
    (inbox / "a").write_text("x")
    refusals = [refusal("a", RefusalReason.UNREADABLE)]
    assert [r.moved for r in claims.skip(refusals)[1]] == [False]
    assert claims.skip(refusals)[1] == ()
    assert (inbox / "a").exists()


def test_gone_is_not_told(claims: RenameClaims) -> None:
    assert claims.skip([refusal("gone", RefusalReason.EMPTY), refusal("no/folder", RefusalReason.FIFO)])[1] == ()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("chattr") is None, reason="needs root and chattr")
def test_an_immutable_one_stays_and_is_told_once_with_the_cause(claims: RenameClaims, inbox: Path) -> None:
    (inbox / "empty").touch()
    if subprocess.run(["chattr", "+i", inbox / "empty"], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        _, told = claims.skip([refusal("empty", RefusalReason.EMPTY)])
        again = claims.skip([refusal("empty", RefusalReason.EMPTY)])[1]
    finally:
        subprocess.run(["chattr", "-i", inbox / "empty"], check=True)
    assert [(r.moved, "not permitted" in r.detail) for r in told] == [(False, True)]
    assert again == ()
    assert list((inbox / ".scorewatch/skipped").iterdir()) == []


def test_an_input_called_like_the_record_keeps_its_name(claims: RenameClaims, inbox: Path) -> None:
    (inbox / "_error.json").symlink_to("nowhere")
    skip_id, _ = claims.skip([refusal("_error.json", RefusalReason.SYMLINK)])
    folder = inbox / ".scorewatch/skipped" / skip_id
    assert sorted(p.name for p in folder.iterdir()) == ["_error-1.json", "_error.json"]
    assert [relpath for _, relpath, _ in claims.skipped()] == ["_error.json"]


def test_only_so_many_are_remembered() -> None:
    told = skipping.Told(most=2)
    for name in "abc":
        told.add(refusal(name, RefusalReason.UNREADABLE))
    assert [told.is_new(refusal(name, RefusalReason.UNREADABLE)) for name in "abc"] == [True, False, False]


def test_an_empty_file_that_a_writer_has_open_by_now_is_parked_and_not_lost(claims: RenameClaims, inbox: Path) -> None:
    with (inbox / "s").open("w") as writer:
        _, told = claims.skip([refusal("s", RefusalReason.EMPTY)])
        writer.write("content")
    assert told == ()
    assert claims.parked() == ("s",)


def test_what_is_skipped_is_durable_with_every_folder_above_it(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = RenameClaims(inbox, "d-1")
    (inbox / "s/t").mkdir(parents=True)
    (inbox / "s/t/a").touch()
    synced: list[str] = []
    monkeypatch.setattr(moves, "sync_folder", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    skip_id, _ = claims.skip([refusal("s/t/a", RefusalReason.EMPTY)])
    meta = f"{inbox}/.scorewatch"
    folder = f"{meta}/skipped/{skip_id}"
    assert {meta, f"{meta}/skipped", folder, f"{folder}/s", f"{folder}/s/t"} <= set(synced)
    claims.root.close()
