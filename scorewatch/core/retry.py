"""Who pays for a failure: again, in halves, or aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from scorewatch.model.outcomes import BLAMES_NO_FILE, FailureKind

if TYPE_CHECKING:
    from scorewatch.model.batches import MiniBatch
    from scorewatch.model.outcomes import Failure
    from scorewatch.model.policy import RetryLimits

HALVE_AFTER_INTERRUPTIONS = 3
SET_ASIDE_AFTER_INTERRUPTIONS = 5
SIGKILL = 9
SET_ASIDE_AFTER_KILLS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class TryAgain:
    """Once more, after a pause in seconds."""

    pause_s: float
    costs_attempt: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitInHalves:
    """In halves, each with so many tries of its own."""

    tries: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """To quarantine."""


Verdict: TypeAlias = TryAgain | SplitInHalves | SetAside


def judge(batch: MiniBatch, failure: Failure, limits: RetryLimits) -> Verdict:
    """Again, in halves, or aside: the whole retry policy is these lines.

    Where a failure is nobody's fault the attempt does not count. A batch that was interrupted three times in
    a row is halved without blame all the same, and a file alone is set aside after five, for a file that takes
    the machine down with it is never caught raising anything.
    """
    if failure.kind in BLAMES_NO_FILE:
        return _judge_interrupted(batch, limits)
    if failure.kind is FailureKind.INPUT_CHANGED and batch.attempt <= limits.max_retries:
        return TryAgain(pause_s=_pause(batch.attempt, limits), costs_attempt=True)
    if batch.attempt < batch.tries:
        return TryAgain(pause_s=_pause(batch.attempt, limits), costs_attempt=True)
    if len(batch.files) > 1 and limits.bisect:
        return SplitInHalves(tries=1)
    if _may_be_innocent(failure) and batch.attempt < SET_ASIDE_AFTER_KILLS:
        return TryAgain(pause_s=_pause(batch.attempt, limits), costs_attempt=True)
    return SetAside()


def _may_be_innocent(failure: Failure) -> bool:
    """SIGKILL comes from outside: from the kernel when memory is short, or from somebody; once says little."""
    return failure.kind is FailureKind.WORKER_DIED and failure.signal == SIGKILL


def is_suspect(batch: MiniBatch) -> bool:
    """Whether a batch was interrupted so often that it must be seen alone before it is set aside for that."""
    return len(batch.files) == 1 and batch.interruptions >= HALVE_AFTER_INTERRUPTIONS


def _judge_interrupted(batch: MiniBatch, limits: RetryLimits) -> Verdict:
    if len(batch.files) > 1:
        if batch.interruptions >= HALVE_AFTER_INTERRUPTIONS and limits.bisect:
            return SplitInHalves(tries=1 + limits.max_retries)
    elif batch.interruptions >= SET_ASIDE_AFTER_INTERRUPTIONS:
        return SetAside()
    return TryAgain(pause_s=_pause(batch.interruptions, limits), costs_attempt=False)


def _pause(failures: int, limits: RetryLimits) -> float:
    """Seconds before the next try: doubled for each failure, up to a ceiling."""
    return float(min(limits.longest_delay_s, limits.first_delay_s * 2 ** max(failures - 1, 0)))
