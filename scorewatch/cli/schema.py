"""`scorewatch schema`: the JSON schema of the configuration, for editors."""

from __future__ import annotations

from scorewatch.cli.options import Json  # noqa: TC001 - typer reads the annotations at run time
from scorewatch.cli.words import emit
from scorewatch.settings.describe import json_schema


def schema(as_json: Json = False) -> None:  # noqa: ARG001, FBT002 - taken like everywhere; a schema is JSON anyway
    """Print the JSON schema of the configuration, for editors."""
    emit(json_schema())
