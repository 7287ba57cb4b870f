"""What a reload changes, and from when on: at once, by new workers, or only by a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorewatch.settings.schema import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOR_LATER_BATCHES = ("batch", "retry_settings", "errors", "logging")
_FOR_NEW_WORKERS = ("deployment", "workers")
_NAMES_THE_LOCK = "[deployment] name"  # and the claims and the logs: another name is another deployment


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The keys that differ, spelled as in `[batch] mini_batch_size`, by when they can hold."""

    batches: tuple[str, ...] = ()  #: for batches that are sealed from now on
    workers: tuple[str, ...] = ()  #: by replacing the workers one by one
    restart: tuple[str, ...] = ()  #: not before a restart


def compare(old: Settings, new: Settings) -> Changes:
    """What differs between the settings in force and those just read."""
    changed = list(_changed(old, new))
    moving = [spelled for _, spelled in changed if spelled == _NAMES_THE_LOCK]
    free = [(section, spelled) for section, spelled in changed if spelled != _NAMES_THE_LOCK]
    return Changes(
        batches=tuple(spelled for section, spelled in free if section in _FOR_LATER_BATCHES),
        workers=tuple(spelled for section, spelled in free if section in _FOR_NEW_WORKERS),
        restart=tuple(moving)
        + tuple(spelled for section, spelled in free if section not in (*_FOR_LATER_BATCHES, *_FOR_NEW_WORKERS)),
    )


def taken_over(old: Settings, new: Settings) -> Settings:
    """The settings in force after a reload: the new ones, but what needs a restart stays as it was."""
    sections = {name: getattr(new, name) for name in (*_FOR_LATER_BATCHES, *_FOR_NEW_WORKERS)}
    sections["deployment"] = new.deployment.model_copy(update={"name": old.deployment.name})
    return old.model_copy(update=sections)


def _changed(old: Settings, new: Settings) -> Iterator[tuple[str, str]]:
    for section in Settings.model_fields:
        before, after = getattr(old, section), getattr(new, section)
        for name, declared in type(before).model_fields.items():
            if getattr(before, name) != getattr(after, name):
                yield section, f"[{section}] {declared.alias or name}"
