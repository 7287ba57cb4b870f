"""What a killed daemon left on disk: which state each batch was caught in, and how to catch it in a certain one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from deployment_kit import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployment_kit import Daemon, Deployment

CLAIMING, SEALED, RUNNING, SCORED = "CLAIMING", "SEALED", "RUNNING", "SCORED"
COMMITTED, SPLIT, QUARANTINED, RECOVERY = "COMMITTED", "SPLIT", "QUARANTINED", "RECOVERY"

LENGTH_OF_ROOT = len("20261122T213741Z-") + 20  # of an id that no split made


# ---------------------------------------------------------------- reading
def ledger_rows(deployment: Deployment, query: str) -> list[tuple[object, ...]]:
    """What the ledger says, read from a copy: what a crash left is not to be touched."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ledger.db", "ledger.db-wal"):
            if (deployment.state / name).exists():
                shutil.copy(deployment.state / name, folder)
        with closing(sqlite3.connect(Path(folder) / "ledger.db")) as database:
            if not list(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'batches'")):
                return []  # it was killed before its first transaction
            return list(database.execute(query))


def standing(deployment: Deployment) -> Counter[str]:
    """How many batches stand in each state, by the ledger and by what lies on disk."""
    query = "SELECT batch_id, state FROM batches WHERE state NOT IN ('released', 'void')"
    rows = {str(batch_id): str(state) for batch_id, state in ledger_rows(deployment, query)}
    claims = set(deployment.claims())
    visible = {folder.name for folder in deployment.outputs()}
    staged = _whole_in_staging(deployment)
    found: Counter[str] = Counter()
    for batch_id in claims - rows.keys():
        if rows.get(batch_id[:-1]) != "split":  # else it is a half that its parent's row answers for
            found[CLAIMING] += 1
    for batch_id, state in rows.items():
        if state == "committed" or batch_id in visible:
            found[COMMITTED] += batch_id in claims
        elif state == "running":
            found[SCORED if batch_id in staged else RUNNING] += 1
        elif state == "quarantined":
            found[QUARANTINED] += batch_id in claims
        else:
            found[state.upper()] += 1
    return +found


def _whole_in_staging(deployment: Deployment) -> set[str]:
    """Batches whose rows are written in staging, each line whole."""
    found = set()
    for path in deployment.outbox.glob(".staging/*/*/predictions.jsonl"):
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
        except ValueError:
            continue
        if lines:
            found.add(path.parent.name.partition(".")[0])
    return found


# ---------------------------------------------------------------- catching
def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return os.listdir(folder)  # noqa: PTH208 - names alone, as fast as can be: the look must be tight


def spot(deployment: Deployment, state: str) -> Callable[[], bool]:
    """A cheap look that says whether some batch is in that state right now, as far as folders show it."""
    claims = until(lambda: next(deployment.inbox.glob(".scorewatch/claim/*"), None), "the folder of claims")
    quarantine = deployment.inbox / ".scorewatch" / "quarantine"
    before = set(names(claims))

    def new_claims() -> set[str]:
        return {name for name in names(claims) if name[0].isdigit()} - before

    def scored() -> bool:
        with contextlib.suppress(OSError):  # published in between
            return any(path.stat().st_size for path in deployment.outbox.glob(".staging/*/*/predictions.jsonl"))
        return False

    def committed() -> bool:
        held = set(names(claims))
        return any(name in held for day in deployment.outbox.glob("batches/*") for name in names(day))

    def quarantined() -> bool:
        return quarantine.exists() and not set(names(quarantine)).isdisjoint(names(claims))

    return {
        CLAIMING: lambda: any(len(name) == LENGTH_OF_ROOT for name in new_claims()),
        SCORED: scored,
        COMMITTED: committed,
        SPLIT: lambda: any(len(name) > LENGTH_OF_ROOT for name in new_claims()),
        QUARANTINED: quarantined,
    }[state]


def kill_when(daemon: Daemon, seen: Callable[[], bool], *, within: float = 10.0) -> bool:
    """SIGKILL to the daemon the moment that `seen` says so, or at the end of patience; whether it said so."""
    deadline = time.monotonic() + within
    while not (caught := seen()) and time.monotonic() < deadline:
        time.sleep(0.0002)  # a tight look: the states that are hunted last about a millisecond
    daemon.kill()
    return caught
