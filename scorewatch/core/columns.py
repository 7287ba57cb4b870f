"""The output schema of a deployment: which columns there are, and the type that each keeps.

The first type of a column wins, so that two workers can't disagree and a day's files read as one table.
"""

from __future__ import annotations

Columns = tuple[tuple[str, str], ...]


def grow(schema: Columns, asked: Columns) -> Columns:
    """The columns of `asked` that `schema` lacks, in their order, each once."""
    known = {name for name, _ in schema}
    new: dict[str, str] = {}
    for name, kind in asked:
        if name not in known:
            new.setdefault(name, kind)
    return tuple(new.items())
