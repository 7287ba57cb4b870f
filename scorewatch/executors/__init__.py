"""Who runs batches: one executor, chosen by name, behind the port `model.ports.Executor`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from scorewatch.model.errors import ScorewatchError

#: name in the configuration -> "module:Class"; a module is imported only when its executor is chosen
EXECUTORS = {
    "local": "scorewatch.executors.local.pool:LocalExecutor",
    "inline": "scorewatch.executors.inline:InlineExecutor",
}


def executor_class(name: str) -> Any:  # noqa: ANN401 - each executor is built with arguments of its own
    """The class of the executor of this name.

    Raises:
        ScorewatchError: there is none of this name.
    """
    if name not in EXECUTORS:
        raise ScorewatchError(
            f"there is no executor named {name!r}", where="[workers] executor", hint=f"use one of {sorted(EXECUTORS)}"
        )
    module, _, attribute = EXECUTORS[name].partition(":")
    return getattr(import_module(module), attribute)
