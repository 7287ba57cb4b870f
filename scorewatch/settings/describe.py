"""Writes the manual of the configuration, its sample file and its JSON schema from the declarations.

`python -m scorewatch.settings.describe [FOLDER]` writes them into a checkout.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from scorewatch.settings.problems import keys_of
from scorewatch.settings.schema import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_RELOAD = """\
## Reloading

`SIGHUP` (or `systemctl reload`) reads the file again. What is wrong with it is logged, and the old configuration stays.

| changed | holds |
|---|---|
| `[batch]`, `[retry_settings]`, `[errors]`, `[logging]` | for batches that are sealed later |
| `[deployment]`, `[workers]` | by replacing the workers one by one, each new one ready first |
| everything else, and `[deployment] name` | after a restart; the log says which keys wait for it |
"""
_INTRODUCTION = """\
# Configuration

One TOML file describes one deployment, and one process serves it. Only `[deployment] name`, a scorer (`scoring_script`
or `model`), `[inbox] path` and `[output] path` are needed.

- Relative paths are relative to the file's folder.
- Sizes are text with a unit (`"64 MB"` is 64,000,000 bytes, `"64 MiB"` 67,108,864) or whole numbers of bytes.
- Unknown keys are refused, with the nearest known name.
- The folders of inbox, output and state lie beside each other, and code and model outside the inbox.

`config/scorewatch.toml` is a sample with every key, `config/scorewatch.schema.json` the schema for editors.
This page is generated from the declarations: `python -m scorewatch.settings.describe`.
"""
_SAMPLE_HEAD = """\
# Every key of scorewatch's configuration. What is commented out is the default, or an example where a key has none.
"""


_KINDS: dict[type, str] = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    tuple: "list of texts",
    dict: "table of texts",
}


def pages() -> dict[str, str]:
    """Each generated file's path in a checkout, and its text."""
    return {
        "docs/configuration.md": manual(),
        "config/scorewatch.toml": sample(),
        "config/scorewatch.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=True) + "\n",
    }


def manual() -> str:
    """The manual of the configuration, in Markdown."""
    return "\n".join([_INTRODUCTION, *(_chapter(section) for section in Settings.model_fields), _RELOAD])


def sample() -> str:
    """A configuration file with every key, which can be loaded as it is."""
    return "\n".join([_SAMPLE_HEAD, *(_table(section) for section in Settings.model_fields)]).rstrip() + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON schema of the configuration, for editors."""
    schema = Settings.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "scorewatch configuration"}


def _chapter(section: str) -> str:
    rows = [
        f"| `{name}` | {_kind(declared)} | {_default(declared)} | {declared.description} |"
        for name, declared in keys_of(section).items()
    ]
    heading = (
        f"## [{section}]\n\n{_sentence(section)}\n\n| key | value | default | what for, and why |\n|---|---|---|---|"
    )
    return "\n".join([heading, *rows, ""])


def _sentence(section: str) -> str:
    annotation = Settings.model_fields[section].annotation
    return (annotation.__doc__ or "") if annotation else ""


def _default(declared: FieldInfo) -> str:
    if declared.is_required():
        return "**needed**"
    return "" if declared.default == "" else f"`{_toml(declared.default)}`"


def _kind(declared: FieldInfo) -> str:
    """What a value looks like: its choices, its unit and bounds, or its type."""
    choices = [choice for choice in get_args(declared.annotation) if isinstance(choice, str)]
    if choices:
        return " or ".join(f"`{_toml(choice)}`" for choice in choices)
    kind = "size" if _notes(declared)["x-unit"] == "bytes" else _KINDS[_type_of(declared)]
    unit = _notes(declared)["x-unit"] if kind != "size" else ""
    return ", ".join(filter(None, [kind, unit, _bounds(declared), _example(declared)]))


def _type_of(declared: FieldInfo) -> Any:  # noqa: ANN401 - what annotations are
    """The type of a value that is given: `Path` for `Path | None`, `tuple` for a tuple of texts."""
    options = get_args(declared.annotation) if isinstance(declared.annotation, UnionType) else [declared.annotation]
    return get_origin(options[0]) or options[0]


def _example(declared: FieldInfo) -> str:
    example = _notes(declared)["x-example"]
    return f"e.g. `{example}`" if example else ""


def _bounds(declared: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤"}
    found = {sign: getattr(limit, sign) for limit in declared.metadata for sign in signs if hasattr(limit, sign)}
    if "gt" in found:
        found.pop("ge", None)
    return " and ".join(f"{signs[sign]} {bound:.15g}" for sign, bound in sorted(found.items()))


def _notes(declared: FieldInfo) -> dict[str, str]:
    notes = declared.json_schema_extra
    return {name: str(text) for name, text in notes.items()} if isinstance(notes, dict) else {}


def _table(section: str) -> str:
    blocks = [block for name, declared in keys_of(section).items() for block in _lines(section, name, declared)]
    return "\n".join([f"# {_sentence(section)}", f"[{section}]", *blocks])


def _lines(section: str, name: str, declared: FieldInfo) -> Iterator[str]:
    reason = re.sub(r"`", "", declared.description or "")
    unit = _notes(declared)["x-unit"]
    yield textwrap.fill(f"{reason} [{unit}]" if unit else reason, 100, initial_indent="# ", subsequent_indent="# ")
    example = _notes(declared)["x-example"]
    needed = declared.is_required() or (section, name) == ("deployment", "scoring_script")
    value = example if needed or (declared.default in ("", [], {}) and example) else _toml(declared.default)
    yield f"{name} = {value}\n" if needed else f"#{name} = {value}\n"


def _toml(value: object) -> str:
    """A default as TOML spells it, which for these kinds of values is how JSON does."""
    return "{}" if value == {} else json.dumps(value)


def main(arguments: list[str]) -> None:
    """Write every page below the folder given, or below the current one."""
    root = Path(arguments[0]) if arguments else Path()
    for name, text in pages().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
