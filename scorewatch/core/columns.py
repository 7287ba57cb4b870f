"""The output schema of a deployment: which columns there are, and the type that each keeps.

The first type of a column wins, so that two workers can't disagree and a day's files read as one table.
"""

from __future__ import annotations

Columns = tuple[tuple[str, str], ...]

MOST = 2000  #: columns that are kept; a script that invents new ones for ever must not grow every order without end


def grow(schema: Columns, asked: Columns) -> Columns:
    """The columns of `asked` that `schema` lacks, in their order, each once, as far as there is room for them."""
    known = {name for name, _ in schema}
    new: dict[str, str] = {}
    for name, kind in asked:
        if name not in known:
            new.setdefault(name, kind)
    return tuple(new.items())[: max(0, MOST - len(schema))]
