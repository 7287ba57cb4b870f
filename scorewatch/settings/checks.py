"""What must hold between the keys of a configuration; each answer is a sentence."""

from __future__ import annotations

import os
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from scorewatch.settings.schema import Settings


def conflicts(settings: Settings) -> list[str]:
    """Every rule between keys that the configuration breaks."""
    return [*_scorer(settings), *_claims(settings), *_output(settings), *_http(settings), *_folders(settings)]


def contains(folder: Path, other: Path) -> bool:
    """Whether `other` is `folder` or lies in it, symlinks followed."""
    inner, outer = os.path.realpath(other), os.path.realpath(folder)
    return os.path.commonpath([inner, outer]) == outer


def _scorer(settings: Settings) -> list[str]:
    if settings.deployment.scoring_script or settings.deployment.model:
        return []
    return ["[deployment] needs a scorer: scoring_script, or a model that can be scored without one"]


def _claims(settings: Settings) -> list[str]:
    inbox = settings.inbox
    chosen = "after" in inbox.model_fields_set
    if (inbox.after == "keep") == (inbox.claim == "ledger") or (inbox.claim == "ledger" and not chosen):
        return []
    if inbox.after == "keep":
        return ['[inbox] after = "keep" needs claim = "ledger": a renamed file would be found again']
    return ['[inbox] claim = "ledger" needs after = "keep": such an inbox is never written']


def _output(settings: Settings) -> list[str]:
    if settings.output.format == "azure" and settings.output.pinned_schema:
        return ['[output.schema] has no meaning with format = "azure", which keeps no column names or types']
    return []


def _http(settings: Settings) -> list[str]:
    if not settings.http.listen:
        return []
    return ["[http] listen is not available in this version: leave it empty, and use `scorewatch status`"]


def _folders(settings: Settings) -> list[str]:
    folders = {"inbox": settings.inbox.path, "output": settings.output.path, "state": settings.state.path}
    return [
        f"[{one}] path and [{other}] path must lie beside each other, neither in the other: {path} and {second}"
        for (one, path), (other, second) in combinations(folders.items(), 2)
        if contains(path, second) or contains(second, path)
    ]
