from __future__ import annotations

from scorewatch.core.columns import grow


def test_the_first_type_of_a_column_wins_and_each_is_named_once() -> None:
    schema = (("a", "int64"),)
    assert grow(schema, (("a", "double"), ("b", "string"), ("b", "double"), ("c", "bool"))) == (
        ("b", "string"),
        ("c", "bool"),
    )
    assert grow(schema, (("a", "string"),)) == ()
