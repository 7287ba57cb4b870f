"""What is wrong with a configuration, one sentence a problem; nothing of pydantic's own words gets through."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from scorewatch.settings.schema import Settings
from scorewatch.settings.values import shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    Location = tuple[str | int, ...]

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "dict_type": "a table",
    "model_type": "a table",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


def sentence(error: ErrorDetails) -> str:
    """One of pydantic's findings, in our words, with the key's place in the file."""
    where, kind, value, context = error["loc"], error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(where, value)
    if kind == "missing":
        return _missing(where)
    name = spelled(where)
    if kind == "value_error":
        return f"{name} {context['error']}"
    if kind == "literal_error":
        return f"{name} must be {context['expected']}, not {shown(value)}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{name} must be {words} {context[bound]:.15g}, not {shown(value)}"
    return f"{name} must be {_KINDS.get(kind, 'something else')}, not {shown(value)}"


def spelled(where: Location) -> str:
    """A place in the file: `[batch] mini_batch_size`, `[output.schema] score`, `[batch]`."""
    names = [name if isinstance(name, str) else f"item {name + 1}" for name in where]
    *tables, last = names
    if not tables:
        return f"[{last}]"
    return f"[{'.'.join(tables)}] {_quoted(last)}"


def keys_of(section: str) -> dict[str, Any]:
    """The keys of a table as they are spelled in the file, with their declarations; empty: no such table."""
    field = Settings.model_fields.get(section)
    if field is None or field.annotation is None:
        return {}
    return {declared.alias or name: declared for name, declared in field.annotation.model_fields.items()}


def _missing(where: Location) -> str:
    if len(where) > 1:
        return f"{spelled(where)} is missing"
    needed = [name for name, declared in keys_of(str(where[0])).items() if declared.is_required()]
    return f"the table [{where[0]}] is missing; it needs {' and '.join(needed)}"


def _unknown(where: Location, value: object) -> str:
    *tables, wrong = (str(name) for name in where)
    if not tables and not isinstance(value, dict):
        return f"unknown key {_quoted(wrong)} outside of any table{_hint(_at_home(wrong) or _neighbours(wrong))}"
    if not tables:
        return f"unknown table [{_quoted(wrong)}]{_hint(_near(wrong, Settings.model_fields, '[{}]'))}"
    here = _near(wrong, keys_of(tables[0]), "{}")
    return f"unknown key [{'.'.join(tables)}] {_quoted(wrong)}{_hint(_at_home(wrong) or here)}"


def _near(wrong: str, names: Any, form: str) -> str:  # noqa: ANN401 - any iterable of names
    near = difflib.get_close_matches(wrong.lower(), list(names), n=1, cutoff=0.6)
    return form.format(near[0]) if near else ""


def _at_home(name: str) -> str:
    """The key of exactly this name in another table."""
    return next((f"[{section}] {name}" for section in Settings.model_fields if name in keys_of(section)), "")


def _neighbours(wrong: str) -> str:
    """The nearest key of any table, for one that stands in none."""
    homes = {key: section for section in Settings.model_fields for key in keys_of(section)}
    near = _near(wrong, homes, "{}")
    return f"[{homes[near]}] {near}" if near else _near(wrong, Settings.model_fields, "[{}]")


def _hint(suggestion: str) -> str:
    return f"; did you mean {suggestion}?" if suggestion else ""


def _quoted(name: str) -> str:
    return name if name.isprintable() and name else repr(name)
