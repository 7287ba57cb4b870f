"""The words of the house: what flows between its rooms, and nothing that acts."""
