"""`python -m scorewatch`: the same as the command `scorewatch`."""

from __future__ import annotations

import sys

from scorewatch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
