"""The annex: the program that runs in users' interpreters (Python >= 3.9, standard library only)."""
