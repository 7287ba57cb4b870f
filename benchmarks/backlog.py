"""W1, backlog: files that wait at the start; files a second from the first output to the last, and what it cost."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter

import rig


def main() -> None:
    """One line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--durability", choices=("power", "process"), default="power")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    for _ in range(asked.runs):
        one_run(asked)


def one_run(asked: argparse.Namespace) -> None:
    """Fill an inbox, let the real program drain it, count."""
    with rig.deployment(batch=asked.batch, durability=asked.durability) as place:
        names = [f"f{number:07d}.bin" for number in range(asked.files)]
        for name in names:
            (place.inbox / name).write_bytes(b"x" * asked.bytes)
        os.sync()
        before, began = rig.children_cpu(), time.time()
        daemon = place.start("--once")
        peak = 0.0
        while daemon.poll() is None:
            peak = max(peak, rig.memory_mb(daemon.pid, "VmHWM"))
            time.sleep(0.05)
        outputs = place.outputs()
        first, last = outputs[0], outputs[-1]
        rig.report(
            benchmark="backlog",
            files=asked.files,
            batch=asked.batch,
            durability=asked.durability,
            files_per_s=round((asked.files - len(first[1])) / max(last[0] - first[0], 1e-9)),
            first_output_s=round(first[0] - began, 2),
            cpu_s_per_1000=round((rig.children_cpu() - before) / asked.files * 1000, 3),
            daemon_peak_mb=round(peak, 1),
            **place.account(Counter((name, asked.bytes) for name in names)),
        )


if __name__ == "__main__":
    main()
