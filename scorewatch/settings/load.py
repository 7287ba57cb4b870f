"""Reads a configuration file; whatever is wrong with it becomes one error with a sentence for each problem."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli
from pydantic import ValidationError

from scorewatch.model.errors import ScorewatchError
from scorewatch.settings.checks import conflicts
from scorewatch.settings.problems import sentence
from scorewatch.settings.schema import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def load(path: str | Path) -> Settings:
    """The settings in a TOML file.

    Raises:
        ScorewatchError: the file can't be read, is no TOML, or says something that can't be done; exit code 2.
    """
    source = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a symlink away from its folder
    try:
        table = tomli.loads(_text(source))
    except (ValueError, RecursionError) as error:
        raise ScorewatchError(
            f"this is not TOML: {_one_line(error)}", where=source, hint="correct that line, then try again"
        ) from None
    return from_table(table, source)


def from_table(table: Mapping[str, Any], source: Path) -> Settings:
    """The settings in an already parsed file; relative paths are relative to the folder of `source`.

    Raises:
        ScorewatchError: with a sentence for each problem; exit code 2.
    """
    try:
        settings = Settings.model_validate(dict(table), context={"source": source, "folder": source.parent})
    except ValidationError as error:
        raise _refusal(source, [sentence(problem) for problem in error.errors(include_url=False)]) from None
    broken = conflicts(settings)
    if broken:
        raise _refusal(source, broken)
    return settings


def _refusal(source: Path, sentences: Sequence[str]) -> ScorewatchError:
    if len(sentences) == 1:
        return ScorewatchError(sentences[0], where=source)
    listed = "".join(f"\n  - {one}" for one in sentences)
    return ScorewatchError(f"{len(sentences)} problems:{listed}", where=source)


def _text(source: Path) -> str:
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        raise ScorewatchError(
            "there is no such file", where=source, hint="`scorewatch init DIR` makes one to start from"
        ) from None
    except OSError as error:
        raise ScorewatchError(
            f"the configuration can't be read: {error.strerror}", where=source, hint="give the path of a TOML file"
        ) from None
    try:
        return data.decode("utf-8-sig")  # editors on Windows put a mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScorewatchError(f"line {line} is not UTF-8", where=source, hint="save the file as UTF-8") from None


def _one_line(error: Exception) -> str:
    text = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return text[:1].lower() + text[1:]
