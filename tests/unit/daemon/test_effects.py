from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scorewatch.daemon.effects import Effects
from scorewatch.model import decisions as d
from scorewatch.model.batches import SealReason
from scorewatch.model.errors import ExitCode
from scorewatch.model.records import BatchSealed
from scorewatch.testing.makers import batch, batch_id

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = d.RunBatch(worker_id=1, batch=batch("a"), run_timeout_s=1.0, schema=())
CLAIM = d.Claim(ticket=1, files=(), because=SealReason.FILES)
EXIT = d.Exit(code=ExitCode.DONE)
FOR_THE_LOOP = [
    (RUN, "run"),
    (CLAIM, "claim"),
    (d.StartWorker(worker_id=1, slot=0, generation=1), "start"),
    (d.KillWorker(worker_id=1, because="slow"), "kill"),
    (d.StopWorker(worker_id=1), "stop"),
    (d.Withdraw(worker_id=1, batch_id=batch_id(1), dispatch=1), "withdraw"),
    (d.AnswerSchema(worker_id=1, batch_id=batch_id(1), dispatch=1, columns=()), "answer"),
    (EXIT, "leave"),
]
FOR_THE_DISK = [
    d.SyncClaim(batch=batch("a")),
    d.Release(batch=batch("a")),
    d.DropClaim(batch_id=batch_id(1)),
    d.ClearStaging(worker_id=1),
    d.ListSkipped(skip_id="x", refusals=()),
]


class _Hands:
    """Takes the place of everything that effects reach."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        self.effects = Effects(self, self, self, lambda action: self.done.append(("leave", action)))  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Callable[[object], None]:
        return lambda order: self.done.append((name, order))


@pytest.mark.parametrize(("action", "hand"), FOR_THE_LOOP)
def test_each_action_goes_to_its_hand(action: d.Action, hand: str) -> None:
    hands = _Hands()
    hands.effects.carry_out(d.Decision((), (action,)))
    given = action.worker_id if hand in {"kill", "stop"} else action
    assert hands.done == [(hand, given)]


@pytest.mark.parametrize("action", FOR_THE_DISK)
def test_what_is_the_disk_s_goes_to_its_thread(action: d.Action) -> None:
    hands = _Hands()
    hands.effects.carry_out(d.Decision((), (action,)))
    assert hands.done == [("submit", d.Decision((), (action,)))]


def test_nothing_starts_before_its_records_are_durable() -> None:
    hands = _Hands()
    decision = d.Decision((BatchSealed(batch=batch("a")),), (RUN, CLAIM, EXIT))
    hands.effects.carry_out(decision)
    assert hands.done == [("submit", decision)]
    hands.effects.start(decision.actions)
    assert [name for name, _ in hands.done[1:]] == ["run", "claim", "leave"]
