"""What every benchmark needs: a deployment in a temporary folder, the real program on it, and exact counts."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = """\
import os


def run(mini_batch):
    return [{"name": os.path.basename(path), "length": os.path.getsize(path)} for path in mini_batch]
"""
CONFIG = """\
[deployment]
name = "bench"
scoring_script = "code/score.py"
[inbox]
path = "inbox"
[batch]
mini_batch_size = {batch}
[workers]
max_concurrency_per_instance = 2
[output]
path = "outbox"
[state]
durability = "{durability}"
"""


class Deployment:
    """A deployment with the null script: one row a file, its name and length."""

    def __init__(self, folder: Path, *, batch: int, durability: str) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.outside = folder / "outside"  # where producers write what they rename in
        self.log = folder / "log"
        self.config = folder / "scorewatch.toml"
        for made in (self.inbox, self.outside, folder / "code"):
            made.mkdir()
        (folder / "code/score.py").write_text(SCRIPT)
        self.config.write_text(CONFIG.format(batch=batch, durability=durability))

    def start(self, *extra: str) -> subprocess.Popen[bytes]:
        """The real program, its log in a file."""
        command = [sys.executable, "-m", "scorewatch", "run", str(self.config), *extra]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)

    def wait_until_ready(self, daemon: subprocess.Popen[bytes]) -> None:
        """Until it says service_ready."""
        while b'"service_ready"' not in self.log.read_bytes():
            if daemon.poll() is not None:
                raise SystemExit(f"the daemon ended: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def outputs(self) -> list[tuple[float, list[str]]]:
        """(when it became visible, the files) of each output, in that order.

        A rename changes a folder's ctime: that is when it became visible, on the clock of the file system.
        """
        found = []
        for manifest in (self.folder / "outbox/batches").glob("*/*/_manifest.json"):
            files = [file["path"] for file in json.loads(manifest.read_text())["files"]]
            found.append((manifest.parent.stat().st_ctime_ns / 1e9, files))
        return sorted(found)

    def account(self, dropped: Counter[tuple[str, int]]) -> dict[str, int]:
        """Lost, doubled and torn files by the rows of all outputs, counted with multiplicity.

        Args:
            dropped: (name, length) of every file; a row of another length was read before the file was whole.
        """
        table = pyarrow.dataset.dataset(self.folder / "outbox/batches", partitioning="hive").to_table()
        rows = Counter(zip(table["name"].to_pylist(), table["length"].to_pylist(), strict=True))
        names, seen = (Counter(name for name, _ in each.elements()) for each in (dropped, rows))
        return {
            "lost": sum((names - seen).values()),
            "doubled": sum((seen - names).values()),
            "torn": sum(count for row, count in rows.items() if row not in dropped),
        }


@contextmanager
def deployment(*, batch: int, durability: str) -> Iterator[Deployment]:
    """A deployment that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="scorewatch-bench-", dir=os.environ.get("BENCH_DIR")))
    try:
        yield Deployment(folder, batch=batch, durability=durability)
    finally:
        shutil.rmtree(folder)


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """Drain."""
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(60)


def memory_mb(pid: int, key: str) -> float:
    """A figure of /proc/PID/status (VmRSS, VmHWM), in MB; 0 where the process is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu() -> float:
    """CPU seconds of all children that have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(**figures: object) -> None:
    """One JSON line."""
    about = {"python": platform.python_version(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    print(json.dumps({**figures, **about}))
