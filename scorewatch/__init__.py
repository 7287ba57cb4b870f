"""A file-drop scoring service: files dropped in a folder come out as predictions, exactly once."""

__version__ = "0.1.0"
