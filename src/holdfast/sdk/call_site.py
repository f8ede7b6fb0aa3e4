"""Where in the user's code something was asked for: for error messages only, never for behaviour."""

import sys
from pathlib import Path

_OURS = str(Path(__file__).resolve().parent.parent)
_STANDARD = str(Path(sys.modules["asyncio"].__file__ or "").resolve().parent.parent)


def call_site() -> str:
    """`file.py:12 in function` of the innermost frame that is neither ours nor the standard library's; empty
    when there is none."""
    frame = sys._getframe(1)
    while True:
        file = frame.f_code.co_filename
        standard = file.startswith(_STANDARD) and "site-packages" not in file
        if not (standard or file.startswith((_OURS, "<frozen"))):
            return f"{file}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        outer = frame.f_back
        if outer is None:
            return ""
        frame = outer
