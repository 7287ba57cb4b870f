"""All that the scheduler knows: shared by its desks, changed only while an event is dealt with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scorewatch.core.breaker import Breaker
from scorewatch.core.crew import Crew
from scorewatch.core.floor import Floor
from scorewatch.core.intake import Intake
from scorewatch.core.trials import Trials

if TYPE_CHECKING:
    from scorewatch.core.columns import Columns
    from scorewatch.model.errors import ExitCode
    from scorewatch.model.events import Role, SweepEnded
    from scorewatch.model.policy import BreakerLimits, Policy


_AWAY = frozenset({"", "identity"})  # causes of FolderTroubled that say that a folder is gone, or is another one


@dataclass(slots=True)
class Stop:
    """The service is ending."""

    code: ExitCode
    message: str
    deadline: float  #: on the monotonic clock: what still runs then is dropped
    at_once: bool = False
    withdrawn: bool = False  #: unstarted orders were asked for
    dismissed: bool = False  #: workers were asked to end
    exited: bool = False


class House:
    """The scheduler's state."""

    def __init__(self, policy: Policy, schema: Columns) -> None:
        self.policy = policy
        self.schema = schema
        self.intake = Intake(policy.batch)
        self.floor = Floor()
        self.crew = Crew(policy.crew, policy.generation)
        self.breaker = Breaker(_breaker_limits(policy))
        self.trials = Trials(self.floor, self.breaker, policy.retry)
        self.troubles: dict[tuple[Role, str], str] = {}
        self.troubled_since: float | None = None
        self.recovered = False  #: what an earlier daemon left was taken over
        self.stop: Stop | None = None
        self.last_sweep: SweepEnded | None = None
        self.nothing_new_since: float | None = None  #: for --once: sweeps have found nothing since then
        self.probe_ticket: int | None = None  #: the claim that will be the breaker's next probe
        self.skipped = 0
        self.recovered_files = 0  #: of an earlier daemon, counted as done or failed by this one

    def adopt(self, policy: Policy) -> None:
        """Take a new policy; it holds for batches sealed from now on."""
        self.policy = policy
        self.intake.files.limits = policy.batch
        self.breaker.limits = _breaker_limits(policy)
        self.trials.limits = policy.retry

    @property
    def tries(self) -> int:
        """Attempts that a new batch has."""
        return 1 + self.policy.retry.max_retries

    def open_claims(self) -> int:
        """Claims that stand or are being made, and are not committed yet."""
        return len(self.floor.lives) + len(self.intake.tickets)

    def may_claim(self) -> bool:
        """Whether new files may leave the inbox."""
        return (
            self.recovered
            and self.stop is None
            and not self.troubles
            and not any(life.trouble for life in self.floor.lives.values())
            and self.crew.able()
            and self.open_claims() < self.policy.claims_ahead * self.policy.crew.slots
        )

    def may_run(self) -> bool:
        """Whether batches may be handed to workers: not while a folder is away, for no file is to blame for that."""
        return self.recovered and self.stop is None and not any(cause in _AWAY for _, cause in self.troubles)

    def health(self) -> list[str]:
        """What is wrong, the worst first; empty: all is well."""
        said = [f"{role}: {message}" for (role, _), message in self.troubles.items()]
        if self.crew.trouble and not self.crew.able():
            said.append(f"no worker can be had: {self.crew.trouble}")
        if self.breaker.is_open:
            said.append(f"claiming is stopped: {self.breaker.reason}")
        said += sorted({f"owed: {life.trouble}" for life in self.floor.lives.values() if life.trouble})
        return said


def _breaker_limits(policy: Policy) -> BreakerLimits:
    """A batch job tries every file: only the environment can hold it up."""
    return replace(policy.breaker, batches=0) if policy.once else policy.breaker
