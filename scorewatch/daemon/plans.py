"""What workers are made from: the deployment's settings as the INIT message, in the worker's own words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scorewatch.executors.local.spawn import WorkerPlan

if TYPE_CHECKING:
    from scorewatch.settings.schema import Settings


def plan(settings: Settings, *, generation: int, run_id: str) -> WorkerPlan:
    """The plan of one generation of workers.

    Args:
        settings: of the deployment.
        generation: counts reloads that change [deployment] or [workers].
        run_id: names this run of the daemon; scripts see it as AZUREML_RUN_ID.
    """
    deployment, output, retry = settings.deployment, settings.output, settings.retry_settings
    init = {
        "deployment": deployment.name,
        "scorer": "script",
        "code": str(deployment.code or ""),
        "script": str(deployment.scoring_script or ""),
        "model": str(deployment.model) if deployment.model else None,
        "model_layout": deployment.model_layout,
        "arguments": list(deployment.arguments),
        "environment_variables": dict(deployment.environment_variables),
        "mini_batch_size": settings.batch.mini_batch_size,
        "error_threshold": settings.errors.error_threshold,
        "run_invocation_timeout": math.ceil(retry.timeout),
        "run_max_try": 1 + retry.max_retries,
        "logging_level": settings.logging.logging_level,
        "output_action": output.output_action,
        "format": output.format,
        "output_file_name": output.output_file_name,
        "append_row_file_name": output.output_file_name,
        "per_file": output.per_file,
        "run_id": run_id,
        "durability": settings.state.durability,
    }
    return WorkerPlan(
        generation=generation,
        python=str(deployment.python),
        init=init,
        environment=dict(deployment.environment_variables),
        devices=tuple(settings.workers.devices),
        slots=settings.workers.max_concurrency_per_instance,
    )


def device_of(settings: Settings, slot: int) -> str:
    """What the worker in a slot computes on, for manifests."""
    devices = settings.workers.devices
    return devices[slot % len(devices)] if devices else "cpu"
