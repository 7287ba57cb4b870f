"""What judgement needs of the settings, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.model.policy import BatchLimits, BreakerLimits, CrewLimits, Policy, RetryLimits

if TYPE_CHECKING:
    from scorewatch.settings.schema import Settings


def policy(settings: Settings, *, once: bool = False, generation: int = 1) -> Policy:
    """The policy that the scheduler is given.

    Args:
        settings: of the deployment.
        once: score what is there, then end.
        generation: counts reloads that change [deployment] or [workers].
    """
    batch, retry, workers = settings.batch, settings.retry_settings, settings.workers
    return Policy(
        batch=BatchLimits(
            max_files=batch.mini_batch_size, max_bytes=batch.max_bytes, max_wait_s=batch.max_wait_seconds
        ),
        retry=RetryLimits(max_retries=retry.max_retries, run_timeout_s=retry.timeout, bisect=retry.bisect),
        breaker=BreakerLimits(batches=settings.errors.breaker_batches),
        crew=CrewLimits(slots=workers.max_concurrency_per_instance, init_timeout_s=workers.init_timeout),
        error_threshold=settings.errors.error_threshold,
        grace_s=workers.grace_seconds,
        once=once,
        pinned_schema=tuple(settings.output.pinned_schema.items()),
        generation=generation,
    )
