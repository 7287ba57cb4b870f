"""The daemon: one loop, its effects, and the wiring of every part."""
