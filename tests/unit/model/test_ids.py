from __future__ import annotations

import pytest

from scorewatch.model import ids

ENTROPY = bytes(range(10))
ROOT = "20261122T213741Z-00010203040506070809"


def test_an_id_is_when_it_was_made_and_eighty_random_bits() -> None:
    assert ids.make("20261122T213741Z", ENTROPY) == ROOT
    assert ids.is_batch_id(ROOT)
    assert ids.sealed_date(ROOT) == "2026-11-22"
    with pytest.raises(ValueError, match="10 random bytes"):
        ids.make("20261122T213741Z", b"short")


def test_halves_derive_from_their_parent_and_lead_back_to_it() -> None:
    first, second = ids.halves(ROOT)
    assert (first, second) == (ROOT + "a", ROOT + "b")
    deep = ids.halves(second)[0]
    assert ids.is_batch_id(deep)
    assert ids.parent_of(deep) == second
    assert ids.parent_of(ROOT) is None
    assert {ids.root_of(each) for each in (ROOT, first, deep)} == {ROOT}
    assert ids.sealed_date(deep) == "2026-11-22"


@pytest.mark.parametrize(
    "name", ["", "done", ROOT + "c", ROOT + "a/..", ROOT[:-1], "x" + ROOT, ROOT + "\n", ROOT[:-1] + "G"]
)
def test_other_names_are_no_ids(name: str) -> None:
    assert not ids.is_batch_id(name)
