"""The life of a worker: HELLO, load, READY, then batch after batch until STOP or the daemon's end.

The INIT message's fields (all but `staging` and `scratch` have defaults; unknown ones are passed over):
    deployment             its name
    scorer                 a name in `scorers.SCORERS`: "script"
    code                   folder that is put first on sys.path
    script                 the scoring script, relative to `code`, absolute, or a dotted module name
    model, model_layout    absolute path or null; "parent": $AZUREML_MODEL_DIR/<base name> is a link to it;
                           "direct": $AZUREML_MODEL_DIR is the folder itself
    arguments              sys.argv after the flags of Azure's driver, which are made from mini_batch_size,
                           error_threshold, output_action, logging_level, run_invocation_timeout (seconds of one
                           run()), run_max_try (retries + 1), append_row_file_name (default: output_file_name)
    environment_variables  set again here, after the spawner
    staging                absolute `<outbox>/.staging/<epoch>-<serial>`, not there yet; made here, with `out` in it
    scratch                absolute, made by the spawner; becomes the cwd
    output_action          "append_row" or "summary_only"
    format                 a name in `sinks.SINKS`: "parquet", "csv", "jsonl", "azure"
    output_file_name       of the rows
    per_file               run() is called once a file
    run_id                 $AZUREML_RUN_ID; default: the deployment's name
    durability             "power": output is fsynced; "process": it is not
    worker_id, slot        for messages of the script's own making
    max_result_rows        more rows from one batch are refused; null: no limit

READY carries pid, init_s, warmup_s (both seconds), rss_bytes, model, script_sha256.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import sys
import time
from typing import NoReturn

from . import failures, messages, scoring, sinks, surroundings
from .channel import Channel
from .failures import CannotLoadError
from .orders import Deployment, Key, Order, Orders, schema_of
from .scorers import Scorer
from .scorers import make as make_scorer
from .staging import Staging
from .writing import Job, Writer, failed

CANNOT_LOAD = 3


def main(fd: int) -> NoReturn:
    """Be a worker on the socket `fd`; never returns."""
    surroundings.tie_to_parent()
    channel = Channel(fd)
    surroundings.settle_process()
    try:
        code = Worker(channel).live()
    except BaseException:  # noqa: BLE001 - a bug of ours: leave its traceback, and no thread of the script to wait for
        surroundings.crash()
    surroundings.flush()
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001 - what a script registered; a plain exit could wait for its threads for ever
    surroundings.flush()
    os._exit(code)


class Worker:
    """Everything between HELLO and the exit code; the main thread loads and runs, so signals and asyncio work."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._init: queue.Queue[messages.Message] = queue.Queue()
        self._orders = Orders(self._give_back)
        self._writer: Writer | None = None

    def live(self) -> int:
        """Say HELLO, load what INIT names, work; returns the exit code."""
        version = ".".join(map(str, sys.version_info[:3]))
        hello = {"pid": os.getpid(), "python": version, "executable": sys.executable, "protocol": messages.PROTOCOL}
        self._channel.send({"say": messages.HELLO, **hello})
        self._channel.listen(self._hear)
        deployment = Deployment.from_message(self._init.get())
        began = time.monotonic()
        try:
            desk = Desk(deployment, self._channel)
        except CannotLoadError as error:
            return self._cannot_load(failures.of_loading(error))
        except Exception as error:  # noqa: BLE001 - a library that is broken raises anything when it is imported
            return self._cannot_load(failures.of_preparing(error))
        self._writer = desk.writer
        self._channel.send(desk.ready(time.monotonic() - began))
        desk.work(self._orders)
        return 0

    def _cannot_load(self, failure: failures.Failure) -> int:
        surroundings.flush()
        self._channel.send({"say": messages.INIT_FAILED, **failure.fields()})
        return CANNOT_LOAD

    def _hear(self, message: messages.Message) -> None:
        """In the socket's thread."""
        wish = messages.text(message, "do")
        if wish == messages.INIT:
            self._init.put(message)
        elif wish == messages.RUN:
            self._orders.put(Order.from_message(message))
        elif wish == messages.WITHDRAW:
            self._orders.withdraw(_key(message))
        elif wish == messages.SCHEMA and self._writer is not None:
            self._writer.answer(_key(message), schema_of(message.get("columns")))
        elif wish == messages.STOP:
            self._orders.stop()

    def _give_back(self, key: Key) -> None:
        self._channel.send({"say": messages.RETURNED, "batch_id": key[0], "dispatch": key[1]})


def _key(message: messages.Message) -> Key:
    return messages.text(message, "batch_id"), messages.whole(message, "dispatch")


class Desk:
    """A loaded deployment at work. Making one loads the scorer: CannotLoadError says why it can't."""

    def __init__(self, deployment: Deployment, channel: Channel) -> None:
        self._deployment = deployment
        self._channel = channel
        self._staging = Staging(deployment.staging, appends_rows=deployment.appends_rows)
        self._staging.prepare()
        surroundings.furnish(deployment, self._staging.out)
        began = time.monotonic()
        self._sink = sinks.make(deployment) if deployment.appends_rows else None
        if self._sink is not None:
            self._sink.warm_up()
        self._warmup_s = time.monotonic() - began
        self._scorer: Scorer = make_scorer(deployment)
        self._scorer.load()
        self._staging.remember_folders()
        surroundings.flush()
        self.writer = Writer(self._sink, channel, durable=deployment.durability == "power")
        self.writer.start()

    def ready(self, init_s: float) -> messages.Message:
        """The READY message."""
        return {
            "say": messages.READY,
            "pid": os.getpid(),
            "init_s": round(init_s, 6),
            "warmup_s": round(self._warmup_s, 6),
            "rss_bytes": surroundings.rss_bytes(),
            "model": self._scorer.model(),
            "script_sha256": self._scorer.script_sha256(),
        }

    def work(self, orders: Orders) -> None:
        """Run orders until they are stopped; what was started is written before this returns."""
        while True:
            self.writer.wait_for_room()
            order = orders.take()
            if order is None:
                break
            job = self._attempt(order)
            surroundings.flush()
            if job is None:
                self.writer.leave_room()
            else:
                self._say(messages.RAN, order)
                self.writer.submit(job)
        self.writer.close()
        self._shut_down()

    def _attempt(self, order: Order) -> Job | None:
        """Run one batch up to the point where the next may run; None: it failed, and that was said."""
        self._say(messages.START, order)
        folder = self._staging.folder_of(*order.key)
        try:
            rows, run_s = self._score(order)
        except BaseException as error:  # noqa: BLE001 - a script may raise anything, SystemExit too
            self._fail(order, folder, scoring.of_attempt(error))
            return None
        began = time.monotonic()
        try:
            taken = self._sink.take(rows) if self._sink is not None else None
            self._staging.collect(folder)
        except Exception as error:  # noqa: BLE001 - whatever a strange object makes a library raise
            self._fail(order, folder, failures.of_output(error))
            return None
        rows.parts.clear()
        return Job(order, folder, taken, rows, run_s, time.monotonic() - began)

    def _score(self, order: Order) -> tuple[scoring.Rows, float]:
        batch = scoring.Batch(order.root, order.files, order.index)
        began = time.monotonic()
        with surroundings.stacks_before(order.timeout_s):
            rows = scoring.score(
                self._scorer, batch, per_file=self._deployment.per_file, max_rows=self._deployment.max_result_rows
            )
        return rows, time.monotonic() - began

    def _fail(self, order: Order, folder: str, failure: failures.Failure) -> None:
        self._staging.clear(folder)
        surroundings.flush()
        self._channel.send(failed(order.key, failure))

    def _say(self, what: str, order: Order) -> None:
        self._channel.send({"say": what, "batch_id": order.batch_id, "dispatch": order.dispatch})

    def _shut_down(self) -> None:
        try:
            self._scorer.shutdown()
        except BaseException as error:  # noqa: BLE001 - as Azure does: said, and no more
            sys.stderr.write("shutdown() of the scoring script failed:\n" + failures.script_traceback(error))
