"""What must be true once nothing is left to be done: counted, never compared as sets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from plans import POISON, SeededLuck

from scorewatch.testing.disk import Drop
from scorewatch.testing.luck import BrokenPromiseError
from scorewatch.testing.outbox import Output

if TYPE_CHECKING:
    from scorewatch.testing.world import World


def check(world: World, *, bisect: bool = True) -> None:
    """Raise where the world is not as promised."""
    broken = [
        *_files(world),
        *_outputs(world),
        *_lines(world),
        *_alone(world, bisect=bisect),
        *_ends(world),
        *_conservation(world),
    ]
    if broken:
        raise BrokenPromiseError("; ".join(broken))


def _places(world: World) -> Counter[tuple[int, str]]:
    return Counter(
        (value.uid, path.partition("/")[0]) for path, value in world.disk.names.items() if isinstance(value, Drop)
    )


def _published(world: World) -> Counter[int]:
    by_identity = Counter(
        (file["path"], file["mtime_ns"] // 1000) for output in _all_outputs(world) for file in output.manifest["files"]
    )
    return Counter({uid: by_identity[name, uid] for uid, (name, _) in world.drops.items()})


def _all_outputs(world: World) -> list[Output]:
    return [
        value
        for path, value in sorted(world.disk.names.items())
        if path.startswith("batches/") and isinstance(value, Output)
    ]


def _files(world: World) -> list[str]:
    """Each file in one place, each good one in one output, each poisonous one in quarantine."""
    places, published = _places(world), _published(world)
    broken = []
    for uid, (name, drop) in world.drops.items():
        if uid in world.withdrawn:
            wanted: dict[str, int] = {}
        else:
            wanted = {"quarantine" if drop.kind in POISON else "done": 1}
        found = {place: count for (which, place), count in places.items() if which == uid}
        if found != wanted:
            broken.append(f"file {name} ({drop.kind}, {uid}) should be in {wanted} and is in {found}")
        times = 1 if wanted.get("done") else 0
        if published[uid] != times:
            broken.append(f"file {name} ({drop.kind}, {uid}) is in {published[uid]} outputs, not in {times}")
    return broken


def _outputs(world: World) -> list[str]:
    """Each output was made of exactly the content that its manifest names."""
    broken = []
    for output in _all_outputs(world):
        made_of = sorted(drop.mtime_ns for drop in output.drops)
        told = sorted(file["mtime_ns"] for file in output.manifest["files"])
        if made_of != told:
            broken.append(f"output {output.manifest['batch_id']} was made of {made_of} and says {told}")
    return broken


def _lines(world: World) -> list[str]:
    """One summary line a batch that ended, one line in errors a quarantined file."""
    told = Counter((line["batch_id"], line["status"]) for line in world.outbox.lines("summary"))
    ended = Counter((output.manifest["batch_id"], "committed") for output in _all_outputs(world))
    aside = [path.split("/")[1:] for path, value in world.disk.names.items() if _is_aside(path, value)]
    ended += Counter({(batch_id, "quarantined"): 1 for batch_id, _ in aside})
    errors = Counter((line["batch_id"], line["path"]) for line in world.outbox.lines("errors"))
    broken = []
    if _claims_came_undone(world):
        # A power cut gave a file back whose batch the ledger knew as set aside: its lines stand twice, not the file.
        told, errors = told & ended, errors & Counter((batch_id, name) for batch_id, name in aside)
    if told != ended:
        broken.append(f"the summary is wrong by {_difference(told, ended)}")
    if errors != Counter((batch_id, name) for batch_id, name in aside):
        broken.append(f"the errors are wrong: {errors} for {aside}")
    return broken


def _claims_came_undone(world: World) -> bool:
    luck = world.luck
    return isinstance(luck, SeededLuck) and luck.unsynced and luck.plan.power > 0


def _is_aside(path: str, value: object) -> bool:
    return path.startswith("quarantine/") and isinstance(value, Drop)


def _difference(told: Counter[tuple[str, str]], ended: Counter[tuple[str, str]]) -> str:
    return f"{dict(told - ended)} too much and {dict(ended - told)} missing"


def _alone(world: World, *, bisect: bool) -> list[str]:
    groups = Counter(path.split("/")[1] for path, value in world.disk.names.items() if _is_aside(path, value))
    return [f"{count} files share the quarantine of {name}" for name, count in groups.items() if bisect and count > 1]


def _conservation(world: World) -> list[str]:
    """What the last life took in is what it has told the end of."""
    if world.service is None:
        return []
    house = world.service.scheduler.house
    came = house.intake.arrived + house.recovered_files
    went = house.intake.withdrawn + house.floor.done_files + house.floor.failed_files
    return [] if came == went else [f"{came} files came, and {went} went"]


def _ends(world: World) -> list[str]:
    """Nothing is owed."""
    left = [path for path in world.disk.names if path.startswith("claim/")]
    broken = [f"left in the claims: {left}"] if left else []
    states = Counter(state for state in world.ledger.every_state().values() if state not in {"released", "void"})
    if states:
        broken.append(f"rows that are not closed: {dict(states)}")
    return broken
