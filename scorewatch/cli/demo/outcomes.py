"""Sees what became of the files: from the outbox alone, as any outsider can."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Outcomes:
    """What is visible so far; `look` looks again, and reads each batch's manifest once."""

    outbox: Path
    committed: Counter[str] = field(default_factory=Counter)  #: by file: how many batches list it
    set_aside: list[dict[str, Any]] = field(default_factory=list)  #: the lines of `errors/`
    _seen: set[Path] = field(default_factory=set)

    def look(self) -> int:
        """Look again, and say of how many files it is known what became of them."""
        for manifest in self.outbox.glob("batches/*/*/_manifest.json"):
            if manifest not in self._seen:
                self._seen.add(manifest)
                members = json.loads(manifest.read_text(encoding="utf-8"))["files"]
                self.committed.update(member["path"] for member in members)
        self.set_aside = [line for day in sorted(self.outbox.glob("errors/*.jsonl")) for line in _whole_lines(day)]
        return self.committed.total() + len(self.set_aside)


@dataclass(frozen=True, slots=True)
class Account:
    """Whether the sum is right: each file dropped must have come out once, as a row or set aside.

    A sum over counts, never over sets: a set can't see that a file came out twice.
    """

    lost: list[str]
    doubled: list[str]  #: what nobody dropped would stand here too

    @classmethod
    def of(cls, dropped: list[str], came_out: Counter[str]) -> Account:
        """Hold what came out against what was dropped."""
        wanted = Counter(dropped)
        return cls(lost=sorted((wanted - came_out).elements()), doubled=sorted((came_out - wanted).elements()))


def _whole_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a file that may just be growing: what stands behind the last newline isn't one yet."""
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]
