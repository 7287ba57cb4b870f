"""The settings that judgement needs, as plain values; made by `settings`, never read from a file here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """When a mini-batch is full."""

    max_files: int = 10
    max_bytes: int | None = None
    max_wait_s: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryLimits:
    """How often a batch is tried, and what happens then."""

    max_retries: int = 3
    run_timeout_s: float = 30.0
    bisect: bool = True
    first_delay_s: float = 0.2  #: before the second attempt; doubled for each one more
    longest_delay_s: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerLimits:
    """When to stop claiming because everything fails."""

    batches: int = 10  #: this many different batches failed with no success between them; 0: never
    window_files: int = 100  #: of the last so many files …
    window_share: float = 0.8  #: … more than this share was quarantined
    first_pause_s: float = 2.0
    longest_pause_s: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CrewLimits:
    """How many workers there are, and how long they may take for what."""

    slots: int = 2
    depth: int = 2  #: batches at one worker: one that runs, one that waits there
    init_timeout_s: float = 600.0
    handover_timeout_s: float = 120.0  #: from order to START and from RAN to DONE; blames no file
    first_pause_s: float = 0.5  #: before a worker that failed is replaced; doubled for each failure in a row
    longest_pause_s: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """All that the scheduler is told about what the user wants."""

    batch: BatchLimits = field(default_factory=BatchLimits)
    retry: RetryLimits = field(default_factory=RetryLimits)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    crew: CrewLimits = field(default_factory=CrewLimits)
    error_threshold: int = -1  #: more failed files than this since start end the service; -1: never
    grace_s: float = 60.0  #: for running batches when asked to stop
    once: bool = False
    once_patience_s: float = 3.0  #: how long --once waits for files that are still being written
    claims_ahead: int = 8  #: open claims for each worker
    pinned_schema: tuple[tuple[str, str], ...] = ()  #: (column, type): [output.schema]
    generation: int = 1  #: counts reloads that change [deployment] or [workers]
