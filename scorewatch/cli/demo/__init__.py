"""`scorewatch demo`: a real model on real files, start to end, in a temporary folder."""

from __future__ import annotations

from scorewatch.cli.demo.command import demo, run_demo

__all__ = ["demo", "run_demo"]
