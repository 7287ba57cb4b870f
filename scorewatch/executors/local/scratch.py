"""The folders that workers have for a working directory: private, and removed when their worker is gone."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path


class ScratchFolders:
    """`<folder>/<epoch>-<worker id>/`, one for each worker; no path is ever used twice."""

    def __init__(self, folder: str, epoch: str) -> None:
        self._folder = folder
        self._epoch = epoch
        self._removals: list[threading.Thread] = []

    def path(self, worker_id: int) -> str:
        """Where a worker's is; it is made with the worker."""
        return f"{self._folder}/{self._epoch}-{worker_id}"

    def remove(self, path: str) -> None:
        """Remove one. An empty one is gone at once; what a script left behind goes in the background."""
        try:
            Path(path).rmdir()
        except FileNotFoundError:
            return
        except OSError:  # not empty: it may hold a million files, and nobody waits for that
            removal = threading.Thread(target=shutil.rmtree, args=(path, True), name="scratch", daemon=True)
            removal.start()
            self._removals = [each for each in self._removals if each.is_alive()]
            self._removals.append(removal)

    def clear_old(self) -> None:
        """Remove those of other epochs, in the background; only for who holds the deployment's lock."""
        try:
            folders = list(Path(self._folder).iterdir())
        except OSError:
            return
        for folder in folders:
            if not folder.name.startswith(f"{self._epoch}-"):
                self.remove(str(folder))

    def wait(self, seconds: float) -> None:
        """Give removals that are under way so much time to end."""
        deadline = time.monotonic() + seconds
        for removal in self._removals:
            removal.join(max(0.0, deadline - time.monotonic()))
