"""W5, idle: what the daemon costs while nothing arrives, and what it holds in memory."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import rig


def main() -> None:
    """One line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    with rig.deployment(batch=10, durability="power") as place:
        daemon = place.start()
        place.wait_until_ready(daemon)
        time.sleep(5)  # the second worker loads its libraries
        before, began = rig.cpu_seconds(daemon.pid), time.monotonic()
        time.sleep(asked.seconds)
        used = rig.cpu_seconds(daemon.pid) - before
        rollup = Path(f"/proc/{daemon.pid}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        rss = rig.memory_mb(daemon.pid, "VmRSS")
        pandas = "pandas" in Path(f"/proc/{daemon.pid}/maps").read_text()
        rig.stop(daemon)
        rig.report(
            benchmark="idle",
            cpu_s_per_minute=round(used / (time.monotonic() - began) * 60, 3),
            daemon_rss_mb=round(rss, 1),
            daemon_pss_mb=round(pss / 1024, 1),
            pandas_in_the_daemon=pandas,
        )
        if pandas:
            sys.exit("pandas is mapped in the daemon's memory")


if __name__ == "__main__":
    main()
