"""Starts `collecting`: all committed predictions of an outbox as one file. Run by its path, in a process of its own."""

from __future__ import annotations

import importlib
import os
import runpy
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    starter = runpy.run_path(os.path.join(here, "__main__.py"), run_name="starter")
    starter["load_annex"]()
    sys.exit(importlib.import_module(starter["ANNEX"] + ".collecting.program").main(sys.argv[1:]))
