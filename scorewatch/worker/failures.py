"""Why something failed, in a sentence, with the user's own traceback, and whose fault it was."""

from __future__ import annotations

import errno
import os
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

SCRIPT_RAISED = "script_raised"
BAD_RESULT = "bad_result"
OUTPUT_FAILED = "output_failed"
ENVIRONMENT = "environment"

MESSAGE_LIMIT = 2000  # characters
TRACEBACK_LIMIT = 64000  # characters

#: An OSError with one of these is the machine's fault, not the files'.
ENVIRONMENT_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE}
)
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class BadResultError(Exception):
    """What run() returned or left behind can't be published; the message says why."""


class CannotLoadError(Exception):
    """The scorer can't be loaded; the message says why, `__cause__` is what the script raised, if it did."""


@dataclass
class Failure:
    """The fields of a FAILED or INIT_FAILED message."""

    kind: str
    message: str
    exception: str = ""
    traceback: str = ""
    file: str = ""  #: relpath of the guilty file, where it is known

    def fields(self) -> dict[str, Any]:
        """As they go into the message, cut to size."""
        return {
            "kind": self.kind,
            "message": shorten(self.message, MESSAGE_LIMIT),
            "exception": shorten(self.exception, 200),
            "traceback": shorten(self.traceback, TRACEBACK_LIMIT),
            "file": self.file,
        }


@dataclass
class FailedFile:
    """A file that failed inside a batch that otherwise succeeded."""

    relpath: str
    failure: Failure = field(repr=False)


def shorten(text: str, limit: int) -> str:
    """The text, its middle left out where it has more than `limit` characters."""
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]}\n[… {len(text) - limit} characters left out …]\n{text[head - limit + 60 :]}"


def of_script(error: BaseException, function: str) -> Failure:
    """The failure behind an exception that came out of the user's `function`, such as `run()`."""
    return Failure(
        kind=ENVIRONMENT if is_environment(error) else SCRIPT_RAISED,
        message=f"{function} of the scoring script {_what_it_did(error)}",
        exception=type_name(error),
        traceback=script_traceback(error),
    )


def of_loading(error: CannotLoadError) -> Failure:
    """The failure of a scorer that could not be loaded."""
    cause = error.__cause__
    return Failure(
        kind=ENVIRONMENT if cause is not None and is_environment(cause) else SCRIPT_RAISED,
        message=str(error),
        exception=type_name(cause) if cause is not None else "",
        traceback=script_traceback(cause) if cause is not None else "",
    )


def of_preparing(error: Exception) -> Failure:
    """The failure of a worker that could not get ready, before the scorer was loaded."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Failure(ENVIRONMENT, f"the worker could not get ready: {describe(error)}", type_name(error), text)


def of_output(error: BaseException) -> Failure:
    """The failure behind an exception of our own side: checking, moving, writing."""
    if isinstance(error, BadResultError):
        return Failure(BAD_RESULT, str(error))
    if isinstance(error, OSError):
        return Failure(OUTPUT_FAILED, f"the output could not be written: {describe(error)}", type_name(error))
    return Failure(
        BAD_RESULT,
        f"what run() returned could not be written: {describe(error)}",
        type_name(error),
        "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    )


def is_environment(error: BaseException) -> bool:
    """Whether the machine is to blame: full, broken or exhausted, or the GPU's memory is."""
    return any(
        (isinstance(link, OSError) and link.errno in ENVIRONMENT_ERRNOS)
        or (type(link).__name__ == "OutOfMemoryError" and type(link).__module__.split(".")[0] == "torch")
        for link in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def type_name(error: BaseException) -> str:
    """`ValueError`, or `json.decoder.JSONDecodeError`."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ in {"builtins", None} else f"{kind.__module__}.{kind.__qualname__}"


def describe(error: BaseException) -> str:
    """`ValueError: no such label`; whatever the exception's own __str__ does."""
    try:
        said = str(error).strip()
    except Exception:  # noqa: BLE001 - it is the user's code
        said = "(its text could not be made)"
    return f"{type_name(error)}: {said}" if said else type_name(error)


def _what_it_did(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    return f"raised {describe(error)}"


def script_traceback(error: BaseException) -> str:
    """The traceback from the first frame of the user's own code on; ours and importlib's are left out."""
    try:
        shown = traceback.TracebackException(type(error), error, _skip_ours(error.__traceback__))
        return "".join(shown.format())
    except Exception:  # noqa: BLE001 - an exception's own methods are the user's code
        return describe(error)


def _skip_ours(frame: TracebackType | None) -> TracebackType | None:
    while frame is not None and is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def is_ours(filename: str) -> bool:
    """Whether a frame of this file is the annex's, or the import machinery's below it."""
    return filename.startswith((_HERE, "<frozen importlib")) or filename.endswith("importlib/__init__.py")
