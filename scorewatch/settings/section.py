"""What a table of the configuration is, and how one of its keys is declared."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

LONGEST_S = 2_000_000  # 23 days: what one poll() can wait, in milliseconds, in 31 bits


def key(default: Any, reason: str, *, unit: str = "", example: str = "", **limits: Any) -> Any:  # noqa: ANN401 - as Field
    """Declare a key.

    Args:
        default: as it would stand in TOML; `...` if there is none and the key must be given.
        reason: what the key is for, and why the default is what it is.
        unit: of a number.
        example: a value, as it is written in TOML, where the default doesn't show what one looks like.
        limits: what `pydantic.Field` takes.
    """
    notes = {"x-unit": unit, "x-example": example}
    return Field(default, description=reason, json_schema_extra=dict(notes), **limits)


def seconds(default: float, reason: str, **limits: float) -> Any:  # noqa: ANN401 - as Field
    """Declare a key that is a time in seconds, at least 0 unless its own limits say otherwise."""
    bounds: dict[str, Any] = {"ge": 0, "le": LONGEST_S, **limits}
    return key(default, reason, unit="seconds", **bounds)


class Section(BaseModel):
    """One table of the file; nothing is converted silently, and nothing unknown is let through."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )
