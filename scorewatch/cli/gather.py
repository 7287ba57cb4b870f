"""Starts the program that reads tables, in a process of its own: the house never loads one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorewatch.model.errors import ScorewatchError
from scorewatch.worker import messages

PROGRAM = str(Path(messages.__file__).with_name("collect.py"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """What was written."""

    path: str
    rows: int
    batches: int


def gather(outbox: Path, to: Path, *, form: str, since: str = "") -> Gathered:
    """Write all committed predictions of an outbox into one file.

    Args:
        outbox: the folder.
        to: the file; its ending says the format.
        form: [output] format of the deployment.
        since: ISO 8601; only batches committed then or later. Empty: all.

    Raises:
        ScorewatchError: it can't be done; the sentence says why.
    """
    command = [sys.executable, PROGRAM, "--outbox", str(outbox), "--to", str(to), "--format", form]
    command += ["--since", since] if since else []
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - our own program
    answer = _last_object(ended.stdout)
    if "error" in answer:
        raise ScorewatchError(str(answer["error"]), where=answer.get("where", ""), hint=str(answer.get("hint", "")))
    if ended.returncode != 0 or not answer:
        told = ended.stderr.decode("utf-8", "backslashreplace").strip().splitlines()[-1:]
        raise ScorewatchError(
            f"reading the outputs ended with exit code {ended.returncode}: {''.join(told) or 'it said nothing'}",
            where=outbox,
            hint="see that there is memory enough, and run it again",
        )
    return Gathered(path=str(answer["path"]), rows=int(answer["rows"]), batches=int(answer["batches"]))


def _last_object(output: bytes) -> dict[str, Any]:
    try:
        found = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}
