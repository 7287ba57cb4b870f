"""What a worker finds in its environment before it imports anything."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from scorewatch.executors.local.spawn import WorkerPlan, environment

CORES = len(os.sched_getaffinity(0))


def env(slot: int = 0, **plan: Any) -> dict[str, str]:
    return environment(WorkerPlan(**{"generation": 1, "python": sys.executable, "init": {}, **plan}), slot)


def test_the_service_managers_words_are_for_the_daemon_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PYTHONPATH", "/users/own")
    told = env()
    assert not {name for name in told if name.startswith(("NOTIFY", "WATCHDOG", "LISTEN", "VIRTUAL"))}
    assert told["PYTHONPATH"] == "/users/own"


def test_the_daemons_python_home_is_not_for_another_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/daemons")
    assert env()["PYTHONHOME"] == "/daemons"
    assert "PYTHONHOME" not in env(python="/opt/env/bin/python")
    assert env(python="/opt/env/bin/python", environment={"PYTHONHOME": "/opt/env"})["PYTHONHOME"] == "/opt/env"


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_the_cores_are_shared_unless_the_user_says_how(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    assert env(slots=1)[name] == str(CORES)
    assert env(slots=1000)[name] == "1"
    assert env(environment={name: "3"})[name] == "3"
    monkeypatch.setenv(name, "5")
    assert env()[name] == "5"


def test_slots_take_the_devices_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "9")
    assert [env(slot, devices=("0", "GPU-3f"))["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["0", "GPU-3f"] * 2
    assert env(devices=("0",))["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert env()["CUDA_VISIBLE_DEVICES"] == "9"
