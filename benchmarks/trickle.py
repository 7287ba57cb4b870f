"""W2, trickle: single files into an idle, warm inbox, batches of one; close or rename to output visible."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import TYPE_CHECKING

import rig

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 2048  # bytes


def main() -> None:
    """One line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--per-second", type=float, default=20)
    parser.add_argument("--how", choices=("rename", "in-place"), default="rename")
    parser.add_argument("--durability", choices=("power", "process"), default="power")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    for _ in range(asked.runs):
        one_run(asked)


def one_run(asked: argparse.Namespace) -> None:
    """Drop files one by one, then compare when each was whole with when its output was visible."""
    with rig.deployment(batch=1, durability=asked.durability) as place:
        daemon = place.start()
        place.wait_until_ready(daemon)
        drop = rename_in if asked.how == "rename" else write_in_place
        whole: dict[str, float] = {}
        for number in range(asked.files):
            name = f"f{number:06d}.bin"
            drop(place, name)
            whole[name] = time.time()
            time.sleep(1 / asked.per_second)
        deadline = time.time() + 10
        while len(place.outputs()) < asked.files and time.time() < deadline:
            time.sleep(0.1)
        rig.stop(daemon)
        waits = [(visible - whole[name]) * 1000 for visible, files in place.outputs() for name in files]
        rig.report(
            benchmark="trickle",
            files=asked.files,
            how=asked.how,
            durability=asked.durability,
            **{f"p{share}_ms": round(rig.percentile(waits, share / 100), 2) for share in (50, 95, 99)},
            **place.account(Counter((name, SIZE) for name in whole)),
        )


def rename_in(place: rig.Deployment, name: str) -> None:
    """As a careful producer does."""
    outside: Path = place.outside / name
    outside.write_bytes(b"x" * SIZE)
    outside.rename(place.inbox / name)


def write_in_place(place: rig.Deployment, name: str) -> None:
    """Open, half, 20 ms, half, close: what most copiers do."""
    with (place.inbox / name).open("wb") as file:
        file.write(b"x" * (SIZE // 2))
        file.flush()
        time.sleep(0.02)
        file.write(b"x" * (SIZE // 2))


if __name__ == "__main__":
    main()
