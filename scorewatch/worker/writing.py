"""Writes rows to staging in a thread of its own, while the main thread may run the next batch."""

from __future__ import annotations

import json
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import failures, messages, staging, surroundings

if TYPE_CHECKING:
    from .channel import Channel
    from .orders import Key, Order, Schema
    from .scoring import Rows
    from .sinks import Sink

LISTED = 10_000  # files of one batch, and …
LISTED_BYTES = 2_000_000  # … so much of their names: a message has a limit
AHEAD = 2  # batches: one being written, one that is run or waits


@dataclass
class Job:
    """A batch that ran: its rows as the sink took them, and the folder that they go to."""

    order: Order
    folder: str
    taken: Any
    rows: Rows
    run_s: float
    take_s: float = 0.0


class Writer:
    """One thread, one queue; DONE or FAILED is sent from here."""

    def __init__(self, sink: Sink | None, channel: Channel, *, durable: bool) -> None:
        self._sink = sink
        self._channel = channel
        self._durable = durable
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._room = threading.Semaphore(AHEAD)
        self._answers: dict[Key, queue.Queue[Schema]] = {}
        self._schema: dict[str, str] = {}  # what earlier orders and answers said
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait_for_room(self) -> None:
        """Wait until one more batch may run; every call is followed by `submit` or `leave_room`."""
        self._room.acquire()

    def leave_room(self) -> None:
        """The batch that room was made for brought nothing to write."""
        self._room.release()

    def submit(self, job: Job) -> None:
        """Have it written; never waits."""
        self._answers[job.order.key] = queue.Queue()
        self._jobs.put(job)

    def answer(self, key: Key, columns: Schema) -> None:
        """The daemon's answer to a question about the schema."""
        waiting = self._answers.get(key)
        if waiting is not None:
            waiting.put(columns)

    def close(self) -> None:
        """Write what was submitted, then end."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            while True:
                job = self._jobs.get()
                if job is None:
                    return
                self._channel.send(self._written(job))
                del self._answers[job.order.key]
                self._room.release()
        except BaseException:  # noqa: BLE001 - a bug of ours; a worker without its writer would wait for ever
            surroundings.crash()

    def _written(self, job: Job) -> messages.Message:
        began = time.monotonic()
        try:
            note, conflicts = self._write_rows(job)
            outputs = staging.seal(job.folder, durable=self._durable)
        except Exception as error:  # noqa: BLE001 - whatever a strange object makes a library raise
            staging.discard(job.folder)
            return failed(job.order.key, failures.of_output(error))
        write_s = job.take_s + time.monotonic() - began
        notes = [job.rows.note, note]
        listed = _listable(outputs)
        if len(listed) < len(outputs):
            notes.append(f"only {len(listed)} of {len(outputs)} files are listed")
        message = _receipt(job, listed, write_s, "; ".join(filter(None, notes)), conflicts)
        return {**message, "unlisted": len(outputs) - len(listed)}

    def _write_rows(self, job: Job) -> tuple[str, list[dict[str, str]]]:
        if self._sink is None:
            return "", []
        schema = self._known(job.order.schema)
        lacking = self._sink.lacks(job.taken, schema)
        if lacking:
            schema = self._ask(job.order.key, lacking)
        return self._sink.write(job.taken, schema, job.folder)

    def _known(self, columns: Schema) -> Schema:
        self._schema.update(columns)
        return tuple(self._schema.items())

    def _ask(self, key: Key, lacking: Schema) -> Schema:
        self._channel.send(_message(messages.SCHEMA, key, columns=[list(pair) for pair in lacking]))
        return self._known(self._answers[key].get())


def _listable(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many files as a message can name, those beside the rows first."""
    room = LISTED_BYTES
    listed = []
    for output in sorted(outputs, key=lambda each: "/" in each["name"])[:LISTED]:
        room -= len(json.dumps(output))
        if room < 0:
            break
        listed.append(output)
    return sorted(listed, key=lambda each: str(each["name"]))


def failed(key: Key, failure: failures.Failure) -> messages.Message:
    """A FAILED message."""
    return _message(messages.FAILED, key, **failure.fields())


def _message(say: str, key: Key, **more: Any) -> messages.Message:
    return {"say": say, "batch_id": key[0], "dispatch": key[1], **more}


def _receipt(
    job: Job, outputs: list[dict[str, Any]], write_s: float, note: str, conflicts: list[dict[str, str]]
) -> messages.Message:
    room = max(80, 400_000 // max(1, len(job.rows.failed)))  # characters for each sentence: a message has a limit
    return _message(
        messages.DONE,
        job.order.key,
        rows=job.rows.count,
        succeeded=job.rows.succeeded,
        outputs=outputs,
        seconds={"load": 0.0, "run": round(job.run_s, 6), "write": round(write_s, 6)},
        peak_rss_bytes=surroundings.peak_rss_bytes(),
        staging=job.folder,
        failed_files=[[f.relpath, failures.shorten(f.failure.message, min(room, 500))] for f in job.rows.failed],
        note=failures.shorten(note, failures.MESSAGE_LIMIT),
        schema_conflicts=conflicts[:100],
    )
