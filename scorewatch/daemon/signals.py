"""Signals become letters: a handler posts and returns."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from scorewatch.daemon.mailbox import ReloadRequested
from scorewatch.model.events import StopRequested

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.daemon.mailbox import Letter


def listen(post: Callable[[Letter], None]) -> None:
    """SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reloads."""
    asked = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal asked
        post(StopRequested(now=asked))
        asked = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, lambda _number, _frame: post(ReloadRequested()))


def forget() -> None:
    """Signals mean again what they mean to any program."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
