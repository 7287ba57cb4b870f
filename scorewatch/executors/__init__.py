"""Who runs batches."""
