"""What log lines are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from scorewatch.core.draft import Instant

if TYPE_CHECKING:
    from scorewatch.model.outcomes import Failure

MOST_NAMES = 20  # of files in one line: a hundred thousand bad files must not become a hundred thousand names

Lines: TypeAlias = dict[type[Any], Callable[[Any, Instant], None]]


class Say(Protocol):
    """Writes one line."""

    def __call__(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever a line can hold
        """`event` is a name of the vocabulary."""
        ...


def why(failure: Failure) -> dict[str, Any]:
    """A failure in a few fields; its traceback lies beside the files."""
    fields: dict[str, Any] = {"kind": str(failure.kind), "message": failure.message}
    if failure.exception:
        fields["exception"] = failure.exception
    if failure.file:
        fields["file"] = failure.file
    return fields


def first_names(names: Iterable[str]) -> list[str]:
    """The first few of many names."""
    return list(islice(names, MOST_NAMES))


def rounded(seconds: float) -> float:
    """A time to a tenth of a millisecond, which is more than anybody reads."""
    return round(seconds, 4)
