"""Runs seeds: `python simulate.py 0 500`; says which promise was broken, and what happened to the files concerned."""

from __future__ import annotations

import re
import sys
import traceback
from typing import TYPE_CHECKING

from plans import plan_of, world_of
from promises import check

if TYPE_CHECKING:
    from scorewatch.testing.world import World


class SimulationError(AssertionError):
    """A promise was broken; the message has the seed and the timeline."""


def simulate(seed: int) -> World:
    """Live through one seed.

    Raises:
        SimulationError: with everything that one needs to see it again.
    """
    world = world_of(seed)
    try:
        world.run()
        check(world)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is told with its seed
        plan, _ = plan_of(seed)
        story = "\n".join(_timeline(world, str(error)))
        what = f"{type(error).__name__}: {error}"
        raise SimulationError(f"seed {seed}: {what}\n{plan}\n{story}\n{traceback.format_exc(limit=-6)}") from None
    finally:
        world.close()
    return world


def _timeline(world: World, error: str) -> list[str]:
    """What happened to the files and batches that the error names; everything, where it names none."""
    wanted = set(re.findall(r"\d{8}T\d{6}Z-[0-9a-f]{20}[ab]*", error))
    uids = {int(uid) for uid in re.findall(r"\((?:\w+, )(\d+)\)", error)}
    told = [f"{at:12.4f}  {what}  {decision}" for at, what, decision in world.timeline]
    for line in told:
        if any(f"inode={uid}," in line for uid in uids):
            wanted |= set(re.findall(r"\d{8}T\d{6}Z-[0-9a-f]{20}[ab]*", line))
    always = ("start", "exit", "process died", "power cut", "dropped", "withdrew", "rewrote")
    shown = [line for line in told if any(name[:37] in line for name in wanted) or line[14:].startswith(always)]
    return [_short(line) for line in (shown if wanted else told)[-150:]]


def _short(line: str) -> str:
    line = re.sub(r"\d{8}T\d{6}Z-0{10,}", "#", line)
    line = re.sub(r"Observation\(relpath='([^']*)'[^)]*inode=(\d+)[^)]*\)", r"\1/\2", line)
    return line[:900]


def main() -> int:
    """Run a range of seeds; 1 where one fails."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, last):
        try:
            simulate(seed)
        except SimulationError as error:
            print(error)
            return 1
    print(f"seeds {first} to {last}: every promise kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
