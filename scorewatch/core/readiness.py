"""Whether a name in the inbox is an input at all, and whether it is whole yet.

Opens nothing and holds no clock: the caller looks, and says when it looked.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from scorewatch.model.files import Observation, RefusalReason

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What uploaders write to before they rename. Names with a dot first (`.nfs*`, `.~lock*`, rsync's) are ignored anyway.
TEMPORARY = ("*.tmp", "*.part", "*.filepart", "*.crdownload", "*.swp", "*~")

POLL_SETTLE_S = 2.0  #: where no lease answers: two looks at least this far apart (file systems with 2 s timestamps)
EMPTY_SETTLE_S = 2.0  #: `touch x`, then `>> x`, is common: an empty file gets this long to become one with content
FIRST_PAUSE_S = 0.05  #: before a busy file is probed again; doubled each time …
LONGEST_PAUSE_S = 1.0  #: … up to this


# ---------------------------------------------------------------- names
@dataclass(frozen=True, slots=True)
class Candidate:
    """A name that may be an input."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """Not an input: silently, by its name, or with a reason for which it is to be skipped and listed."""

    rule: str  #: the pattern, or a sentence for a human
    reason: RefusalReason | None = None


CANDIDATE = Candidate()


class NameRules:
    """Which names are inputs.

    Args:
        include: shell patterns; a name must match one, by its base name or by its path relative to the inbox.
        exclude: patterns of names that are passed over.
        temporary: endings and patterns of names that are still being written; matched on the base name.
    """

    def __init__(
        self,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        temporary: Sequence[str] = TEMPORARY,
    ) -> None:
        self._endings = tuple(p[1:] for p in temporary if p.startswith("*") and not _has_magic(p[1:]))
        self._temporary = _compile([p for p in temporary if not p.startswith("*") or _has_magic(p[1:])])
        self._include = None if "*" in include else _compile(include)
        self._exclude = _compile(exclude)
        self._patterns = (tuple(exclude), tuple(temporary))

    def keeps(self, base: str, relpath: str) -> bool:
        """Whether `relpath`, of which `base` is the last part, is a candidate: `judge_name` for a whole folder.

        The folder itself is taken for judged: only the last part is looked at for a leading dot.
        """
        if base[0] == "." or base.endswith(self._endings):
            return False
        if self._temporary is not None and self._temporary.match(base):
            return False
        if self._exclude is not None and (self._exclude.match(base) or self._exclude.match(relpath)):
            return False
        return self._include is None or bool(self._include.match(base) or self._include.match(relpath))

    def judge_name(self, relpath: str) -> Candidate | Ignore:
        """Whether a path relative to the inbox is an input, or the rule that says it isn't."""
        parts = relpath.split("/")
        if any(part.startswith(".") for part in parts):
            return Ignore(".*")
        if self.keeps(parts[-1], relpath):
            return CANDIDATE
        exclude, temporary = self._patterns
        for pattern in temporary:
            if fnmatch.fnmatchcase(parts[-1], pattern):
                return Ignore(pattern)
        for pattern in exclude:
            if fnmatch.fnmatchcase(parts[-1], pattern) or fnmatch.fnmatchcase(relpath, pattern):
                return Ignore(pattern)
        return Ignore("include")


def _has_magic(pattern: str) -> bool:
    return any(c in pattern for c in "*?[")


def _compile(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """One expression for all patterns, as `fnmatch` understands them; None for none."""
    return re.compile("|".join(fnmatch.translate(p) for p in patterns)) if patterns else None


# ---------------------------------------------------------------- looks
class Lease(StrEnum):
    """What the kernel said when it was asked whether a writer has the file open."""

    QUIET = "quiet"
    BUSY = "busy"
    NONE = "none"  #: it can't say here: a network file system, or somebody else's file


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a file."""

    at: float  #: monotonic seconds
    seen: Observation
    lease: Lease
    marked: bool = False  #: its completion marker was there


@dataclass(frozen=True, slots=True)
class Story:
    """All looks at one file, as much of them as judgement needs."""

    first_at: float
    since: float  #: from here on, nothing that was seen changed and no writer was seen
    looks: int  #: since then
    tries: int  #: looks in all
    last: Look


def remember(story: Story | None, look: Look) -> Story:
    """The story with one more look."""
    if story is None:
        return Story(look.at, look.at, 1, 1, look)
    calm = look.lease is not Lease.BUSY and story.last.lease is not Lease.BUSY
    if calm and look.seen.same_content(story.last.seen):
        return replace(story, looks=story.looks + 1, tries=story.tries + 1, last=look)
    return replace(story, since=look.at, looks=1, tries=story.tries + 1, last=look)


@dataclass(frozen=True, slots=True)
class Ready:
    """It is whole, as far as can be known."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: look again at this time."""

    until: float  #: monotonic seconds


Verdict: TypeAlias = Ready | Wait | Ignore
READY = Ready()


class Readiness(Protocol):
    """Judges whether a file is whole; always has a ceiling."""

    def judge(self, story: Story, now: float) -> Verdict:
        """Ready, look again later, or never."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Quiet:
    """Whole is what nobody writes to any more."""

    settle_s: float = 0.0
    incomplete_s: float = 3600.0

    def judge(self, story: Story, now: float) -> Verdict:
        """By the lease where there is one, else by two looks at size, mtime and ctime."""
        last = story.last
        if last.lease is Lease.BUSY:
            return _overdue(story, now, self.incomplete_s, "a writer still has it open") or _pause(story, now)
        if last.seen.size == 0:
            until = story.since + max(self.settle_s, EMPTY_SETTLE_S)
            return Ignore("the file is empty", RefusalReason.EMPTY) if now >= until else Wait(until)
        leased = last.lease is Lease.QUIET
        until = story.since + (self.settle_s if leased else max(self.settle_s, POLL_SETTLE_S))
        # The last look must itself be late enough: time alone proves nothing about what nobody looked at.
        if last.at >= until and (leased or story.looks > 1):
            return READY
        return _overdue(story, now, self.incomplete_s, "it keeps changing") or Wait(max(until, now))


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """Whole is what a marker beside it says is whole."""

    suffix: str = ".done"
    incomplete_s: float = 3600.0

    def judge(self, story: Story, now: float) -> Verdict:
        """By the marker; a writer that still has the file open overrules it."""
        last = story.last
        if last.lease is Lease.BUSY:
            return _overdue(story, now, self.incomplete_s, "a writer still has it open") or _pause(story, now)
        if not last.marked:
            missing = f"its marker (…{self.suffix}) did not come"
            return _overdue(story, now, self.incomplete_s, missing) or _pause(story, now)
        return READY if last.seen.size else Ignore("the file is empty", RefusalReason.EMPTY)

    def marks(self, name: str) -> str | None:
        """The name that a marker is about; None: `name` is no marker."""
        if name.endswith(self.suffix) and len(name) > len(self.suffix) and name[-len(self.suffix) - 1] != "/":
            return name[: -len(self.suffix)]
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """Judges a marker whose file isn't there."""

    incomplete_s: float = 3600.0

    def judge(self, story: Story, now: float) -> Verdict:
        """Wait for the file, but not for ever."""
        if now - story.first_at >= self.incomplete_s:
            return Ignore(f"its file did not come in {self.incomplete_s:g} seconds", RefusalReason.ORPHAN_MARKER)
        return _pause(story, now)


def _overdue(story: Story, now: float, ceiling: float, why: str) -> Ignore | None:
    if now - story.first_at < ceiling:
        return None
    return Ignore(f"not complete after {ceiling:g} seconds: {why}", RefusalReason.NEVER_COMPLETED)


def _pause(story: Story, now: float) -> Wait:
    return Wait(now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(story.tries - 1, 10)))
