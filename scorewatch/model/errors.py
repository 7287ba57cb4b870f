"""How scorewatch says that something is wrong: a sentence that says what, where, and what to do."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process's end means; the service unit never restarts on 2, 3, 4 and 5."""

    DONE = 0
    USAGE = 2
    SCORER_CANNOT_LOAD = 3
    ERROR_THRESHOLD = 4
    ALREADY_RUNNING = 5
    FOLDER_UNUSABLE = 6


class ScorewatchError(Exception):
    """An error for a human: what happened, where, and what to do about it.

    Args:
        what: the sentence, without a full stop at its end.
        where: the file, folder or key that it is about.
        hint: what to do.
        exit_code: the exit code of a command that ends with this error.
    """

    def __init__(self, what: str, *, where: object = "", hint: str = "", exit_code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where)
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.hint}" if self.hint else text
