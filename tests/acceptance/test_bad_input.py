"""What strangers drop: no regular files, odd names, files that change, too many, too big, never whole.

Each is scored once, or told: a line in the log, a line in `errors/` with its reason, and the thing itself kept.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deployment_kit import Deployment, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployment_kit import Daemon
    from mount_kit import Mounts

MANY = int(os.environ.get("SCOREWATCH_TEST_MANY", "100000"))
CANARY = "the-canary-in-the-shadow-file"

#: Scores after `hold` is gone.
HELD = """
import os, time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(mini_batch):
    rows = [{"id": open(path).read()} for path in mini_batch]
    with open(os.path.join(HERE, "calls"), "a") as calls:
        calls.writelines(os.path.basename(path) + "\\n" for path in mini_batch)
    while os.path.exists(os.path.join(HERE, "hold")):
        time.sleep(0.01)
    return rows
"""


def reasons(deployment: Deployment) -> dict[str, str]:
    """The reason for each path in errors/, each of which has one line."""
    counted = Counter(line["path"] for line in deployment.errors())
    assert max(counted.values(), default=1) == 1, counted
    return {line["path"]: line["reason"] for line in deployment.errors()}


def calls(deployment: Deployment) -> list[str]:
    path = deployment.root / "calls"
    return path.read_text().splitlines() if path.exists() else []


def everything_written(deployment: Deployment) -> bytes:
    """All that readers of the outbox and of the logs could ever see."""
    files = [path for path in deployment.outbox.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in [*files, *deployment.root.glob("log-*")])


# ---------------------------------------------------------------- no regular files
def test_links_fifos_sockets_devices_and_empty_files_are_skipped_and_listed(
    deploy: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deploy()
    inbox = deployment.inbox
    secret = deployment.root / "secret"
    secret.write_text(CANARY)
    (deployment.root / "folder").mkdir()
    (deployment.root / "folder" / "inside").write_text(CANARY)
    (inbox / "link").symlink_to(secret)
    (inbox / "dangling").symlink_to("nowhere")
    (inbox / "loop").symlink_to("loop")
    (inbox / "folderlink").symlink_to(deployment.root / "folder")
    (inbox / "up").symlink_to("..")
    os.mkfifo(inbox / "fifo")
    (inbox / "empty").touch()
    monkeypatch.chdir(inbox)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    expected = dict.fromkeys(("link", "dangling", "loop", "folderlink", "up"), "symlink")
    expected |= {"fifo": "fifo", "socket": "socket", "empty": "empty"}
    if os.geteuid() == 0:
        os.mknod(inbox / "device", 0o20666, os.makedev(1, 5))  # /dev/zero: whoever reads it never ends
        expected["device"] = "device"
    deployment.drop("good")
    daemon = deployment.once()
    assert daemon.process.returncode == 0, daemon.last_words()
    assert deployment.scored() == {"good": 1}
    assert reasons(deployment) == expected
    assert {line["outcome"] for line in deployment.errors()} == {"skipped"}
    assert all(line["message"] for line in deployment.errors())
    for line in deployment.errors():
        assert os.path.lexists(inbox / line["where"])  # kept, as it was
    assert (inbox / lines_of(deployment)["link"]["where"]).is_symlink()
    assert deployment.waiting() == []
    told = Counter[str]()
    for said in daemon.said("files_skipped"):
        told.update(said["reasons"])
    assert told == Counter(expected.values())
    assert CANARY.encode() not in everything_written(deployment)
    assert secret.read_text() == CANARY


def lines_of(deployment: Deployment) -> dict[str, dict[str, str]]:
    return {line["path"]: line for line in deployment.errors()}


def without_the_rights_of_root() -> list[str]:
    """A prefix under which root, too, needs a permission to read."""
    if os.geteuid() != 0:
        return []
    caps = "-dac_override,-dac_read_search"
    prefix = ["setpriv", "--bounding-set", caps, "--inh-caps", caps]
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("takes setpriv")
    if done.returncode:
        pytest.skip("capabilities can't be dropped here")
    return prefix


def test_what_may_not_be_read_is_listed_and_scored_once_it_may(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    deployment.drop("good")
    deployment.drop("closed/inside")
    closed, unreadable = deployment.inbox / "closed", deployment.drop("unreadable")
    closed.chmod(0)
    unreadable.chmod(0)
    daemon = deployment.start(wrapper=without_the_rights_of_root()).ready()
    until(lambda: len(deployment.errors()) == 2 and deployment.scored(), "both are listed")
    assert reasons(deployment) == {"closed": "unreadable", "unreadable": "unreadable"}
    assert deployment.scored() == {"good": 1}
    assert all("permission" in line["message"].lower() for line in deployment.errors())
    closed.chmod(0o700)
    unreadable.chmod(0o600)
    until(lambda: sum(deployment.scored().values()) == 3, "they are scored")
    assert daemon.stops() == 0
    assert deployment.scored() == {"good": 1, "closed/inside": 1, "unreadable": 1}
    assert len(deployment.errors()) == 2


# ---------------------------------------------------------------- names
ODD = [
    b"n" * 255,
    b"new\nline",
    b'forged\n{"level":"info","event":"service_ready"}',
    b"bell\x07 and \x1b[31mred\x1b[0m",
    b"\x01\x02\x7f",
    b"latin-\xe9\xff",
    b"\xed\xa0\x80",  # a surrogate, as UTF-8 must not spell it
    "bidi-\u202egnp.exe".encode(),
    b"-rf",
    b"--config=x",
    b"=cmd|' C calc'!A0",
    b"@SUM(1)",
    b"quote'\"`$(id)",
    b"  spaces  ",
    b"back\\slash",
    b"per%cent%s{x}",
    b"_error.json",
    b"_manifest.json",
    b"predictions.jsonl",
    "émoji-😀".encode(),
    b"CON",
    b"sealed_date=2020-01-01",
]


@pytest.mark.parametrize("form", ["json", "console"])
def test_any_name_is_scored_and_told_harmlessly(deploy: Callable[..., Deployment], form: str) -> None:
    deployment = deploy(
        "def run(mini_batch):\n    return [{'id': open(path).read()} for path in mini_batch]\n",
        batch={"mini_batch_size": 4},
        logging={"format": form, "logging_level": "debug"},
    )
    folder = os.fsencode(deployment.inbox)
    for number, name in enumerate(ODD):
        with open(folder + b"/" + name, "w") as file:  # noqa: PTH123 - bytes
            file.write(f"content-{number}")
    os.makedirs(folder + b"/odd\xff\n\x1b[1m/deeper ")  # noqa: PTH103 - bytes
    with open(folder + b"/odd\xff\n\x1b[1m/deeper /x", "w") as file:  # noqa: PTH123 - bytes
        file.write("content-deep")
    (deployment.inbox / "..hidden").write_text("ignored")  # a dot in front: such names are never inputs
    daemon = deployment.once()
    assert daemon.process.returncode == 0, daemon.last_words()
    contents = [*(f"content-{number}" for number in range(len(ODD))), "content-deep"]
    assert deployment.scored() == dict.fromkeys(contents, 1)
    names = [*(os.fsdecode(name) for name in ODD), os.fsdecode(b"odd\xff\n\x1b[1m/deeper /x")]
    assert {row["id"]: row["file"] for row in deployment.rows()} == dict(zip(contents, names, strict=True))
    assert deployment.scored_files() == dict.fromkeys(names, 1)
    assert deployment.waiting() == ["..hidden"]
    raw = b"".join(path.read_bytes() for path in deployment.root.glob("log-*"))
    assert b"\x1b" not in raw
    assert b"\x07" not in raw
    assert "\u202e".encode() not in raw
    raw.decode("utf-8")
    if form == "json":
        assert all(json.loads(line) for line in raw.splitlines() if line.startswith(b"{"))
        assert len(daemon.said("service_ready")) == 1
    assert not any(line.startswith(b'{"level":"info","event":"service_ready"}') for line in raw.splitlines())


def test_odd_names_that_fail_are_told_harmlessly_too(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(
        "def run(mini_batch):\n    raise ValueError('bad: ' + repr(mini_batch))\n",
        retry_settings={"max_retries": 0},
        batch={"mini_batch_size": 1},
    )
    folder = os.fsencode(deployment.inbox)
    for name in ODD:
        with open(folder + b"/" + name, "w") as file:  # noqa: PTH123 - bytes
            file.write("x")
    daemon = deployment.once()
    assert daemon.process.returncode == 0, daemon.last_words()
    assert Counter(line["path"] for line in deployment.errors()) == dict.fromkeys(map(os.fsdecode, ODD), 1)
    for line in deployment.errors():
        assert (deployment.inbox / line["where"]).read_text() == "x"
    raw = b"".join(path.read_bytes() for path in deployment.root.glob("log-*"))
    assert b"\x1b" not in raw
    listed = b"".join(path.read_bytes() for path in deployment.outbox.glob("errors/*"))
    assert listed.isascii()
    assert b"\x1b" not in listed


# ---------------------------------------------------------------- files that change
class Reading:
    """A file that is being scored while its writer still has a way to it."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.hold = deployment.root / "hold"
        self.hold.touch()

    def begin(self, content: str) -> tuple[Daemon, Path]:
        file = self.deployment.drop("f", content)
        link = self.deployment.elsewhere / "link"
        link.hardlink_to(file)
        daemon = self.deployment.start()
        until(lambda: calls(self.deployment), "it is being scored")
        return daemon, link

    def ends(self, daemon: Daemon, content: str) -> None:
        self.hold.unlink()
        until(lambda: sum(self.deployment.scored().values()), "it is scored")
        assert daemon.stops() == 0
        assert self.deployment.scored() == {content: 1}
        assert self.deployment.errors() == []
        assert daemon.said("publish_failed")
        assert self.deployment.manifests()[0]["files"][0]["size_bytes"] == len(content)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten"])
def test_a_file_that_changes_while_it_is_scored_is_scored_again(deploy: Callable[..., Deployment], change: str) -> None:
    reading = Reading(deploy(HELD))
    daemon, link = reading.begin("0123456789")
    content = {"grows": "0123456789more", "shrinks": "0123", "is rewritten": "9876543210"}[change]
    link.write_text(content)
    reading.ends(daemon, content)


def test_a_file_that_changes_under_every_attempt_is_set_aside_for_that(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(
        "import os\n"
        "def run(mini_batch):\n"
        "    with open(os.environ['LINK'], 'a') as file: file.write('+')\n"
        "    return [{'id': open(path).read()} for path in mini_batch]\n",
        retry_settings={"max_retries": 1},
    )
    link = deployment.elsewhere / "link"
    link.hardlink_to(deployment.drop("f", "x"))
    daemon = deployment.start(environment={"LINK": str(link)})
    until(deployment.errors, "it is set aside")
    assert daemon.stops() == 0
    assert reasons(deployment) == {"f": "input_changed"}
    assert deployment.rows() == []
    assert deployment.kept("quarantine") == {"f": 1}


def test_files_deleted_before_their_claim_are_withdrawn(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(HELD, batch={"mini_batch_size": 1}, workers={"max_concurrency_per_instance": 1})
    (deployment.root / "hold").touch()
    daemon = deployment.start().ready()
    for number in range(40):
        deployment.drop(f"f{number:02}")
    until(lambda: len(deployment.claims()) == 8 and len(deployment.waiting()) == 32, "as much is claimed as may be")
    until(lambda: deployment.status()["counts"]["arrived"] == 40, "all of them were seen")
    gone = deployment.waiting()[::2]
    for name in gone:
        (deployment.inbox / name).unlink()
    (deployment.root / "hold").unlink()
    until(lambda: sum(deployment.scored().values()) == 40 - len(gone), "the others are scored")
    until(lambda: not deployment.claims(), "nothing is owed")
    until(lambda: deployment.status()["counts"]["withdrawn"] == len(gone), "those that went are counted")
    assert daemon.stops() == 0
    assert deployment.scored() == {f"f{number:02}": 1 for number in range(40) if f"f{number:02}" not in gone}
    assert deployment.errors() == []
    counts = deployment.status()["counts"]
    assert (counts["arrived"], counts["done"], counts["failed"]) == (40, 40 - len(gone), 0)


def test_a_name_that_is_used_again_while_the_first_is_scored(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(HELD, batch={"mini_batch_size": 1})
    (deployment.root / "hold").touch()
    daemon = deployment.start()
    deployment.drop("f", "first")
    until(lambda: calls(deployment), "the first is being scored")
    deployment.drop("f", "second")
    until(lambda: len(calls(deployment)) == 2, "so is the second")
    (deployment.root / "hold").unlink()
    until(lambda: len(deployment.rows()) == 2, "both are scored")
    assert daemon.stops() == 0
    assert deployment.scored() == {"first": 1, "second": 1}
    assert deployment.kept("done") == {"f": 2}


# ---------------------------------------------------------------- too many, too big, never whole
@pytest.mark.slow
def test_a_hundred_thousand_files_in_one_folder_in_bounded_memory(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(
        "def run(mini_batch):\n    return [0] * len(mini_batch)\n",
        batch={"mini_batch_size": 500},
        state={"durability": "process"},
    )
    for number in range(MANY):
        with open(f"{deployment.inbox}/f{number:06}", "w") as file:  # noqa: PTH123 - a hundred thousand times
            file.write("x")
    began = time.monotonic()
    daemon = deployment.start()
    daemon.says("batch_committed")
    first = time.monotonic() - began
    until(lambda: deployment.status().get("counts", {}).get("done") == MANY, "all are scored", within=90)
    took = time.monotonic() - began
    until(lambda: not deployment.claims(), "nothing is owed")
    peak = peak_memory(daemon.pid)
    assert daemon.stops() == 0
    print(f"{MANY} files: first batch after {first:.1f} s, all after {took:.1f} s, {peak / 1e6:.0f} MB at most")
    counted = deployment.scored_files()
    assert (len(counted), max(counted.values())) == (MANY, 1)
    assert sum(manifest["rows"] for manifest in deployment.manifests()) == MANY
    assert first < 10
    assert took < 60
    assert peak < 100e6


def peak_memory(pid: int) -> int:
    """The most that a process ever held, in bytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_a_file_that_is_too_big_is_skipped_and_listed(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(inbox={"max_file_bytes": 10})
    deployment.drop("small", "0123456789")
    deployment.drop("big", "0123456789x")
    assert deployment.once().process.returncode == 0
    assert deployment.scored() == {"0123456789": 1}
    assert reasons(deployment) == {"big": "too_big"}
    assert "11 bytes" in deployment.errors()[0]["message"]
    assert deployment.kept("skipped") == {"big": 1}


def test_a_batch_job_lists_what_is_still_being_written(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    deployment.drop("whole")
    with (deployment.inbox / "half").open("w") as writer:
        writer.write("half of i")
        writer.flush()
        daemon = deployment.once()
    assert daemon.process.returncode == 0
    assert deployment.scored() == {"whole": 1}
    assert deployment.waiting() == ["half"]
    assert "still being written, left in the inbox: half" in daemon.last_words()
    assert deployment.errors() == []
    assert deployment.once().process.returncode == 0
    assert deployment.scored() == {"whole": 1, "half of i": 1}


def test_what_never_becomes_whole_is_skipped_after_a_while(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(inbox={"incomplete_seconds": 1})
    with (deployment.inbox / "half").open("w") as writer:
        writer.write("half of i")
        writer.flush()
        daemon = deployment.start()
        until(deployment.errors, "it is listed")
        assert daemon.stops() == 0
    assert reasons(deployment) == {"half": "never_completed"}
    assert deployment.kept("skipped") == {"half": 1}
    assert deployment.rows() == []


def test_markers_say_what_is_whole(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(inbox={"ready_when": "marker", "incomplete_seconds": 3})
    daemon = deployment.start().ready()
    deployment.drop("sub/unmarked", "unmarked")
    deployment.drop("sub/marked", "marked")
    deployment.drop("sub/marked.done", "")
    until(deployment.scored, "the marked one is scored")
    assert deployment.scored() == {"marked": 1}
    assert "sub/unmarked" in deployment.waiting()
    deployment.drop("sub/unmarked.done", "")
    deployment.drop("forgotten", "forgotten")
    deployment.drop("orphan.done", "")
    until(lambda: len(deployment.errors()) == 2, "what nobody completes is listed")
    assert reasons(deployment) == {"forgotten": "never_completed", "orphan.done": "orphan_marker"}
    until(lambda: deployment.scored() == {"marked": 1, "unmarked": 1}, "the other is scored once it is marked")
    assert daemon.stops() == 0
    assert deployment.waiting() == []


# ---------------------------------------------------------------- where nothing can be renamed
def test_an_inbox_whose_claims_lie_on_another_mount_is_refused_with_the_way_out(
    mounts: Mounts, deploy: Callable[..., Deployment]
) -> None:
    deployment = deploy()
    ours = deployment.inbox / ".scorewatch"
    ours.mkdir(mode=0o700)
    mounts.bind(ours, ours)
    deployment.drop("f")
    daemon = deployment.start()
    assert daemon.ends() == 6
    assert 'set [inbox] claim = "ledger"' in daemon.last_words()
    assert deployment.waiting() == ["f"]


def test_an_inbox_that_may_only_be_read_is_scored_once_and_again_only_what_changed(
    mounts: Mounts, deploy: Callable[..., Deployment]
) -> None:
    deployment = deploy(inbox={"claim": "ledger", "after": "keep"})
    source = deployment.root / "source"
    (source / "sub").mkdir(parents=True)

    def put(name: str, content: str) -> None:
        (deployment.elsewhere / "made").write_text(content)
        (deployment.elsewhere / "made").rename(source / name)

    for number in range(20):
        put(f"f{number}", f"f{number}")
    (source / "empty").touch()
    (source / "link").symlink_to("/etc/passwd")
    mounts.bind(source, deployment.inbox, read_only=True)
    expected = {f"f{number}": 1 for number in range(20)}
    daemon = deployment.start()
    until(lambda: len(deployment.rows()) == 20 and len(deployment.errors()) == 2, "all are scored or listed")
    put("sub/late", "late")
    expected["late"] = 1
    until(lambda: len(deployment.rows()) == 21, "what comes later is, too")
    assert daemon.stops() == 0
    assert deployment.once().process.returncode == 0
    assert deployment.scored() == expected  # nothing twice over a restart
    put("f3", "f3, changed")
    assert deployment.once().process.returncode == 0
    assert deployment.scored() == {**expected, "f3, changed": 1}
    assert len(list(source.iterdir())) == 23
    # Where nothing can be moved, each start tells of it anew.
    assert {(line["path"], line["reason"]) for line in deployment.errors()} == {("empty", "empty"), ("link", "symlink")}


def test_a_file_that_is_replaced_where_nothing_moves_is_scored_as_what_it_is_now(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(HELD, inbox={"claim": "ledger", "after": "keep"}, batch={"mini_batch_size": 1})
    (deployment.root / "hold").touch()
    deployment.drop("f", "before")
    daemon = deployment.start()
    until(lambda: calls(deployment), "it is being scored")
    deployment.drop("f", "after")
    (deployment.root / "hold").unlink()
    until(lambda: deployment.scored()["after"], "what it is now is scored")
    assert daemon.stops() == 0
    assert deployment.once().process.returncode == 0
    assert deployment.scored() == {"after": 1}
    assert deployment.errors() == []
