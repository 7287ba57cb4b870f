"""A worker that speaks the protocol and loads nothing: what it does with a batch is the name of its first file.

Run as `python fakeworker.py FD`. `gated` waits until a file `gate` lies beside it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

from scorewatch.worker import messages

line = socket.socket(fileno=int(sys.argv[1]))
changed = threading.Condition()
orders: deque[dict] = deque()
answers: list[dict] = []
stopped = False
deaf_on_purpose = False
init: dict = {}


def say(word: str, order: dict | None = None, **more: object) -> None:
    which = {key: order[key] for key in ("batch_id", "dispatch")} if order else {}
    line.sendall(messages.encode({"say": word, **which, **more}))


def give_back(some: list[dict]) -> None:
    for order in some:
        orders.remove(order)
        say("returned", order)


def hear() -> None:
    global stopped  # noqa: PLW0603 - a script of one purpose
    splitter = messages.Splitter(1 << 30)
    while data := line.recv(65536):
        for message in splitter.feed(data):
            with changed:
                changed.notify_all()
                if message["do"] == "init":
                    init.update(message)
                elif message["do"] == "run":
                    orders.append(message)
                elif message["do"] == "schema":
                    answers.append(message)
                elif message["do"] == "stop":
                    stopped = True
                    give_back(list(orders))
                elif message["do"] == "withdraw":
                    give_back([each for each in orders if each["batch_id"] == message["batch_id"]])
    if not deaf_on_purpose:
        os._exit(1)


def done(order: dict, **other: object) -> None:
    staging = f"{init['staging']}/{order['batch_id']}.{order['dispatch']}"
    Path(staging).mkdir(parents=True)
    Path(staging, "predictions.jsonl").write_text("{}\n")
    receipt = {
        "rows": len(order["files"]),
        "succeeded": len(order["files"]),
        "outputs": [{"name": "predictions.jsonl", "size_bytes": 3}],
        "seconds": {"load": 0.1, "run": 0.2, "write": 0.3},
        "peak_rss_bytes": 1000,
        "staging": staging,
        "failed_files": [],
        "note": "",
        "schema_conflicts": [],
    }
    say("done", order, **{**receipt, **other})


def gated(order: dict) -> None:
    while not Path(order["root"], "gate").exists():
        time.sleep(0.005)
    plain(order)


def plain(order: dict) -> None:
    say("ran", order)
    done(order)


def raises(order: dict) -> None:
    print("about to raise")
    failure = {"kind": "script_raised", "message": "no good", "exception": "ValueError", "traceback": "Traceback"}
    say("failed", order, **failure, file=order["files"][0])


def schema(order: dict) -> None:
    say("ran", order)
    say("schema", order, columns=[["prediction", "int64"]])
    with changed:
        changed.wait_for(lambda: answers)
    assert answers[0]["columns"] == [["prediction", "int64"], ["extra", "string"]]
    done(order)


def exits(_: dict) -> None:
    os._exit(0)


def killed(_: dict) -> None:
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def spins(_: dict) -> None:
    while True:
        pass


def garbage(_: dict) -> None:
    line.sendall(b"\x80\x04this is no message\n")
    time.sleep(60)


def garbage_after_words(order: dict) -> None:
    line.sendall(messages.encode({"say": "ran", "batch_id": order["batch_id"], "dispatch": order["dispatch"]}) + b"?\n")
    time.sleep(60)


def floods(_: dict) -> None:
    while True:
        line.sendall(b"x" * 65536)


def babbles(_: dict) -> None:
    say("bonjour")
    time.sleep(60)


def lies(order: dict) -> None:
    say("ran", order)
    done(order, staging="/etc")
    time.sleep(60)


def closes(_: dict) -> None:
    global deaf_on_purpose  # noqa: PLW0603 - a script of one purpose
    deaf_on_purpose = True
    line.shutdown(socket.SHUT_RDWR)  # closing alone does nothing while the other thread reads
    os.closerange(0, 1000)
    while True:
        time.sleep(60)


def turns_deaf(order: dict) -> None:
    global deaf_on_purpose  # noqa: PLW0603 - a script of one purpose
    deaf_on_purpose = True
    line.shutdown(socket.SHUT_RD)
    say("ran", order)
    time.sleep(60)


def segfaults(_: dict) -> None:
    ctypes.string_at(0)


def tells(order: dict) -> None:
    for key in ("staging", "scratch", "worker_id", "slot"):
        print(key, init[key])
    for key in ("OMP_NUM_THREADS", "GREETING", "CUDA_VISIBLE_DEVICES", "NOTIFY_SOCKET"):
        print(key, os.environ.get(key))
    print("fds", *("line" if fd == line.fileno() else fd for fd in range(1000) if _is_open(fd)))
    print("leads its group", os.getpgid(0) == os.getpid())
    print("stdin", Path("/proc/self/fd/0").readlink())
    plain(order)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def prints(order: dict) -> None:
    for number in range(8 * 1024):
        print(f"{number:1023}")
    print("the end", file=sys.stderr)
    plain(order)


def forks(_: dict) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print("child", child.pid, flush=True)
    os._exit(3)


def litters(_: dict) -> None:
    Path("sub").mkdir()
    Path("sub/litter").write_text("x")
    print("cwd", Path.cwd(), flush=True)
    os._exit(4)


def last_words(order: dict) -> None:
    plain(order)
    os._exit(5)


def main() -> None:
    threading.Thread(target=hear, daemon=True).start()
    with changed:
        changed.wait_for(lambda: init)
    say("hello", pid=os.getpid(), python="3", executable=sys.executable)
    if init.get("init") == "fails":
        say("init_failed", kind="script_raised", message="no model", exception="KeyError", traceback="Traceback")
        os._exit(1)
    if init.get("init") == "hangs":
        time.sleep(60)
    say("ready", init_s=0.5, rss_bytes=1, model="fake", script_sha256="00")
    while True:
        with changed:
            changed.wait_for(lambda: orders or stopped)
            if stopped:
                os._exit(0)
            order = orders.popleft()
        say("start", order)
        globals()[order["files"][0]](order)


main()
