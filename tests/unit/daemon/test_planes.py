"""The two planes: the daemon never loads what reads tables or models."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pandas", "pyarrow", "numpy", "mlflow", "onnxruntime", "sklearn", "typer")


@pytest.mark.parametrize("module", ["scorewatch.daemon.wiring", "scorewatch.executors.local.pool"])
def test_the_daemon_loads_no_table_and_no_model_library(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_judgement_loads_nothing_that_touches_the_world() -> None:
    code = (
        "import sys; before = set(sys.modules); import scorewatch.core.scheduler\n"
        "print(*sorted({'socket', 'sqlite3', 'subprocess', 'threading', 'watchdog', 'structlog', 'pydantic'}"
        " & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
