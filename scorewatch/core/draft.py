"""A decision in the making: what is to be recorded, and what is to be done after that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.model.decisions import NOTHING, Action, Decision

if TYPE_CHECKING:
    from scorewatch.model.records import Record


class Draft:
    """Collects records and actions while one event is dealt with."""

    def __init__(self) -> None:
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
