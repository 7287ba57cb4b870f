"""What a table of the configuration is, and how one of its keys is declared."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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


class Section(BaseModel):
    """One table of the file; nothing is converted silently, and nothing unknown is let through."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, protected_namespaces=(), populate_by_name=False
    )
