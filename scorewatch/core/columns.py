"""The output schema of a deployment: which columns there are, and the type that each keeps.

The first type of a column wins, so that two workers can't disagree and a day's files read as one table.
"""

from __future__ import annotations

Columns = tuple[tuple[str, str], ...]

MOST = 2000  #: columns that are kept; a script that invents new ones for ever must not grow every order without end
ROOM = 200_000  #: characters of all names and types: a script may take them from what strangers wrote


def grow(schema: Columns, asked: Columns) -> Columns:
    """The columns of `asked` that `schema` lacks, in their order, each once, as far as there is room for them."""
    seen = {name for name, _ in schema}
    room = ROOM - sum(len(name) + len(kind) for name, kind in schema)
    new: list[tuple[str, str]] = []
    for name, kind in asked:
        takes = len(name) + len(kind)
        if name not in seen and takes <= room and len(schema) + len(new) < MOST:
            seen.add(name)
            room -= takes
            new.append((name, kind))
    return tuple(new)
