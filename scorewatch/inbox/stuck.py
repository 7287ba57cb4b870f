"""Files that are whole and can't be moved: immutable, or in a folder that we may not write to.

They are left out of claims for a minute each time, so that one of them costs its neighbours nothing.
"""

from __future__ import annotations

import time
from collections import OrderedDict

_AGAIN_S = 60.0
_MOST = 10_000  # the oldest is forgotten, and so tried again sooner


class Stuck:
    """Which files, why, and until when."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def add(self, relpath: str, why: str) -> None:
        """Leave it out from now on."""
        self._files[relpath] = (time.monotonic() + _AGAIN_S, why)
        if len(self._files) > _MOST:
            self._files.popitem(last=False)

    def why(self, relpath: str) -> str:
        """Why a file is left out; empty: it isn't, or its minute is over."""
        if not self._files:
            return ""
        until, why = self._files.get(relpath, (0.0, ""))
        if why and time.monotonic() >= until:
            del self._files[relpath]
            return ""
        return why
