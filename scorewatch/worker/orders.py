"""What the daemon asks for: the deployment, once, and orders, which wait here until the main thread takes them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any, Callable

from . import messages

Schema = tuple[tuple[str, str], ...]  #: (column, type) in the order in which columns are written
Key = tuple[str, int]  #: (batch id, dispatch)


@dataclass(frozen=True)
class Deployment:
    """The INIT message; `main` documents each field."""

    staging: str
    scratch: str
    deployment: str = ""
    scorer: str = "script"
    code: str = ""
    script: str = ""
    model: str | None = None
    model_layout: str = "parent"
    arguments: tuple[str, ...] = ()
    environment_variables: dict[str, str] = field(default_factory=dict)
    mini_batch_size: int = 10
    error_threshold: int = -1
    run_invocation_timeout: int = 30
    run_max_try: int = 4
    logging_level: str = "info"
    output_action: str = "append_row"
    format: str = "parquet"
    output_file_name: str = "predictions.parquet"
    append_row_file_name: str = ""
    per_file: bool = False
    run_id: str = ""
    durability: str = "power"
    worker_id: int = 0
    slot: int = 0
    max_result_rows: int | None = None

    @classmethod
    def from_message(cls, message: messages.Message) -> Deployment:
        """Read the message; unknown fields are for later versions, and passed over."""
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in message.items() if key in known}
        messages.text(message, "staging")
        messages.text(message, "scratch")
        values["arguments"] = tuple(map(str, message.get("arguments") or ()))
        values["environment_variables"] = dict(message.get("environment_variables") or {})
        return cls(**values)

    @property
    def appends_rows(self) -> bool:
        """Whether what run() returns is written."""
        return self.output_action != "summary_only"


@dataclass(frozen=True)
class Order:
    """One hand-out of one batch."""

    batch_id: str
    dispatch: int
    index: int
    root: str  #: absolute folder that `files` are relative to
    files: tuple[str, ...]
    timeout_s: float
    schema: Schema = ()

    @classmethod
    def from_message(cls, message: messages.Message) -> Order:
        """Read a RUN message."""
        return cls(
            batch_id=messages.text(message, "batch_id"),
            dispatch=messages.whole(message, "dispatch"),
            index=messages.whole(message, "index", 0),
            root=messages.text(message, "root"),
            files=tuple(map(str, message.get("files") or ())),
            timeout_s=messages.number(message, "timeout_s", 30.0),
            schema=schema_of(message.get("schema")),
        )

    @property
    def key(self) -> Key:
        """What answers to this order bear."""
        return self.batch_id, self.dispatch


def schema_of(pairs: Any) -> Schema:
    """The schema in a message: pairs of column and type."""
    return tuple((str(name), str(kind)) for name, kind in (pairs or ()))


class Orders:
    """Batches that wait for the main thread; the socket's thread puts them in and takes withdrawn ones out.

    Args:
        give_back: told the key of every order that will not be run.
    """

    def __init__(self, give_back: Callable[[Key], None]) -> None:
        self._give_back = give_back
        self._waiting: deque[Order] = deque()
        self._changed = threading.Condition()
        self._stopped = False

    def put(self, order: Order) -> None:
        """Let an order wait; after `stop`, give it back."""
        with self._changed:
            if not self._stopped:
                self._waiting.append(order)
                self._changed.notify()
                return
        self._give_back(order.key)

    def withdraw(self, key: Key) -> None:
        """Give an order back if it still waits here; else silence."""
        with self._changed:
            found = [order for order in self._waiting if order.key == key]
            for order in found:
                self._waiting.remove(order)
        for order in found:
            self._give_back(order.key)

    def stop(self) -> None:
        """Give back all that waits; `take` answers None from now on."""
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
        for order in left:
            self._give_back(order.key)
        with self._changed:  # only now: the main thread may end the process as soon as it sees this
            self._stopped = True
            self._changed.notify()

    def take(self) -> Order | None:
        """The next order, when there is one; None: stopped."""
        with self._changed:
            while not self._waiting and not self._stopped:
                self._changed.wait()
            return self._waiting.popleft() if self._waiting else None
