"""The outbox: committed outputs, the summary, the errors."""
