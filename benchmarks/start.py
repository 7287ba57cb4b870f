"""Starting: how long `scorewatch --help` takes, beside the bare interpreter in the same run."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import rig


def main() -> None:
    """One line: medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    asked = parser.parse_args()
    ours, bare = [], []
    for _ in range(asked.runs):
        ours.append(timed([sys.executable, "-m", "scorewatch", "--help"]))
        bare.append(timed([sys.executable, "-c", "pass"]))
    rig.report(
        benchmark="start",
        help_s=round(rig.percentile(ours, 0.5), 3),
        bare_python_s=round(rig.percentile(bare, 0.5), 3),
    )


def timed(command: list[str]) -> float:
    """Wall seconds of one run."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
