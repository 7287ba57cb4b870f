"""Counts the lines, words and bytes of each file. Put your own model in its place."""

from __future__ import annotations

from pathlib import Path


def init() -> None:
    """Called once in each worker, before its first batch: load your model here, from $AZUREML_MODEL_DIR."""


def run(mini_batch: list[str]) -> list[dict[str, int]]:
    """Called for each batch with the absolute paths of its files: return one element a file, or a DataFrame.

    The keys become columns, and a column `file` is added. Raise, and the file at fault ends up in quarantine.
    """
    return [count(Path(path).read_bytes()) for path in mini_batch]


def count(content: bytes) -> dict[str, int]:
    """The row of one file."""
    return {"lines": len(content.splitlines()), "words": len(content.split()), "bytes": len(content)}
