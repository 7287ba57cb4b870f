"""The warm pool: worker processes on this machine, each a command of its own."""
