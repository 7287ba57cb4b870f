"""What writes rows: one module a format."""
