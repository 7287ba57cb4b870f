"""What `doctor` finds: each a sentence, how bad it is, and the line that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str  #: what was looked at: "inbox", "kernel", "workers" …
    level: Level
    what: str
    mend: str = ""  #: a command, a line of a unit, or of the configuration


def ok(about: str, what: str) -> Finding:
    """It is as it should be."""
    return Finding(about, "ok", what)


def warn(about: str, what: str, mend: str) -> Finding:
    """It works, and it will hurt one day."""
    return Finding(about, "warn", what, mend)


def bad(about: str, what: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(about, "bad", what, mend)
