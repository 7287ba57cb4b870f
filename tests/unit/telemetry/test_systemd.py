"""What the service manager hears, over a real socket."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from scorewatch.telemetry.systemd import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening manager, and the address as it stands in NOTIFY_SOCKET."""
    spelled = str(tmp_path / "notify") if request.param == "path" else f"@scorewatch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(spelled.replace("@", "\0") if request.param == "abstract" else spelled)
        listener.settimeout(5)
        yield listener, spelled


def test_each_word_is_said_as_the_manager_expects_it(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    ours = ServiceManager({"NOTIFY_SOCKET": address})

    def heard() -> str:
        return listener.recv(4096).decode()

    assert ours
    assert ours.ready("waiting for files")
    assert heard() == "READY=1\nSTATUS=waiting for files"
    assert ours.status("3 running")
    assert heard() == "STATUS=3 running"
    assert ours.alive()
    assert heard() == "WATCHDOG=1"
    assert ours.stopping()
    assert heard() == "STOPPING=1"
    assert ours.extend(90.5)
    assert heard() == "EXTEND_TIMEOUT_USEC=90500000"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ours.reloading()
    first, _, second = heard().partition("\n")
    assert first == "RELOADING=1"
    name, _, usec = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= before + 5_000_000


def test_a_status_is_one_line_whatever_is_in_it(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    ServiceManager({"NOTIFY_SOCKET": address}).status("bad\nMAINPID=1\x1b\udcff " + "x" * 10_000)
    text = listener.recv(65536).decode()
    assert text.startswith("STATUS=bad MAINPID=1")
    assert text.isprintable()
    assert len(text) < 600


def test_without_a_manager_nothing_is_said_and_nothing_fails() -> None:
    nobody = ServiceManager({})
    assert not nobody
    assert not nobody.ready()
    assert nobody.watchdog_interval() is None


def test_a_manager_that_went_away_fails_nothing(tmp_path: Path) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive() is False


def test_a_manager_that_does_not_listen_costs_a_second_at_most(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        ours = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        began = time.monotonic()
        while ours.alive():
            assert time.monotonic() - began < 10
        assert time.monotonic() - began < 3


def test_workers_do_not_inherit_the_line_to_the_manager() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    ServiceManager(environ)
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("30000000", "7", 15.0), ("30000000", "", 15.0), ("30000000", "8", None), ("0", "7", None), ("x", "7", None)],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_looks(usec: str, pid: str, seconds: float | None) -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    assert ServiceManager(environ, pid=7).watchdog_interval() == seconds
