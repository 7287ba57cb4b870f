"""SIGHUP: what is new holds for what comes after, a mistake changes nothing, and no file is lost over it."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING

from deployment_kit import Deployment, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployment_kit import Daemon

VERSIONED = """
import os


def run(mini_batch):
    model, pid = os.environ.get("MODEL", "old"), os.getpid()
    return [{"id": open(path).read(), "model": model, "pid": pid} for path in mini_batch]
"""


def reload(daemon: Daemon) -> None:
    daemon.send(signal.SIGHUP)


def names(first: int, last: int) -> list[str]:
    return [f"f{number:03}" for number in range(first, last)]


def drop_and_wait(deployment: Deployment, first: int, last: int) -> None:
    for name in names(first, last):
        deployment.drop(name)
    until(lambda: sum(deployment.scored().values()) >= last, f"{last} files are scored")


def test_a_new_batch_size_holds_for_batches_sealed_later(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(batch={"mini_batch_size": 4, "max_wait_seconds": 1})
    daemon = deployment.start().ready()
    drop_and_wait(deployment, 0, 8)
    pids = sorted(daemon.workers())
    deployment.configure(batch={"mini_batch_size": 2})
    reload(daemon)
    line = daemon.says("reloaded")
    assert (line["later_batches"], line["new_workers"], line["needs_restart"]) == (["[batch] mini_batch_size"], [], [])
    drop_and_wait(deployment, 8, 16)
    sizes = [len(manifest["files"]) for manifest in deployment.manifests()]
    assert max(sizes) == 4
    assert sizes.count(2) >= 4
    assert sorted(daemon.workers()) == pids  # nobody had to load the model again
    assert daemon.stops() == 0
    assert deployment.scored() == dict.fromkeys(names(0, 16), 1)


def test_workers_are_replaced_one_by_one_and_the_new_one_is_ready_first(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(VERSIONED, batch={"mini_batch_size": 1})
    daemon = deployment.start().ready(workers=2)
    for name in names(0, 100):
        deployment.drop(name)
    deployment.configure(deployment={"environment_variables": {"MODEL": "new"}})
    reload(daemon)
    assert daemon.says("reloaded")["new_workers"] == ["[deployment] environment_variables"]
    for name in names(100, 200):
        deployment.drop(name)
    until(lambda: len(daemon.said("worker_ended")) == 2, "both old workers ended")
    drop_and_wait(deployment, 200, 220)
    assert daemon.stops() == 0, daemon.last_words()
    assert deployment.scored() == dict.fromkeys(names(0, 220), 1)
    assert deployment.errors() == []
    by_name = {row["id"]: row["model"] for row in deployment.rows()}
    assert {by_name[name] for name in names(200, 220)} == {"new"}
    assert len({row["pid"] for row in deployment.rows()}) <= 4
    assert turns(daemon) == [*["worker_ready"] * 2, *["worker_ready", "worker_stopping"] * 2, *["worker_stopping"] * 2]
    assert daemon.said("worker_killed") == []


def turns(daemon: Daemon) -> list[str]:
    """Who came and who was sent away, in order: never is one sent before its successor is there."""
    return [line["event"] for line in daemon.log() if line["event"] in {"worker_ready", "worker_stopping"}]


def test_a_new_script_is_loaded(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready(workers=2)
    drop_and_wait(deployment, 0, 4)
    second = deployment.script.with_name("better.py")
    second.write_text(VERSIONED)
    deployment.configure(deployment={"scoring_script": "code/better.py"})
    reload(daemon)
    until(lambda: len(daemon.said("worker_ended")) == 2, "both old workers ended")
    drop_and_wait(deployment, 4, 8)
    assert daemon.stops() == 0
    rows = Counter(("model" in row) for row in deployment.rows())
    assert rows == {False: 4, True: 4}


def test_more_and_fewer_workers(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(VERSIONED, workers={"max_concurrency_per_instance": 1})
    daemon = deployment.start().ready(workers=1)
    deployment.configure(workers={"max_concurrency_per_instance": 3})
    reload(daemon)
    until(lambda: len(daemon.workers()) == 3 and len(daemon.said("worker_ended")) == 1, "three new workers")
    drop_and_wait(deployment, 0, 20)
    deployment.configure(workers={"max_concurrency_per_instance": 1})
    reload(daemon)
    until(lambda: len(daemon.workers()) == 1 and len(daemon.said("worker_ended")) == 4, "one new worker")
    drop_and_wait(deployment, 20, 40)
    assert daemon.stops() == 0
    assert deployment.scored() == dict.fromkeys(names(0, 40), 1)


def test_a_bad_configuration_changes_nothing_and_is_told(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(batch={"mini_batch_size": 4})
    daemon = deployment.start().ready(workers=2)
    pids = sorted(daemon.workers())
    for tables, words in (
        ({"batch": {"mini_batch_sise": 1}}, "mini_batch_size"),
        ({"batch": {"mini_batch_size": -1}}, ""),
    ):
        deployment.configure(**tables)
        known = len(daemon.said("reload_refused"))
        reload(daemon)
        until(lambda known=known: len(daemon.said("reload_refused")) > known, "it is refused")  # type: ignore[misc]
        assert words in daemon.said("reload_refused")[-1]["what"]
        deployment.tables["batch"] = {"mini_batch_size": 4, "max_wait_seconds": 0.1}
    deployment.config.write_text("[deployment\n")
    reload(daemon)
    until(lambda: len(daemon.said("reload_refused")) == 3, "no TOML is refused")
    deployment.config.unlink()
    reload(daemon)
    until(lambda: len(daemon.said("reload_refused")) == 4, "no file is refused")
    drop_and_wait(deployment, 0, 8)
    assert sorted(daemon.workers()) == pids
    assert daemon.said("reloaded") == []
    assert daemon.stops() == 0
    assert {len(manifest["files"]) for manifest in deployment.manifests()} <= {1, 2, 3, 4}


def test_what_needs_a_restart_is_named_and_stays_as_it_was(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready()
    deployment.configure(
        deployment={"name": "another"},
        inbox={"recursive": False},
        output={"path": "outbox2"},
        batch={"mini_batch_size": 3},
    )
    reload(daemon)
    line = daemon.says("reloaded")
    assert sorted(line["needs_restart"]) == ["[deployment] name", "[inbox] recursive", "[output] path"]
    assert line["later_batches"] == ["[batch] mini_batch_size"]
    deployment.drop("below/f000", "f000")
    until(deployment.scored, "it is scored where it always was")
    assert daemon.stops() == 0
    assert not (deployment.root / "outbox2").exists()
    assert {manifest["deployment"] for manifest in deployment.manifests()} == {"t"}


def test_a_new_script_that_cannot_be_loaded_leaves_the_old_workers_at_work(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready(workers=2)
    broken = deployment.script.with_name("broken.py")
    broken.write_text("def init(): raise ValueError('not this one')\ndef run(mini_batch): return []\n")
    deployment.configure(deployment={"scoring_script": "code/broken.py"})
    reload(daemon)
    daemon.says("worker_init_failed")
    drop_and_wait(deployment, 0, 12)
    assert daemon.process.poll() is None
    deployment.configure(deployment={"scoring_script": "code/score.py"})
    reload(daemon)
    drop_and_wait(deployment, 12, 24)
    assert daemon.stops() == 0
    assert deployment.scored() == dict.fromkeys(names(0, 24), 1)
    assert deployment.errors() == []


def test_the_log_follows_a_reload(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    daemon = deployment.start().ready()
    deployment.configure(logging={"logging_level": "debug"})
    reload(daemon)
    daemon.says("reloaded")
    drop_and_wait(deployment, 0, 1)
    daemon.says("files_settled")
    assert daemon.stops() == 0
