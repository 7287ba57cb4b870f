"""What any kind of claims must do; both are asked the same."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scorewatch.inbox.claim import RenameClaims
from scorewatch.inbox.ledger_claims import LedgerClaims
from scorewatch.model.batches import MiniBatch, SealReason
from scorewatch.model.files import Observation
from scorewatch.model.ids import halves, is_batch_id

Claims = RenameClaims | LedgerClaims
Make = Callable[[], Claims]


def batch_of(batch_id: str, files: tuple[Observation, ...]) -> MiniBatch:
    return MiniBatch(
        batch_id=batch_id,
        files=files,
        total_bytes=sum(file.size for file in files),
        sealed_because=SealReason.FILES,
        sealed_at=0.0,
        tries=4,
    )


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture(params=["rename", "ledger"])
def make(request: pytest.FixtureRequest, inbox: Path) -> Iterator[Make]:
    made: list[Claims] = []
    ledger: set[Any] = set()

    def new() -> Claims:
        if request.param == "rename":
            made.append(RenameClaims(inbox, "digits-1"))
        else:
            made.append(LedgerClaims(inbox, lambda *key: key in ledger))
        return made[-1]

    yield new
    for claims in made:
        claims.root.close()


def drop(inbox: Path, *relpaths: str) -> list[Observation]:
    for relpath in relpaths:
        (inbox / relpath).parent.mkdir(parents=True, exist_ok=True)
        (inbox / relpath).write_bytes(os.fsencode(f"content of {relpath}"))
    return [Observation(relpath) for relpath in relpaths]


def read(claims: Claims, batch: MiniBatch) -> dict[str, str]:
    return {file.relpath: (Path(claims.where(batch)) / file.relpath).read_text() for file in batch.files}


def test_a_claim_answers_with_what_it_got_and_where_it_is(make: Make, inbox: Path) -> None:
    claims = make()
    batch_id, got, busy, vanished = claims.claim(drop(inbox, "a", "sub/deeper/b"))
    assert is_batch_id(batch_id)
    assert re.match(r"\d{8}T\d{6}Z-", batch_id)
    assert ([file.relpath for file in got], busy, vanished) == (["a", "sub/deeper/b"], [], [])
    assert all(file.quiet and file.size > 0 and file.inode for file in got)
    batch = batch_of(batch_id, got)
    assert Path(claims.where(batch)).is_absolute()
    assert read(claims, batch) == {"a": "content of a", "sub/deeper/b": "content of sub/deeper/b"}


def test_what_it_says_of_a_file_is_what_look_says_later(make: Make, inbox: Path) -> None:
    claims = make()
    batch_id, got, _, _ = claims.claim(drop(inbox, "a", "s/b"))
    batch = batch_of(batch_id, got)
    first = claims.look(batch)
    assert all(now is not None and now.same_content(then) for now, then in zip(first, got, strict=True))
    (Path(claims.where(batch)) / "a").write_text("something else")
    (Path(claims.where(batch)) / "s/b").unlink()
    changed, gone = claims.look(batch)
    assert changed is not None
    assert not changed.same_content(got[0])
    assert gone is None


def test_one_that_is_written_to_is_busy_and_one_that_is_gone_has_vanished(make: Make, inbox: Path) -> None:
    claims = make()
    files = [*drop(inbox, "a", "b"), Observation("gone"), Observation("no/folder")]
    with (inbox / "b").open("ab"):
        _, got, busy, vanished = claims.claim(files)
    assert ([file.relpath for file in got], busy, vanished) == (["a"], ["b"], ["gone", "no/folder"])
    assert (inbox / "b").exists()


def test_an_empty_file_is_not_claimed_yet(make: Make, inbox: Path) -> None:
    claims = make()
    (inbox / "empty").touch()
    _, got, busy, _ = claims.claim([Observation("empty")])
    assert (got, busy) == ((), ["empty"])
    assert (inbox / "empty").exists()


def test_nothing_is_claimed_twice(make: Make, inbox: Path) -> None:
    claims = make()
    files = drop(inbox, "a")
    first = claims.claim([*files, *files])
    second = claims.claim(files)
    assert [len(first[1]), len(second[1])] == [1, 0]


def test_links_are_neither_claimed_nor_followed(make: Make, inbox: Path, tmp_path: Path) -> None:
    claims = make()
    (tmp_path / "secret").write_text("canary")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b").write_text("canary")
    (inbox / "a").symlink_to(tmp_path / "secret")
    (inbox / "sub").symlink_to(tmp_path / "outside")
    _, got, _, _ = claims.claim([Observation("a"), Observation("sub/b")])
    assert got == ()
    assert (tmp_path / "secret").read_text() == (tmp_path / "outside/b").read_text() == "canary"


def test_the_rest_of_a_batch_s_life_can_be_repeated(make: Make, inbox: Path) -> None:
    claims = make()
    batch_id, got, _, _ = claims.claim(drop(inbox, "a", "s/b"))
    batch = batch_of(batch_id, got)
    claims.sync([batch, batch])
    left, right = halves(batch_id)
    for _ in range(2):
        claims.divide(batch, [(left, got[:1]), (right, got[1:])])
    one, two = batch_of(left, got[:1]), batch_of(right, got[1:])
    assert read(claims, one) == {"a": "content of a"}
    assert read(claims, two) == {"s/b": "content of s/b"}
    for _ in range(2):
        claims.sync([one, two])
        claims.release(one)
        claims.set_aside(two, {"message": "no"})
        claims.drop(batch_id)
    assert set(claims.remains()) <= {left}


def test_a_new_start_sees_what_stands(make: Make, inbox: Path) -> None:
    batch_id, got, _, _ = make().claim(drop(inbox, "a", "s/b"))
    again = make()
    remains = again.remains()
    if again.moves_files:
        assert {key: [file.relpath for file in files] for key, files in remains.items()} == {batch_id: ["a", "s/b"]}
        assert all(now.same_content(then) for now, then in zip(remains[batch_id], got, strict=True))
    else:
        assert remains == {}
        assert (inbox / "a").exists()


def test_odd_names_come_through_unchanged(make: Make, inbox: Path) -> None:
    names = ["x" * 255, "new\nline", "\udcff\udcfe", "-rf", "\x1b[31m", "a b", "=cmd|x", "\u202egnp.exe", "'\"", "#~#"]
    claims = make()
    _, got, busy, vanished = claims.claim(drop(inbox, *names))
    assert ([file.relpath for file in got], busy, vanished) == (names, [], [])
