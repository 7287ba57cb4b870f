"""Tests as histories: which files came, what was wrong with them, and what became of each, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from scorewatch.model.events import RemainsFound
from scorewatch.model.policy import BatchLimits, CrewLimits, Policy, RetryLimits
from scorewatch.testing.disk import Drop
from scorewatch.testing.luck import CrashError, Luck, Run, as_the_files_are
from scorewatch.testing.outbox import Output
from scorewatch.testing.world import World

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from scorewatch.model.decisions import Decision, RunBatch
    from scorewatch.model.events import Event

_T = TypeVar("_T")


@dataclass
class _Told(Luck):
    """Luck that a story tells: files that take the machine down with them, and runs that go otherwise."""

    fatal: Collection[str]
    runs: Mapping[int, Run]
    names: Mapping[int, tuple[str, Drop]]
    count: int = 0

    def run(self, order: RunBatch, files: tuple[Drop, ...]) -> Run:
        del order
        if any(self.names[file.uid][0] in self.fatal for file in files):
            self.interruptions += 1
            raise CrashError(power=True)
        self.count += 1
        return self.runs.get(self.count) or as_the_files_are(files)


class History:
    """A story to be played once.

    Args:
        files: names, in the order in which they are dropped, all at once.
        deadly: of those, the ones that kill their worker.
        raising: … that make run() raise.
        hanging: … that make run() hang.
        fatal: … that take the whole machine down.
        batch_size: files in a batch.
        max_attempts: of a batch that came from the inbox.
        workers: how many.
        bisect: whether batches that failed are halved.
        runs: how the n-th run() goes, counted from 1, where the files themselves don't say.
        policy: all the rest; the arguments above win.
    """

    def __init__(
        self,
        files: Sequence[str],
        *,
        deadly: Collection[str] = (),
        raising: Collection[str] = (),
        hanging: Collection[str] = (),
        fatal: Collection[str] = (),
        batch_size: int = 10,
        max_attempts: int = 2,
        workers: int = 1,
        bisect: bool = True,
        runs: Mapping[int, Run] | None = None,
        policy: Policy | None = None,
    ) -> None:
        base = policy or Policy()
        settled = Policy(
            batch=BatchLimits(max_files=batch_size, max_wait_s=0.1),
            retry=RetryLimits(max_retries=max_attempts - 1, run_timeout_s=5.0, bisect=bisect),
            crew=CrewLimits(slots=workers, init_timeout_s=10.0, handover_timeout_s=8.0),
            breaker=base.breaker,
            once=base.once,
            error_threshold=base.error_threshold,
            grace_s=base.grace_s,
        )
        luck = _Told(fatal, runs or {}, {})
        self.world = World(settled, luck)
        luck.names = self.world.drops
        kinds = dict.fromkeys(deadly, "kills") | dict.fromkeys(raising, "raises") | dict.fromkeys(hanging, "hangs")
        for name in files:
            self.world.drop(name, kinds.get(name, "good"))

    def play(self) -> None:
        """Until nothing is left to be done."""
        try:
            self.world.run()
        finally:
            self.states = self.world.ledger.every_state()
            self.world.close()

    # ------------------------------------------------------------ what became of them
    @property
    def batches(self) -> list[tuple[str, ...]]:
        """The names in each output, in the order of their batches."""
        values = [value for path, value in sorted(self.world.disk.names.items()) if path.startswith("batches/")]
        manifests = [value.manifest or {} for value in values if isinstance(value, Output)]
        return [tuple(file["path"] for file in manifest["files"]) for manifest in manifests]

    @property
    def committed(self) -> Counter[str]:
        """How often each file is in an output."""
        return Counter(name for names in self.batches for name in names)

    @property
    def quarantined(self) -> Counter[str]:
        """How often each file is in quarantine."""
        return Counter(
            path.rpartition("/")[2]
            for path, value in self.world.disk.names.items()
            if path.startswith("quarantine/") and isinstance(value, Drop)
        )

    @property
    def decisions(self) -> list[tuple[Event, Decision]]:
        """Every event, and what was decided about it."""
        return [(what, said) for _, what, said in self.world.timeline if hasattr(said, "records")]  # type: ignore[misc]

    def actions(self, kind: type[_T]) -> list[_T]:
        """All actions of a kind that were decided."""
        return [action for _, said in self.decisions for action in said.actions if isinstance(action, kind)]

    def runs(self) -> int:
        """How often run() was called and came to an end of some kind."""
        return sum(type(what).__name__ == "BatchStarted" for what, _ in self.decisions)

    def starts(self) -> int:
        """How often the service started."""
        return sum(isinstance(what, RemainsFound) for what, _ in self.decisions)
