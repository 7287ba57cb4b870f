"""Starts the annex as the package `_scorewatch_worker`, by its path, and leaves nothing else of ours importable.

Run as `python …/scorewatch/worker/__main__.py FD`, in the interpreter of the deployment.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

ANNEX = "_scorewatch_worker"


def load_annex() -> None:
    """Put the package into `sys.modules` without a folder of ours on `sys.path`: a user's `scoring` is theirs."""
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]
    spec = importlib.util.spec_from_file_location(
        ANNEX, os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {here}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[ANNEX] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":  # a script's spawned children import this file too, under another name
    load_annex()
    importlib.import_module(ANNEX + ".main").main(int(sys.argv[1]))
