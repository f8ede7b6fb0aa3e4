"""Where in the user's code something was asked for: for error messages only, never for behaviour."""

import asyncio
import sys
from pathlib import Path
from types import FrameType
from typing import Any

_OURS = str(Path(__file__).resolve().parent.parent)
_STANDARD = str(Path(sys.modules["asyncio"].__file__ or "").resolve().parent.parent)


def call_site() -> str:
    """`file.py:12 in function` of the innermost frame that is neither ours nor the standard library's; empty
    when there is none."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while True:
        if place := _place(frame):
            return place
        outer = frame.f_back
        if outer is None:
            return ""
        frame = outer


def await_site(task: "asyncio.Task[Any]") -> str:
    """The same for where a task that is not running waits."""
    found = ""
    awaiting: Any = task.get_coro()
    while awaiting is not None:
        frame = getattr(awaiting, "cr_frame", None) or getattr(awaiting, "gi_frame", None)
        if frame is not None:
            found = _place(frame) or found
        awaiting = getattr(awaiting, "cr_await", None) or getattr(awaiting, "gi_yieldfrom", None)
    return found


def _place(frame: FrameType) -> str:
    file = frame.f_code.co_filename
    standard = file.startswith(_STANDARD) and "site-packages" not in file
    if standard or file.startswith((_OURS, "<frozen")):
        return ""
    return f"{file}:{frame.f_lineno} in {frame.f_code.co_qualname}"
