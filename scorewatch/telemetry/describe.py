"""Writes the manual of the log lines from the vocabulary.

`python -m scorewatch.telemetry.describe [FOLDER]` writes it into a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scorewatch.telemetry.vocabulary import CHAPTERS

_HEAD = """\
# Log lines

One line an event, on standard error: JSON, or readable text on a terminal (`[logging] format`). Every line has
`timestamp` (UTC), `level`, `event` and `deployment`; the other keys depend on the event: `batch_id`, `files` (their
number), `attempt`, `worker_id`, `seconds` and the like. The names below are stable, so that filters can rely on them.

Characters in file names that aren't visible are spelled out, and values whose key looks like a secret's are hidden.
In the journal: `journalctl -u scorewatch@NAME -o cat | jq 'select(.event == "batch_quarantined")'`.

This page is generated from the vocabulary: `python -m scorewatch.telemetry.describe`.
"""


def page() -> str:
    """The manual, in Markdown."""
    lines = [_HEAD]
    for title, events in CHAPTERS.items():
        lines += [f"## {title}", "", "| event | level | meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {level} | {sentence} |" for name, (level, sentence) in events.items()]
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Write the manual below the folder given, or below the current one."""
    target = Path(arguments[0] if arguments else ".") / "docs" / "logs.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
