"""Quarantine: the record first, then the files; and the way back, never over anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorewatch.inbox.aside import PutBack
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.files import Observation

if TYPE_CHECKING:
    from scorewatch.inbox.claim import RenameClaims


def claimed(claims: RenameClaims, inbox: Path, **contents: str) -> MiniBatch:
    names = [name.replace("__", "/") for name in contents]
    for name, content in zip(names, contents.values(), strict=True):
        (inbox / name).parent.mkdir(exist_ok=True, parents=True)
        (inbox / name).write_text(content)
    return take(claims, *names)


def take(claims: RenameClaims, *names: str) -> MiniBatch:
    batch_id, got, _, _ = claims.claim([Observation(name) for name in names])
    assert len(got) == len(names)
    return MiniBatch(
        batch_id=batch_id, files=got, total_bytes=0, sealed_because=SealReason.FILES, sealed_at=0.0, tries=1
    )


def test_files_are_set_aside_with_their_record(claims: RenameClaims, inbox: Path) -> None:
    batch = claimed(claims, inbox, s__a="1", b="2")
    claims.set_aside(batch, {"message": "boom", "odd": "\udcff"})
    claims.set_aside(batch, {"message": "boom again"})
    folder = inbox / ".scorewatch/quarantine" / batch.batch_id
    assert (folder / "s/a").read_text() == "1"
    assert json.loads((folder / "_error.json").read_text())["message"] == "boom again"
    listed = list(claims.quarantined())
    assert sorted(relpath for _, relpath, _ in listed) == ["b", "s/a"]
    assert {group for group, _, _ in listed} == {batch.batch_id}
    assert claims.remains() == {}


def test_the_record_is_there_before_the_first_file_moves(
    claims: RenameClaims, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = claimed(claims, inbox, a="1")
    monkeypatch.setattr(claims, "_move_files", lambda *_: (_ for _ in ()).throw(OSError(5, "no")))
    with pytest.raises(OSError, match="no"):
        claims.set_aside(batch, {"message": "boom"})
    assert (inbox / ".scorewatch/quarantine" / batch.batch_id / "_error.json").exists()
    assert (Path(claims.where(batch)) / "a").exists()


def test_half_a_record_of_a_daemon_that_died_does_not_stay_among_the_files(claims: RenameClaims, inbox: Path) -> None:
    batch = claimed(claims, inbox, a="1")
    folder = inbox / ".scorewatch/quarantine" / batch.batch_id
    folder.mkdir(parents=True)
    (folder / ".0123456789abcdef.tmp").write_text('{"mess')
    claims.set_aside(batch, {"message": "boom"})
    assert [relpath for _, relpath, _ in claims.quarantined()] == ["a"]
    assert sorted(path.name for path in folder.iterdir()) == ["_error.json", "a"]


def test_inputs_named_like_the_record_are_inputs(claims: RenameClaims, inbox: Path) -> None:
    (inbox / "_error.json").write_text('{"record_of": "guessed"}')
    (inbox / "_error-1.json").write_text("[]")
    batch = take(claims, "_error.json", "_error-1.json")
    claims.set_aside(batch, {"message": "boom"})
    listed = list(claims.quarantined())
    assert sorted(relpath for _, relpath, _ in listed) == ["_error-1.json", "_error.json"]
    assert all(record["message"] == "boom" for _, _, record in listed)
    assert all(not result.message for result in claims.quarantine.put_back())
    assert (inbox / "_error.json").read_text() == '{"record_of": "guessed"}'
    assert list((inbox / ".scorewatch/quarantine").iterdir()) == []


def test_everything_goes_back_and_the_record_goes_last(claims: RenameClaims, inbox: Path) -> None:
    batch = claimed(claims, inbox, s__a="1", b="2")
    claims.set_aside(batch, {})
    (inbox / "s").rmdir()
    results = claims.quarantine.put_back(relpaths=["s/a"])
    assert results == [PutBack(batch.batch_id, "s/a")]
    assert (inbox / "s/a").read_text() == "1"
    assert (inbox / ".scorewatch/quarantine" / batch.batch_id / "_error.json").exists()
    claims.quarantine.put_back(batch.batch_id)
    assert (inbox / "b").read_text() == "2"
    assert list((inbox / ".scorewatch/quarantine").iterdir()) == []


def test_nothing_in_the_inbox_is_ever_replaced(claims: RenameClaims, inbox: Path, tmp_path: Path) -> None:
    batch = claimed(claims, inbox, a="old", s__b="old")
    claims.set_aside(batch, {})
    (inbox / "a").write_text("new")
    (inbox / "s").rmdir()
    (inbox / "s").symlink_to(tmp_path)
    messages = {result.relpath: result.message for result in claims.quarantine.put_back()}
    assert "is in the inbox" in messages["a"]
    assert messages["s/b"]
    assert (inbox / "a").read_text() == "new"
    assert not (tmp_path / "b").exists()
    assert len(list(claims.quarantined())) == 2


def test_of_several_of_one_name_the_latest_goes_back(claims: RenameClaims, inbox: Path) -> None:
    ids = []
    for content in ("first", "second"):
        batch = claimed(claims, inbox, a=content)
        claims.set_aside(batch, {})
        ids.append(batch.batch_id)
    latest = max(ids)
    expected = (inbox / ".scorewatch/quarantine" / latest / "a").read_text()
    assert claims.quarantine.put_back(relpaths=["a", "never"]) == [
        PutBack(latest, "a"),
        PutBack("", "never", "it is not in quarantine"),
    ]
    assert (inbox / "a").read_text() == expected


def test_of_a_shared_inbox_a_deployment_gets_its_own_back_only(claims: RenameClaims, inbox: Path) -> None:
    for name, deployment in (("ours", "digits"), ("theirs", "letters"), ("unsigned", "")):
        record = {"message": "boom", **({"deployment": deployment} if deployment else {})}
        claims.set_aside(claimed(claims, inbox, **{name: "1"}), record)
    back = claims.quarantine.put_back(deployment="digits")
    assert sorted(each.relpath for each in back) == ["ours", "unsigned"]
    assert [relpath for _, relpath, _ in claims.quarantined()] == ["theirs"]
