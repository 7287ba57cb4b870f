"""kill -9, again and again, in every state that a batch can be in: nothing is lost, nothing is doubled.

Only the deaths of processes are tried here. What the page cache holds outlives them, so a missing fsync can't be
seen: that takes power cuts.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from deployment_kit import Daemon, Deployment, until, workers_of
from remains_kit import (
    CLAIMING,
    COMMITTED,
    QUARANTINED,
    RECOVERY,
    RUNNING,
    SCORED,
    SEALED,
    SPLIT,
    kill_when,
    ledger_rows,
    spot,
    standing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = int(os.environ.get("SCOREWATCH_TEST_FILES", "2000"))
KILLS = int(os.environ.get("SCOREWATCH_TEST_KILLS", "14"))  # at random; those that are aimed come on top
SEED = int(os.environ.get("SCOREWATCH_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
IN_THE_MIDDLE = min(15, KILLS)  # kills that find batches between CLAIMING and RELEASED
RESERVE = FILES // 3  # kept back for the kills that are aimed
TRIES = 20  # to catch a batch in a state that lasts a millisecond
POISON_EVERY = 100
BATCH = 8

EVERY_STATE = (CLAIMING, SEALED, RUNNING, SCORED, COMMITTED, SPLIT, QUARANTINED, RECOVERY)
AIMED_AT = (CLAIMING, SCORED, COMMITTED, SPLIT, QUARANTINED)

SCRIPT = """
import os, random, time

OUT = os.environ["AZUREML_BI_OUTPUT_PATH"]


def run(mini_batch):
    time.sleep(random.random() * 0.03)
    texts = []
    for path in mini_batch:
        if "poison" in path:
            raise ValueError("poison")
        with open(path) as file:
            texts.append(file.read())
        with open(os.path.join(OUT, texts[-1] + ".own"), "w") as file:
            file.write(texts[-1])
    return [{"id": text} for text in texts]
"""


class Chaos:
    """Feeds a deployment, kills it, and notes what each kill caught."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.deployment = deployment
        self.luck = random.Random(seed)
        self.good: list[str] = []
        self.poison: list[str] = []
        self.kills = 0
        self.in_the_middle = 0  # kills after which some batch stood between CLAIMING and RELEASED
        self.caught: Counter[str] = Counter()
        self._due = list(range(FILES))
        self.luck.shuffle(self._due)
        self._due.sort(key=lambda number: number % POISON_EVERY == 0)  # from the front: poison; from the back: good

    # ------------------------------------------------------------ feeding
    def feed(self, files: int, *, poison: bool = False) -> None:
        """Drop so many files, here and in nested folders."""
        for _ in range(min(files, len(self._due))):
            number = self._due.pop(-1 if poison else 0)
            poison = False  # one is enough
            bad = number % POISON_EVERY == 0
            name = self.luck.choice(["", "a/", "a/b/c/", "d/e/"]) + f"{'poison' if bad else 'f'}{number:06}"
            self.deployment.drop(name, f"id{number}")
            (self.poison if bad else self.good).append(name if bad else f"id{number}")

    # ------------------------------------------------------------ killing
    def life(self) -> Daemon:
        return self.deployment.start(new_session=True)

    def killed(self, daemon: Daemon) -> Counter[str]:
        """Look at the remains: no worker outlives its daemon by two seconds."""
        until(lambda: not daemon.workers(), "the dead daemon's workers are gone", within=2.0)
        assert daemon.process.returncode == -signal.SIGKILL, daemon.last_words()
        found = standing(self.deployment)
        if not daemon.said("service_ready"):
            found[RECOVERY] += 1
        self.kills += 1
        self.in_the_middle += any(found[state] for state in EVERY_STATE if state != RECOVERY)
        self.caught += found
        return found

    def kill_a_worker(self) -> None:
        pids = workers_of(self.deployment.state)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.luck.choice(pids), signal.SIGKILL)

    def kill_all_at_once(self, daemon: Daemon) -> None:
        for pid in daemon.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.process.wait()

    def random_life(self) -> None:
        """Files drop in while it lives; then it dies, alone, with its workers, or after one of them."""
        daemon = self.life()
        if self.luck.random() < 0.8:  # the others may die before they can do anything
            daemon.ready()
        end = time.monotonic() + self.luck.uniform(0.1, 0.9)
        while time.monotonic() < end:
            self.feed(self.luck.randrange(min(BATCH, max(1, len(self._due) - RESERVE))))
            time.sleep(0.02)
        if daemon.said("service_ready"):  # most of the time it dies at work
            self.feed(2 * BATCH)
            until(lambda: self.deployment.claims() or not self.deployment.waiting(), "there is work")
            time.sleep(self.luck.uniform(0, 0.05))
        how = self.luck.random()
        if how < 0.25:
            self.kill_a_worker()
        if 0.25 <= how < 0.5:
            self.kill_all_at_once(daemon)
        else:
            daemon.kill()
        self.killed(daemon)

    def aimed_life(self, state: str) -> bool:
        """It dies when a batch seems to be in that state; whether the remains say so too."""
        daemon = self.life()
        if state == RECOVERY:
            daemon.says("service_started")
            time.sleep(self.luck.uniform(0, 0.1))
            daemon.kill()
        else:
            until(lambda: not self.deployment.claims(), "what earlier lives left is done")
            seen = spot(self.deployment, state)
            self.feed(2 * BATCH, poison=state in (SPLIT, QUARANTINED))
            kill_when(daemon, seen)
        return self.killed(daemon)[state] > 0


@pytest.mark.slow
def test_whatever_is_killed_when_every_file_is_scored_exactly_once(deploy: Callable[..., Deployment]) -> None:
    print(f"seed {SEED}: set SCOREWATCH_TEST_SEED to play it again")
    deployment = deploy(SCRIPT, batch={"mini_batch_size": BATCH}, retry_settings={"max_retries": 2})
    chaos = Chaos(deployment, SEED)
    for number in range(2 * KILLS):
        chaos.random_life()
        if number % 3 == 2:
            chaos.aimed_life(RECOVERY)
        if number + 1 >= KILLS and chaos.in_the_middle >= IN_THE_MIDDLE:
            break
    for state in AIMED_AT:
        tries = 0
        while not chaos.caught[state] and not chaos.aimed_life(state):
            tries += 1
            assert tries < TRIES, f"no batch could be caught in {state}: {chaos.caught}"
    chaos.feed(FILES)
    last = deployment.once()
    told = f"seed {SEED} | kills {chaos.kills}, {chaos.in_the_middle} in the middle | caught {dict(chaos.caught)}"
    print(told)
    assert last.process.returncode == 0, last.last_words()
    assert chaos.kills >= min(20, KILLS)
    assert chaos.in_the_middle >= IN_THE_MIDDLE
    assert [state for state in EVERY_STATE if not chaos.caught[state]] == []
    check_that_all_are_where_they_belong(deployment, chaos)


def check_that_all_are_where_they_belong(deployment: Deployment, chaos: Chaos) -> None:
    once_each = dict.fromkeys(chaos.good, 1)
    assert len(chaos.good) + len(chaos.poison) == FILES
    assert deployment.scored() == once_each
    assert deployment.own_files() == {f"{content}.own": 1 for content in chaos.good}
    assert deployment.kept("quarantine") == {os.path.basename(name): 1 for name in chaos.poison}  # noqa: PTH119 - a relpath
    assert Counter(line["path"] for line in deployment.errors()) == dict.fromkeys(chaos.poison, 1)
    assert {line["reason"] for line in deployment.errors()} == {"script_raised"}
    assert summaries(deployment, "committed") == {folder.name: 1 for folder in deployment.outputs()}
    assert sum(summaries(deployment, "quarantined").values()) == len(chaos.poison)
    assert (deployment.waiting(), deployment.claims(), deployment.staged()) == ([], [], [])
    assert sum(deployment.kept("done").values()) == len(chaos.good)
    assert outcomes(deployment) == {"committed": len(chaos.good), "quarantined": len(chaos.poison)}


def summaries(deployment: Deployment, status: str) -> Counter[str]:
    return Counter(line["batch_id"] for line in deployment.summary() if line["status"] == status)


def outcomes(deployment: Deployment) -> dict[Any, Any]:
    """Files by how they ended, by the ledger alone; what is still open counts as such."""
    query = """SELECT CASE WHEN state IN ('released', 'void') THEN outcome ELSE 'open: ' || state END AS ended,
               SUM(n_files) FROM batches WHERE outcome IS NULL OR outcome NOT IN ('split', 'void') GROUP BY ended"""
    return dict(ledger_rows(deployment, query))


def test_a_worker_that_is_killed_costs_only_its_own_batch_a_try(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(
        "import os, time\n"
        "def run(mini_batch):\n"
        "    while os.path.exists(os.environ['HOLD']):\n"
        "        time.sleep(0.01)\n"
        "    return [{'id': open(path).read()} for path in mini_batch]\n",
        batch={"mini_batch_size": 1},
    )
    hold = deployment.root / "hold"
    hold.touch()
    daemon = deployment.start(environment={"HOLD": str(hold)}).ready(workers=2)
    for number in range(4):
        deployment.drop(f"f{number}")
    until(lambda: sum(w["state"] == "busy" for w in deployment.status().get("workers", ())) == 2, "both are busy")
    victim = deployment.status()["workers"][0]
    os.kill(victim["pid"], signal.SIGKILL)
    daemon.says("worker_died", worker_id=victim["worker_id"])
    retried = daemon.says("batch_retried")
    hold.unlink()
    until(lambda: len(deployment.outputs()) == 4, "all are scored")
    assert daemon.stops() == 0
    assert [line["batch_id"] for line in daemon.said("batch_retried")] == [victim["batch_id"]]
    assert "signal 9" in retried["message"] or "out of memory" in retried["message"]
    tries = Counter({manifest["batch_id"]: manifest["attempt"] for manifest in deployment.manifests()})
    assert tries.pop(victim["batch_id"]) == 2
    assert set(tries.values()) == {1}
    assert deployment.scored() == {f"f{number}": 1 for number in range(4)}


@pytest.mark.parametrize("busy_with", ["time.sleep(600)", "\n        while True: pass"])
def test_a_worker_in_the_middle_of_run_does_not_outlive_its_daemon(
    deploy: Callable[..., Deployment], busy_with: str
) -> None:
    deployment = deploy(
        "import os, time\n"
        "def run(mini_batch):\n"
        "    if os.path.exists(os.environ['HOLD']):\n"
        "        open(os.environ['HOLD'] + '-seen', 'w').close()\n"
        f"        {busy_with}\n"
        "    return [{'id': open(path).read()} for path in mini_batch]\n"
    )
    hold = deployment.root / "hold"
    hold.touch()
    deployment.drop("f")
    daemon = deployment.start(environment={"HOLD": str(hold)})
    until((deployment.root / "hold-seen").exists, "run() is called")
    assert daemon.workers()
    daemon.kill()
    until(lambda: not daemon.workers(), "the dead daemon's workers are gone", within=2.0)
    hold.unlink()
    again = deployment.start("--once", environment={"HOLD": str(hold)})
    assert again.ends() == 0
    assert deployment.scored() == {"f": 1}
    assert deployment.manifests()[0]["attempt"] == 1  # interrupted, and not to blame
