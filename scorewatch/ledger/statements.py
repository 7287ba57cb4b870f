"""The SQL of the ledger: statements read from `queries.sql` by their names, and the steps of its schema."""

from __future__ import annotations

import re
from importlib import resources

#: The schema's steps, oldest first; `user_version` counts those that a file has been through.
STEPS = ("schema.sql",)
VERSION = len(STEPS)
APPLICATION_ID = 0x5C02E7C4  # says in the file's header whose it is

_HEADING = re.compile(r"^-- (\w+) --$", re.MULTILINE)


def text(name: str) -> str:
    """One of the SQL files beside this module."""
    return resources.files("scorewatch.ledger").joinpath(name).read_text(encoding="utf-8")


def parse(sql: str) -> dict[str, str]:
    """Statements by name: each begins with a line `-- name --` and ends where the next begins.

    Raises:
        ValueError: where a name stands twice.
    """
    pieces = _HEADING.split(sql)
    names = pieces[1::2]
    if len(set(names)) != len(names):
        raise ValueError("a statement's name stands twice")
    return {name: body.strip() for name, body in zip(names, pieces[2::2], strict=True)}


SQL = parse(text("queries.sql"))
