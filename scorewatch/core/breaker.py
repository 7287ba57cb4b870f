"""When to stop claiming because everything fails: a broken model must not quarantine a million good files."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from scorewatch.model.ids import root_of

if TYPE_CHECKING:
    from scorewatch.model.policy import BreakerLimits


class Breaker:
    """Closed: work flows. Open: nothing is claimed, and after each pause one batch is tried for a probe.

    A probe's failure costs its files nothing; its success closes the breaker. Where the environment opened it, a
    probe that fails by its files' doing closes it too: what was broken lets scripts run again, and a poisonous file
    that is all that is left would else be tried for ever.
    """

    def __init__(self, limits: BreakerLimits) -> None:
        self.limits = limits
        self._failed: set[str] = set()  # different root batches that failed since the last success
        self._window: deque[tuple[int, bool]] = deque()
        self.pauses = 0  # since it opened
        self.reason = ""
        self.until: float | None = None  # None: closed; else when the next probe may start
        self.probing: str | None = None  # the batch that is the probe now
        self.by_environment = False  # what opened it

    @property
    def is_open(self) -> bool:
        """Whether work is held back."""
        return self.until is not None

    def failed(self, root_id: str, why: str, now: float, *, at_once: bool = False) -> None:
        """A batch failed; `at_once`: the environment did it (or init()), and waiting for more is no use.

        While it is open only the probe's failure counts: what was under way when it opened says nothing new, and
        would make the first pause as long as the last.
        """
        if self.until is not None:
            probed = now >= self.until if self.probing is None else root_of(self.probing) == root_id
            if probed:
                self._wait(why, now)
            return
        self._failed.add(root_id)
        enough = self.limits.batches and len(self._failed) >= self.limits.batches
        if at_once:
            self.by_environment = True
            self._wait(why, now)
        elif enough:
            self._wait(f"the last {len(self._failed)} batches from different files all failed: {why}", now)

    def set_aside(self, files: int, why: str, now: float) -> None:
        """So many files went to quarantine."""
        self._count(files, good=False)
        total = sum(count for count, _ in self._window)
        bad = sum(count for count, good in self._window if not good)
        share = self.limits.window_share
        if self.limits.batches and not self.is_open and total >= self.limits.window_files and bad > share * total:
            self._wait(f"{bad} of the last {total} files were quarantined, the last because: {why}", now)

    def succeeded(self, files: int) -> None:
        """A batch was committed: whatever was wrong is over."""
        self._failed.clear()
        self._count(files, good=True)
        self.close()

    def close(self) -> None:
        """Let work flow again."""
        if self.is_open:
            self._window.clear()  # what the fault did is no evidence against the files that come after it
        self.until = None
        self.probing = None
        self.by_environment = False
        self.reason = ""
        self.pauses = 0

    def hurry(self, now: float) -> None:
        """What may have opened it is over: the next probe need not wait."""
        if self.until is not None and self.by_environment:
            self.until = min(self.until, now)

    def proves_recovery(self, batch_id: str) -> bool:
        """Whether a failure of this batch's that its files are to blame for says that the environment is well."""
        return self.by_environment and self.probing == batch_id

    def may_probe(self, now: float) -> bool:
        """Whether one batch may be tried now although the breaker is open."""
        return self.until is not None and self.probing is None and now >= self.until

    def _wait(self, why: str, now: float) -> None:
        pause = min(self.limits.longest_pause_s, self.limits.first_pause_s * 2 ** min(self.pauses, 30))
        self.pauses += 1
        self.until = now + pause
        self.probing = None
        self.reason = why
        self._failed.clear()

    def _count(self, files: int, *, good: bool) -> None:
        self._window.append((files, good))
        total = sum(count for count, _ in self._window)
        while self._window and total - self._window[0][0] >= self.limits.window_files:
            total -= self._window.popleft()[0]
