"""Carries decisions out: what they record first, what they do after.

The crash rule lives here and in `syncer`: a decision with records goes to the syncer, and its actions start only
when the records are durable. The one exception is the commit of an output, whose rename comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorewatch.model import decisions as d

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorewatch.daemon.ports import Inbox, Syncer
    from scorewatch.model.ports import Executor


class Effects:
    """The loop's hands."""

    def __init__(self, executor: Executor, inbox: Inbox, syncer: Syncer, leave: Callable[[d.Exit], None]) -> None:
        self._executor = executor
        self._inbox = inbox
        self._syncer = syncer
        self._leave = leave

    def carry_out(self, decision: d.Decision) -> None:
        """Write it down, then do it."""
        if decision.records:
            self._syncer.submit(decision)
        else:
            self.start(decision.actions)

    def start(self, actions: tuple[d.Action, ...]) -> None:
        """Start actions whose records, if they had any, are durable."""
        for action in actions:
            self._start(action)

    def _start(self, action: d.Action) -> None:
        executor = self._executor
        match action:
            case d.RunBatch():
                executor.run(action)
            case d.Claim():
                self._inbox.claim(action)
            case d.StartWorker():
                executor.start(action)
            case d.KillWorker():
                executor.kill(action.worker_id)
            case d.StopWorker():
                executor.stop(action.worker_id)
            case d.Withdraw():
                executor.withdraw(action)
            case d.AnswerSchema():
                executor.answer(action)
            case d.Exit():
                self._leave(action)
            case _:
                self._syncer.submit(d.Decision((), (action,)))
