"""How commands end; documented in docs/errors.md."""

import sys

OK = 0
MISMATCH = 1
USAGE = 2
CONFIG = 3
PORT_TAKEN = 4
DATA_DIR_IN_USE = 5
STORAGE = 6
UNREACHABLE = 7
REFUSED = 8
BUG = 70


def complain(message: str, code: int) -> int:
    """Say on standard error why a command ends; its exit code."""
    print(f"holdfast: {message}", file=sys.stderr)
    return code
