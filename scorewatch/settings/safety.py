"""Who could change what the workers run: code that a stranger can write is refused before it is loaded."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from scorewatch.model.errors import ExitCode, ScorewatchError
from scorewatch.settings.checks import contains

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scorewatch.settings.schema import Settings

_MOST_LISTED = 20  # warnings: a code folder of a thousand files would drown the rest


def check_trust(settings: Settings) -> list[str]:
    """Warnings about what the workers will run: where a group can write it, or a third user owns it.

    Raises:
        ScorewatchError: the script, the model or the interpreter is missing (exit code 3); somebody else can
            write one of them, the configuration, or a folder on the way there; or files are dropped where code lies
            (exit code 2).
    """
    _refuse_missing(settings)
    _refuse_code_in_the_inbox(settings)
    data = (settings.inbox.path, settings.output.path, settings.state.path)
    ours = {os.path.realpath(folder) for folder in data}
    warnings = [_inbox_in_the_code(settings)]
    for what, path in _parts(settings):
        warnings += [_judge(what, place, exempt_sticky=True) for place in _way_to(path)]
        warnings += [_judge(what, place, exempt_sticky=False) for place in _inside(path, besides=ours)]
    warnings = list(dict.fromkeys(filter(None, warnings)))
    if len(warnings) > _MOST_LISTED:
        warnings[_MOST_LISTED:] = [f"and {len(warnings) - _MOST_LISTED} more of this kind"]
    return warnings


def _parts(settings: Settings) -> Iterator[tuple[str, Path]]:
    deployment = settings.deployment
    yield "the configuration", settings.source
    yield "the interpreter", deployment.python
    for what, path in (
        ("the scoring script", deployment.scoring_script),
        ("the code", deployment.code),
        ("the model", deployment.model),
    ):
        if path is not None:
            yield what, path


def _refuse_missing(settings: Settings) -> None:
    if settings.deployment.scoring_script is None:
        raise ScorewatchError(
            "a model can't be scored without a scoring script in this version",
            where=settings.source,
            hint="write one with init() and run(mini_batch), and name it in [deployment] scoring_script",
            exit_code=ExitCode.SCORER_CANNOT_LOAD,
        )
    keys = {
        "the interpreter": "python",
        "the scoring script": "scoring_script",
        "the code": "code",
        "the model": "model",
    }
    for what, path in _parts(settings):
        if what in keys and not path.exists():
            raise ScorewatchError(
                f"{what} is not there",
                where=path,
                hint=f"correct [deployment] {keys[what]} in {settings.source}",
                exit_code=ExitCode.SCORER_CANNOT_LOAD,
            )


def _refuse_code_in_the_inbox(settings: Settings) -> None:
    inbox = settings.inbox.path
    for what, path in _parts(settings):
        if what != "the interpreter" and contains(inbox, path):
            raise ScorewatchError(
                f"{what} lies in the inbox, so that whoever drops files could drop code",
                where=path,
                hint="give the code and the model folders of their own, beside the inbox",
            )


def _inbox_in_the_code(settings: Settings) -> str:
    """A lone script beside its inbox is common, and what is dropped there is on no import path of its own."""
    for what, path in _parts(settings):
        if what in {"the code", "the model"} and contains(path, settings.inbox.path):
            return f"the inbox lies in the folder of {what} ({path}); a folder of its own is safer"
    return ""


def _way_to(path: Path) -> Iterator[Path]:
    """Every folder whose owner could put something else in the path's place, through each link on the way."""
    steps = [path]
    for step in steps:
        for place in (step, *step.parents):
            if place.is_symlink():
                target = Path(os.path.normpath(place.parent.resolve() / place.readlink()))
                steps += [target] if target not in steps else []
    yield from sorted({folder for step in steps for folder in step.parents})


def _inside(path: Path, *, besides: set[str]) -> Iterator[Path]:
    """The thing itself and, if it is a folder, everything in it; our own output isn't code, wherever it lies."""
    yield path
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(folder, name)) not in besides]  # noqa: PTH118 - a walk over thousands of names
        for name in (*folders, *files):
            yield path.joinpath(folder, name)


def _judge(what: str, place: Path, *, exempt_sticky: bool) -> str:
    """A warning, or nothing; what anybody can write is refused.

    In a sticky folder only its owner can replace a name, which is enough on the way to something, not around code.
    """
    try:
        seen = place.stat()
    except OSError:
        return ""  # gone since it was listed, or a link to nothing: nobody runs it either
    if exempt_sticky and seen.st_mode & stat.S_ISVTX:
        return ""
    if seen.st_mode & stat.S_IWOTH:
        raise ScorewatchError(
            f"anybody can write this, and it is {what} or a folder of it", where=place, hint="take `chmod o-w` to it"
        )
    if seen.st_uid not in (0, os.geteuid()):
        return f"{place} ({what}, or a folder of it) belongs to user {seen.st_uid}, neither root nor this service's"
    if seen.st_mode & stat.S_IWGRP:
        return f"{place} ({what}, or a folder of it) can be written by group {seen.st_gid}"
    return ""
