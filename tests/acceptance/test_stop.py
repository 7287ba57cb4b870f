"""How it ends: drained, dropped at once, refused at the start, or because going on makes no sense.

Each ending has its exit code, and after each the next start does what was left, once.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from deployment_kit import Deployment, until
from remains_kit import ledger_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deployment_kit import Daemon

DONE, USAGE, CANNOT_LOAD, THRESHOLD, ALREADY, UNUSABLE = 0, 2, 3, 4, 5, 6

#: run() waits as long as a file `hold` is there, and notes in `calls` each file that it was given.
HELD = """
import os, time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(mini_batch):
    with open(os.path.join(HERE, "calls"), "a") as calls:
        calls.writelines(os.path.basename(path) + "\\n" for path in mini_batch)
    while os.path.exists(os.path.join(HERE, "hold")):
        time.sleep(0.01)
    return [{"id": open(path).read()} for path in mini_batch]
"""

FILES = 12
NAMES = [f"f{number}" for number in range(FILES)]
ONCE_EACH = dict.fromkeys(NAMES, 1)


class Held:
    """A deployment whose workers are held in run()."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.hold = deployment.root / "hold"
        self.hold.touch()

    def busy(self, *arguments: str) -> Daemon:
        """Started, with files that were claimed and others that wait, and two batches in run()."""
        for name in NAMES:
            self.deployment.drop(name)
        daemon = self.deployment.start(*arguments)
        until(lambda: len(self.calls()) == 2, "two batches run")
        return daemon

    def calls(self) -> list[str]:
        """The files that run() was given, in order."""
        path = self.deployment.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def finish(self) -> None:
        """The next start scores all that was left, once each."""
        self.hold.unlink(missing_ok=True)
        assert self.deployment.once().process.returncode == DONE
        assert self.deployment.scored() == ONCE_EACH
        assert (self.deployment.waiting(), self.deployment.claims(), self.deployment.errors()) == ([], [], [])


@pytest.fixture
def held(deploy: Callable[..., Deployment]) -> Held:
    return Held(deploy(HELD, batch={"mini_batch_size": 1}, workers={"grace_seconds": 60}))


# ---------------------------------------------------------------- asked to end
def test_sigterm_lets_running_batches_end_and_keeps_the_other_claims(held: Held) -> None:
    daemon = held.busy()
    daemon.send(signal.SIGTERM)
    daemon.says("stopping", at_once=False)
    until(lambda: held.deployment.status()["phase"] == "draining", "it drains")
    held.deployment.drop("late")
    assert daemon.process.poll() is None
    held.hold.unlink()
    assert daemon.ends() == DONE
    first = held.calls()
    assert held.deployment.scored() == dict.fromkeys(first, 1)
    assert len(first) == 2
    assert "late" in held.deployment.waiting()  # nothing is claimed any more
    assert len(held.deployment.claims()) + len(held.deployment.waiting()) == FILES - 2 + 1
    assert held.deployment.staged() == []
    (held.deployment.inbox / "late").unlink()
    held.finish()
    assert sorted(held.calls()) == sorted(NAMES)  # and run() saw each of them once only


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_and_costs_nothing(held: Held, second: signal.Signals) -> None:
    daemon = held.busy()
    daemon.send(signal.SIGTERM)
    daemon.says("stopping")
    asked = time.monotonic()
    daemon.send(second)
    assert daemon.ends(within=5) == DONE
    assert time.monotonic() - asked < 5
    until(lambda: not daemon.workers(), "no worker is left", within=2)
    assert held.deployment.rows() == []
    again = Held(held.deployment)
    again.finish()
    assert [manifest["attempt"] for manifest in held.deployment.manifests()] == [1] * FILES
    query = "SELECT MAX(interruptions) FROM batches"
    assert ledger_rows(held.deployment, query) == [(0,)]


def test_what_outlasts_the_grace_time_is_dropped_and_costs_nothing(held: Held) -> None:
    held.deployment.configure(workers={"grace_seconds": 0.5})
    daemon = held.busy()
    asked = time.monotonic()
    assert daemon.stops(within=8) == DONE
    assert time.monotonic() - asked >= 0.5
    assert held.deployment.rows() == []
    held.finish()
    assert [manifest["attempt"] for manifest in held.deployment.manifests()] == [1] * FILES


def test_sigterm_during_init_does_not_wait_for_the_model(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy("import time\ndef init(): time.sleep(600)\ndef run(mini_batch): return mini_batch\n")
    deployment.drop("f")
    daemon = deployment.start()
    daemon.says("worker_started")
    assert daemon.stops(within=8) == DONE
    assert deployment.waiting() == ["f"]
    until(lambda: not daemon.workers(), "no worker is left", within=2)


def test_sigint_drains_as_sigterm_does(held: Held) -> None:
    daemon = held.busy()
    daemon.send(signal.SIGINT)
    daemon.says("stopping", at_once=False)
    held.hold.unlink()
    assert daemon.ends() == DONE
    assert sum(held.deployment.scored().values()) == 2


def test_shutdown_of_the_script_is_called_when_it_drains(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(
        "import os\n"
        "def run(mini_batch): return [{'id': 'x'} for _ in mini_batch]\n"
        "def shutdown(): open(os.environ['SEEN'] + str(os.getpid()), 'w')\n"
    )
    daemon = deployment.start(environment={"SEEN": str(deployment.root / "seen-")}).ready(workers=2)
    assert daemon.stops() == DONE
    assert len(list(deployment.root.glob("seen-*"))) == 2


def test_an_idle_service_ends_at_once(deploy: Callable[..., Deployment]) -> None:
    daemon = deploy("def run(mini_batch): return mini_batch\n").start().ready(workers=2)
    assert daemon.stops(within=5) == DONE


# ---------------------------------------------------------------- two at once
def test_a_second_daemon_is_refused_and_the_first_goes_on(held: Held) -> None:
    first = held.busy()
    second = held.deployment.start()
    assert second.ends() == ALREADY
    assert "another process runs the deployment" in second.last_words()
    third = held.deployment.once()
    assert third.process.returncode == ALREADY
    held.hold.unlink()
    until(lambda: held.deployment.scored() == ONCE_EACH, "the first scores all")
    assert first.stops() == DONE


# ---------------------------------------------------------------- reasons of its own
def test_more_failed_files_than_error_threshold_end_it(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(
        "def run(mini_batch):\n"
        "    if 'bad' in mini_batch[0]: raise ValueError('no')\n"
        "    return [{'id': open(path).read()} for path in mini_batch]\n",
        batch={"mini_batch_size": 1},
        retry_settings={"max_retries": 0},
        errors={"error_threshold": 2},
    )
    daemon = deployment.start().ready()
    for name in ("good", "bad1", "bad2"):
        deployment.drop(name)
    until(lambda: len(deployment.errors()) == 2, "two failed")
    assert daemon.process.poll() is None  # as many as the threshold are no more than it
    deployment.drop("bad3")
    assert daemon.ends() == THRESHOLD
    assert "more than error_threshold = 2" in daemon.last_words()
    assert deployment.kept("quarantine") == {"bad1": 1, "bad2": 1, "bad3": 1}
    assert deployment.claims() == []


UNLOADABLE: dict[str, tuple[str, str]] = {
    "syntax error": ("def run(mini_batch)\n", "SyntaxError"),
    "import fails": ("import no_such_module_anywhere\n", "no_such_module_anywhere"),
    "no run": ("def init(): pass\n", "run"),
    "init raises": ("def init(): raise ValueError('no model today')\ndef run(b): return b\n", "no model today"),
    "init exits": ("import sys\ndef init(): sys.exit(7)\ndef run(b): return b\n", "exit"),
    "init dies": ("import os\ndef init(): os._exit(7)\ndef run(b): return b\n", "exit code 7"),
    "import hangs": ("import time\ntime.sleep(600)\n", "took longer than 1 s"),
    "init hangs": ("import time\ndef init(): time.sleep(600)\ndef run(b): return b\n", "took longer than 1 s"),
}


@pytest.mark.parametrize(
    ("script", "arguments"), [*((script, ()) for script in UNLOADABLE), ("init dies", ("--once",))]
)
def test_a_scorer_that_cannot_be_loaded(deploy: Callable[..., Deployment], script: str, arguments: Any) -> None:
    text, words = UNLOADABLE[script]
    deployment = deploy(text, workers={"init_timeout": 1 if "hangs" in script else 60})
    deployment.drop("f")
    daemon = deployment.start(*arguments)
    assert daemon.ends() == CANNOT_LOAD
    assert words in daemon.last_words(10_000)
    assert (deployment.waiting(), deployment.claims(), deployment.errors()) == (["f"], [], [])
    until(lambda: not daemon.workers(), "no worker is left", within=2)


def test_a_script_that_is_not_there(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    deployment.drop("f")
    deployment.script.unlink()
    daemon = deployment.start()
    assert daemon.ends() == CANNOT_LOAD
    assert "the scoring script is not there" in daemon.last_words()
    assert deployment.waiting() == ["f"]
    assert not deployment.state.exists()


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"batch": {"mini_batch_sise": 3}}, "mini_batch_size"),
        ({"batch": {"mini_batch_size": 0}}, "mini_batch_size"),
        ({"deployment": {"name": "Not Allowed"}}, "name"),
        ({"output": {"format": "excel"}}, "format"),
        ({"inbox": {"after": "keep"}}, "keep"),
        ({"inbox": {"path": "outbox/in"}}, "outbox"),
        ({"output": {"path": "inbox/out"}}, "inbox"),
        ({"state": {"path": "inbox/state"}}, "inbox"),
        ({"workers": {"max_concurrency_per_instance": -1}}, "max_concurrency_per_instance"),
    ],
)
def test_a_wrong_configuration_is_told_and_nothing_is_made(
    deploy: Callable[..., Deployment], tables: Any, words: str
) -> None:
    deployment = deploy()
    deployment.drop("f")
    deployment.configure(**tables)
    daemon = deployment.start()
    assert daemon.ends() == USAGE
    assert words in daemon.last_words()
    assert "Traceback" not in daemon.last_words()
    assert deployment.waiting() == ["f"]
    assert not deployment.state.exists()
    assert not deployment.outbox.exists()


def test_no_configuration_and_no_toml(tmp_path: Path, deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    deployment.config.write_text("[deployment\n")
    assert deployment.start().ends() == USAGE
    deployment.config.unlink()
    daemon = deployment.start()
    assert daemon.ends() == USAGE
    assert str(tmp_path) in daemon.last_words()


# ---------------------------------------------------------------- wrong folders
def test_no_inbox(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    deployment.inbox.rmdir()
    daemon = deployment.start()
    assert daemon.ends() == UNUSABLE
    assert "the inbox is not there" in daemon.last_words()
    assert not deployment.inbox.exists()


def scored_once(deploy: Callable[..., Deployment]) -> Deployment:
    deployment = deploy()
    deployment.drop("f")
    assert deployment.once().process.returncode == DONE
    return deployment


@pytest.mark.parametrize("role", ["inbox", "outbox", "state"])
def test_a_folder_that_is_empty_now_is_not_believed(deploy: Callable[..., Deployment], role: str) -> None:
    deployment = scored_once(deploy)
    folder: Path = getattr(deployment, role)
    away = folder.rename(folder.with_name("away"))
    folder.mkdir(mode=0o700)
    daemon = deployment.start()
    assert daemon.ends() == UNUSABLE, daemon.last_words()
    assert "; " in daemon.last_words()  # what to do
    assert list(folder.iterdir()) == []
    folder.rmdir()
    away.rename(folder)
    deployment.drop("g")
    assert deployment.once().process.returncode == DONE
    assert deployment.scored() == {"f": 1, "g": 1}


@pytest.mark.parametrize("role", ["inbox", "outbox", "state"])
def test_a_folder_that_is_gone_is_not_made_again(deploy: Callable[..., Deployment], role: str) -> None:
    deployment = scored_once(deploy)
    folder: Path = getattr(deployment, role)
    folder.rename(folder.with_name("away"))
    assert deployment.start().ends() == UNUSABLE
    assert not folder.exists()


def test_the_folders_of_another_deployment_are_refused(deploy: Callable[..., Deployment]) -> None:
    mine, other = scored_once(deploy), deploy(folder="other")
    other.configure(deployment={"name": "other"}, output={"path": str(mine.outbox)})
    daemon = other.start()
    assert daemon.ends() == UNUSABLE
    assert "belongs to the deployment 't'" in daemon.last_words()


def test_a_ledger_that_is_gone_is_not_begun_anew(deploy: Callable[..., Deployment]) -> None:
    deployment = scored_once(deploy)
    deployment.state.joinpath("ledger.db").unlink()
    daemon = deployment.start()
    assert daemon.ends() == UNUSABLE
    assert "ledger rebuild" in daemon.last_words()


def test_two_deployments_may_share_an_inbox_and_each_file_goes_to_one(deploy: Callable[..., Deployment]) -> None:
    one, two = deploy(folder="one"), deploy(folder="two")
    two.configure(deployment={"name": "two"}, inbox={"path": str(one.inbox)})
    daemons = [one.start().ready(), two.start().ready()]
    for number in range(200):
        one.drop(f"f{number}")
    until(lambda: sum((one.scored() + two.scored()).values()) >= 200, "all are scored")
    assert [daemon.stops() for daemon in daemons] == [DONE, DONE]
    assert one.scored() + two.scored() == {f"f{number}": 1 for number in range(200)}
