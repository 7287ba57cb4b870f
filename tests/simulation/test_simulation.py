"""The real scheduler and the real hands, in many worlds that end between any two steps."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from simulate import simulate

WORLDS = int(os.environ.get("SCOREWATCH_WORLDS", "400"))


@settings(
    max_examples=WORLDS,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a smaller seed is no simpler world
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_every_promise_is_kept_in_every_world(seed: int) -> None:
    simulate(seed)
