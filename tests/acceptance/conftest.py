"""Deployments that leave no process behind."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from deployment_kit import ECHO, Deployment
from mount_kit import Mounts, mounting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """Small disks and second places, for root; named before `deploy`, it outlives the daemons."""
    with mounting() as made:
        yield made


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Makes deployments: `deploy(script, batch={"mini_batch_size": 1}, …)`."""
    with ExitStack() as stack:

        def make(script: str = ECHO, *, folder: str = "d", **tables: Any) -> Deployment:
            made = Deployment(tmp_path / folder, script, **tables)
            stack.callback(made.close)
            return made

        yield make
