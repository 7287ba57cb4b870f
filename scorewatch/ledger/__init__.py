"""The ledger: what was decided, durably."""
