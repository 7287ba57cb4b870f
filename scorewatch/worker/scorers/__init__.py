"""What scores files: a script, or a model that needs none; a registry of names, imported only when chosen."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

from ..failures import CannotLoadError

if TYPE_CHECKING:
    from ..orders import Deployment
    from ..scoring import Batch

#: name in `Deployment.scorer` -> "module:Class", the module relative to this package
SCORERS = {"script": ".script:ScriptScorer"}


class Scorer(Protocol):
    """One implementation for each way to score; made with the deployment."""

    def load(self) -> None:
        """Import what is heavy, load the model. Raises CannotLoadError."""

    def score(self, batch: Batch) -> Any:
        """What run(mini_batch) returns for these files, as it came; may raise anything."""

    def model(self) -> str:
        """What was loaded, for the manifest."""

    def script_sha256(self) -> str:
        """The hash of the script's file; empty where there is none."""

    def shutdown(self) -> None:
        """Called once when there is no more work; may raise anything."""


def make(deployment: Deployment) -> Scorer:
    """The scorer that the deployment names."""
    spelled = SCORERS.get(deployment.scorer)
    if spelled is None:
        raise CannotLoadError(f"there is no scorer {deployment.scorer!r}; known are {', '.join(sorted(SCORERS))}")
    module, _, name = spelled.partition(":")
    scorer: Scorer = getattr(importlib.import_module(module, __package__), name)(deployment)
    return scorer
