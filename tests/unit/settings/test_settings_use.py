"""What is made of the settings: the policy, and what a reload changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorewatch.model.policy import Policy
from scorewatch.settings.changes import compare, taken_over
from scorewatch.settings.load import from_table
from scorewatch.settings.policy import policy

if TYPE_CHECKING:
    from scorewatch.settings.schema import Settings

HOME = Path("/srv/digits/digits.toml")


def settings(**sections: dict[str, Any]) -> Settings:
    least = {"deployment": {"name": "a", "model": "m"}, "inbox": {"path": "in"}, "output": {"path": "out"}}
    return from_table({name: {**least.get(name, {}), **sections.get(name, {})} for name in {**least, **sections}}, HOME)


def test_the_defaults_of_the_file_are_the_defaults_of_judgement() -> None:
    assert policy(settings()) == Policy()


def test_every_key_of_judgement_is_handed_on() -> None:
    made = policy(
        settings(
            batch={"mini_batch_size": 7, "max_bytes": 70, "max_wait_seconds": 0.7},
            retry_settings={"max_retries": 1, "timeout": 11, "bisect": False},
            errors={"error_threshold": 5, "breaker_batches": 0},
            workers={"max_concurrency_per_instance": 3, "init_timeout": 33, "grace_seconds": 3},
            output={"schema": {"score": "double", "n": "int64"}},
        ),
        once=True,
        generation=4,
    )
    assert (made.batch.max_files, made.batch.max_bytes, made.batch.max_wait_s) == (7, 70, 0.7)
    assert (made.retry.max_retries, made.retry.run_timeout_s, made.retry.bisect) == (1, 11, False)
    assert (made.error_threshold, made.breaker.batches) == (5, 0)
    assert (made.crew.slots, made.crew.init_timeout_s, made.grace_s) == (3, 33, 3)
    assert made.pinned_schema == (("score", "double"), ("n", "int64"))
    assert (made.once, made.generation) == (True, 4)


def test_equal_files_change_nothing() -> None:
    changes = compare(settings(), settings())
    assert (changes.batches, changes.workers, changes.restart) == ((), (), ())


@pytest.mark.parametrize(
    ("section", "key", "value", "kind"),
    [
        ("batch", "mini_batch_size", 4, "batches"),
        ("retry_settings", "timeout", 4.0, "batches"),
        ("errors", "error_threshold", 4, "batches"),
        ("logging", "logging_level", "debug", "batches"),
        ("deployment", "arguments", ["--x"], "workers"),
        ("workers", "max_concurrency_per_instance", 4, "workers"),
        ("deployment", "name", "b", "restart"),
        ("inbox", "path", "elsewhere", "restart"),
        ("output", "schema", {"score": "double"}, "restart"),
        ("state", "durability", "process", "restart"),
    ],
)
def test_a_change_holds_from_when_the_manual_says(section: Any, key: Any, value: Any, kind: Any) -> None:
    old, new = settings(), settings(**{section: {key: value}})
    changes = compare(old, new)
    told = {"batches": changes.batches, "workers": changes.workers, "restart": changes.restart}
    assert told.pop(kind) == (f"[{section}] {key}",)
    assert set(told.values()) == {()}
    in_force = taken_over(old, new)
    assert in_force == (old if kind == "restart" else new)
    assert in_force.source == HOME
