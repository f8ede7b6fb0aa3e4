"""How commands end; documented in docs/errors.md."""

OK = 0
USAGE = 2
CONFIG = 3
PORT_TAKEN = 4
DATA_DIR_IN_USE = 5
STORAGE = 6
BUG = 70
