"""Strangers' text, made safe to show: file names can hold escape codes, newlines, and what turns text around."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with everything that isn't a visible character spelled out: `\n`, `\x1b`, `\u202e`, `\udcff`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text)
