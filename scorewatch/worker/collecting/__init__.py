"""All committed predictions of an outbox as one file; a program of its own, since the house never loads tables."""
