"""The files that are there and not whole yet: what was seen of each, and when to look again."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

from scorewatch.core.readiness import Wait, remember
from scorewatch.inbox.moves import split

if TYPE_CHECKING:
    from scorewatch.core.readiness import Look, Readiness, Story, Verdict

_PROBES_A_SECOND = 2000.0  # at most so many looks at files that wait, however many there are


class Settling:
    """A book with room for so many files; those beyond it are found again by a later sweep."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._stories: dict[str, Story] = {}
        self._next: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []
        self._folders: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._stories)

    def __contains__(self, relpath: str) -> bool:
        return relpath in self._stories

    @property
    def full(self) -> bool:
        """Whether no more can be noted."""
        return len(self._stories) >= self._most

    def any_in(self, folder: str) -> bool:
        """Whether files of a folder are settling."""
        return self._folders[folder] > 0

    def few(self, most: int = 10) -> tuple[str, ...]:
        """Some of them, the longest known first."""
        return tuple(relpath for relpath, _ in zip(self._stories, range(most), strict=False))

    def judge(self, relpath: str, look: Look, readiness: Readiness) -> Verdict:
        """The verdict with this look; noted if it is to wait, forgotten if not."""
        story = remember(self._stories.get(relpath), look)
        verdict = readiness.judge(story, look.at)
        if isinstance(verdict, Wait):
            self._note(relpath, story, max(verdict.until, look.at + len(self._stories) / _PROBES_A_SECOND))
        else:
            self.forget(relpath)
        return verdict

    def _note(self, relpath: str, story: Story, until: float) -> None:
        if relpath not in self._stories:
            if self.full:
                return
            self._folders[split(relpath)[0]] += 1
        self._stories[relpath] = story
        self._next[relpath] = until
        heapq.heappush(self._due, (until, relpath))

    def forget(self, relpath: str) -> None:
        """It is not there any more, or it is offered."""
        if self._stories.pop(relpath, None) is None:
            return
        del self._next[relpath]
        folder = split(relpath)[0]
        self._folders[folder] -= 1
        if not self._folders[folder]:
            del self._folders[folder]

    def next_due(self) -> float | None:
        """When the next one is to be looked at; None: none."""
        while self._due and self._next.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due(self, now: float, most: int = 256) -> list[str]:
        """Those to be looked at now."""
        found: list[str] = []
        while len(found) < most:
            at = self.next_due()
            if at is None or at > now:
                break
            found.append(heapq.heappop(self._due)[1])
        return found
