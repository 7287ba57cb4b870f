"""From a seed to a world: what is dropped, what goes wrong, what the operator does.

Every plan keeps within what the service promises to survive: a good file may meet trouble, but never so much that
quarantine would be the right answer for it.
"""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from scorewatch.ledger.trouble import LedgerFullError
from scorewatch.model import events as e
from scorewatch.model.policy import BatchLimits, BreakerLimits, CrewLimits, Policy, RetryLimits
from scorewatch.testing.luck import CrashError, Luck, Run, Start, as_the_files_are
from scorewatch.testing.world import World

if TYPE_CHECKING:
    from scorewatch.model.decisions import RunBatch
    from scorewatch.testing.disk import Drop

POISON = frozenset({"raises", "kills", "hangs", "bad"})
_NOBODYS_FAULT = frozenset({"publish", "look", "sync claims"})  # each may count as an interruption of a batch
_MOST_INTERRUPTIONS = 4  # a file alone is set aside after five


@dataclass(kw_only=True)
class Plan:
    """What may happen in one world."""

    seed: int
    policy: Policy
    crash: float = 0.0  #: how likely before each step
    power: float = 0.0  #: how likely a crash is a power cut
    ordered: bool = True  #: a power cut loses the latest changes only
    strict: bool = False
    trouble: float = 0.0
    full: float = 0.0
    mischief: float = 0.0  #: how likely a run() goes wrong that need not
    interlude: float = 0.0
    init_trouble: float = 0.0
    rewrites: bool = False
    per_file: bool = False


@dataclass
class SeededLuck(Luck):
    """Luck of a plan, the same for the same seed."""

    plan: Plan
    rng: random.Random
    interruptions: int = 0
    troubles: int = 0
    bad_starts: int = 0
    unsynced: bool = False  #: a claim could not be made to last when it was made
    started: set[int] = field(default_factory=set)

    def before(self, what: str) -> None:
        del what
        if self.interruptions < _MOST_INTERRUPTIONS and self.rng.random() < self.plan.crash:
            self.interruptions += 1
            raise CrashError(power=self.rng.random() < self.plan.power)

    def trouble(self, what: str) -> None:
        if self.calm:
            return
        if what == "record":
            if self.rng.random() < self.plan.full:
                raise LedgerFullError("the disk is full")
            return
        if self.troubles >= 6 or self.rng.random() >= self.plan.trouble:
            return
        if what in _NOBODYS_FAULT:
            if self.interruptions >= _MOST_INTERRUPTIONS:
                return
            self.interruptions += 1
        self.troubles += 1
        self.unsynced = self.unsynced or what == "sync claims"
        raise OSError(errno.EIO, f"no luck with: {what}")

    def pick(self, count: int) -> int:
        return self.rng.randrange(count)

    def group(self, count: int) -> int:
        return self.rng.randint(1, count) if count else 0

    def interludes(self) -> int:
        return self.rng.randint(1, 3) if self.rng.random() < self.plan.interlude else 0

    def keeps(self, count: int) -> list[bool]:
        if self.plan.ordered:
            kept = self.rng.randint(0, count)
            return [number < kept for number in range(count)]
        return [self.rng.random() < 0.5 for _ in range(count)]

    def start(self, worker_id: int) -> Start:
        del worker_id
        if self.bad_starts < 3 and self.rng.random() < self.plan.init_trouble:
            self.bad_starts += 1
            return Start(ends=self.rng.choice(["fails", "dies", "hangs"]), init_s=0.2)
        return Start(init_s=self.rng.choice([0.01, 0.05, 2.0]))

    def run(self, order: RunBatch, files: tuple[Drop, ...]) -> Run:
        run = self._by_the_files(order, files)
        if run.ends == "well":
            run = self._by_mischief(order, run)
        speed = self.rng.choice([0.001, 0.01, 0.1, 0.7])
        return replace(run, run_s=speed, write_s=self.rng.choice([0.001, 0.2]))

    def echoes(self) -> bool:
        return self.rng.random() < 0.3

    def _by_the_files(self, order: RunBatch, files: tuple[Drop, ...]) -> Run:
        first = {file.uid for file in files} - self.started
        self.started |= {file.uid for file in files}
        if any(file.kind == "flaky" and file.uid in first for file in files):
            return Run(ends="raises")
        if self.plan.per_file:
            guilty = tuple(
                seen.relpath for seen, file in zip(order.batch.files, files, strict=False) if file.kind == "raises"
            )
            if 0 < len(guilty) < len(files) and {file.kind for file in files} <= {"raises", "good", "column"}:
                return Run(ends="well", failed=guilty)
        return as_the_files_are(files)

    def _by_mischief(self, order: RunBatch, run: Run) -> Run:
        if self.rng.random() >= self.plan.mischief:
            return run
        batch = order.batch
        if batch.attempt < batch.tries - (1 if self.plan.rewrites else 0):
            ends = self.rng.choice(["raises", "dies", "hangs", "bad result", "dies writing"])
            return replace(run, ends=ends)
        if self.interruptions < _MOST_INTERRUPTIONS:
            self.interruptions += 1
            return replace(run, ends=self.rng.choice(["environment", "hangs writing"]))
        return run


def plan_of(seed: int) -> tuple[Plan, random.Random]:
    """The plan that a seed stands for, and the randomness that goes on with it."""
    rng = random.Random(seed)
    maybe = lambda share, value: value if rng.random() < share else 0.0  # noqa: E731 - a word, not a function
    policy = Policy(
        batch=BatchLimits(
            max_files=rng.randint(1, 5),
            max_bytes=rng.choice([None, None, 30]),
            max_wait_s=rng.choice([0.0, 0.2, 1.0]),
        ),
        retry=RetryLimits(max_retries=rng.randint(1, 2), run_timeout_s=5.0),
        breaker=BreakerLimits(batches=10, first_pause_s=1.0, longest_pause_s=8.0),
        crew=CrewLimits(slots=rng.randint(1, 3), depth=rng.randint(1, 2), init_timeout_s=10.0, handover_timeout_s=8.0),
        error_threshold=rng.choice([-1, -1, -1, 1]),
        grace_s=rng.choice([0.0, 3.0, 60.0]),
        once=rng.random() < 0.15,
        claims_ahead=rng.randint(1, 4),
    )
    plan = Plan(
        seed=seed,
        policy=policy,
        crash=maybe(0.7, rng.choice([0.005, 0.02, 0.05])),
        power=maybe(0.5, 0.6),
        ordered=rng.random() < 0.5,
        strict=rng.random() < 0.5,
        trouble=maybe(0.5, 0.05),
        full=maybe(0.3, 0.2),
        mischief=maybe(0.5, 0.15),
        interlude=maybe(0.7, 0.3),
        init_trouble=maybe(0.2, 0.3),
        rewrites=rng.random() < 0.15,
        per_file=rng.random() < 0.2,
    )
    return plan, rng


def world_of(seed: int) -> World:
    """A world in which everything is arranged, and nothing has happened."""
    plan, rng = plan_of(seed)
    world = World(plan.policy, SeededLuck(plan, rng), strict=plan.strict)
    _arrange_drops(world, plan, rng)
    _arrange_orders(world, plan, rng)
    return world


def _arrange_drops(world: World, plan: Plan, rng: random.Random) -> None:
    poison = 0
    when = 0.0
    for _ in range(rng.randint(1, 14)):
        kind = rng.choice(["good"] * 6 + ["column", "raises", "kills", "hangs", "bad", "flaky"])
        if plan.rewrites and kind == "flaky":
            kind = "good"
        if kind in POISON:
            poison += 1
            kind = kind if poison <= 5 else "good"
        name = rng.choice("abcdefgh")
        busy = rng.choice([0.0, 0.0, 0.0, 0.6])
        size = rng.choice([5, 10, 40])
        when += rng.choice([0.0, 0.0, 0.01, 0.3, 4.0])
        world.later(when, lambda n=name, k=kind, s=size, b=busy: world.drop(n, k, size=s, busy_s=b))
        if rng.random() < 0.1:
            world.later(when + rng.choice([0.0, 0.2, 1.0]), lambda n=name: world.withdraw(n))
    if plan.rewrites:
        world.later(rng.uniform(0.0, when + 1.0), lambda: world.rewrite(name))


def _arrange_orders(world: World, plan: Plan, rng: random.Random) -> None:
    for _ in range(rng.choice([0, 0, 1, 2])):
        at_once = rng.random() < 0.4
        world.later(rng.uniform(0.0, 6.0), lambda now=at_once: world.tell_service(e.StopRequested(now=now)))
    generation = plan.policy.generation
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        generation += rng.choice([0, 1])
        crew = replace(plan.policy.crew, slots=rng.randint(1, 3))
        batch = replace(plan.policy.batch, max_files=rng.randint(1, 5))
        changed = replace(plan.policy, crew=crew, batch=batch, generation=generation)
        world.later(rng.uniform(0.0, 6.0), lambda policy=changed: world.tell_service(e.PolicyChanged(policy)))
