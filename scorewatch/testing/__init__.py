"""Means for tests: a clock that is held, an executor without processes, histories."""
