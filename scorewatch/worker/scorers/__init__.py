"""What scores files: a script, or a model that needs none."""
