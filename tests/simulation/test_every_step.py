"""One small world, ended before each of its steps in turn, and once more before each step of the recovery after it."""

from __future__ import annotations

import pytest
from promises import check

from scorewatch.model.policy import BatchLimits, CrewLimits, Policy, RetryLimits
from scorewatch.testing.luck import CrashError, Luck
from scorewatch.testing.world import World

POLICY = Policy(
    batch=BatchLimits(max_files=3, max_wait_s=0.1),
    retry=RetryLimits(max_retries=1, run_timeout_s=5.0),
    crew=CrewLimits(slots=2),
)


class _EndsAt(Luck):
    """Ends the world before the given steps, and loses all that was not synced, or none of it."""

    def __init__(self, steps: tuple[int, ...], *, power: bool, keeps: bool) -> None:
        self.steps = steps
        self.power = power
        self.keep = keeps
        self.count = 0

    def before(self, what: str) -> None:
        del what
        self.count += 1
        if self.count in self.steps:
            self.interruptions += 1
            raise CrashError(power=self.power)

    def keeps(self, count: int) -> list[bool]:
        return [self.keep] * count


def _live(steps: tuple[int, ...], *, power: bool = False, keeps: bool = False) -> _EndsAt:
    luck = _EndsAt(steps, power=power, keeps=keeps)
    world = World(POLICY, luck)
    for name in ("a", "b", "c", "d"):
        world.drop(name, "kills" if name == "b" else "good")
    world.later(0.3, lambda: world.drop("a"))
    world.later(0.5, lambda: world.drop("e", "raises"))
    try:
        world.run()
        check(world)
    except Exception as error:
        story = "\n".join(f"{at:10.3f} {what}" for at, what, _ in world.timeline)
        raise AssertionError(f"ended before step {steps}, power={power}: {error}\n{story}") from error
    finally:
        world.close()
    assert world.crashes == len([step for step in steps if step <= luck.count])
    return luck


@pytest.mark.parametrize(("power", "keeps"), [(False, False), (True, False), (True, True)])
def test_it_may_end_before_any_step(power: bool, keeps: bool) -> None:
    steps = _live(()).count
    assert steps > 100
    for step in range(1, steps + 1):
        _live((step,), power=power, keeps=keeps)


@pytest.mark.parametrize("power", [False, True])
def test_it_may_end_again_while_it_recovers(power: bool) -> None:
    steps = _live(()).count
    for step in range(1, steps + 1, 3):
        for distance in (1, 2, 5, 11):
            _live((step, step + distance), power=power)
