"""A decision in the making: what is to be recorded, and what is to be done after that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorewatch.model.decisions import NOTHING, Action, Decision

if TYPE_CHECKING:
    from scorewatch.model.records import Record


@dataclass(frozen=True, slots=True)
class Instant:
    """Now, on two clocks."""

    mono: float  #: seconds, for durations and deadlines
    wall: float  #: seconds since 1970, UTC, for what people read


class Draft:
    """Collects records and actions while one event is dealt with, at one instant."""

    def __init__(self, now: Instant) -> None:
        self.now = now
        self._records: list[Record] = []
        self._actions: list[Action] = []

    def record(self, record: Record) -> None:
        """To be committed before any of the actions starts."""
        self._records.append(record)

    def act(self, action: Action) -> None:
        """To be done once the records are durable."""
        self._actions.append(action)

    def decision(self) -> Decision:
        """The finished decision."""
        if not self._records and not self._actions:
            return NOTHING
        return Decision(tuple(self._records), tuple(self._actions))
