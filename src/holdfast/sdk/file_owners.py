"""Whose code a frame runs: the standard library's, a library's, ours or the user's. Told by the file."""

import os
import sysconfig

FILES_KEPT_MAX = 10_000
"""Source files whose owner is remembered."""

STANDARD, LIBRARY, OURS, USER, GENERATED, PASSING, PLUMBING, CODEC = (
    "standard library", "library", "holdfast", "user", "generated", "passing", "asyncio", "codec"
)  # fmt: skip
"""Whose a source file is. GENERATED (dataclasses, namedtuple, exec) acts for whoever calls it. Of the standard
library and the installed packages, PASSING lets everything under it pass, and PLUMBING, asyncio's own code,
what it does itself. Of ours, CODEC runs user code whose bytes replays do not compare."""

_OURS = str(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_STANDARD = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")}
    | {os.path.dirname(os.path.abspath(sysconfig.__file__)) + os.sep}
)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_PASSING_STANDARD = frozenset(
    ["bdb", "cmd", "cProfile", "encodings", "gettext", "importlib", "linecache", "locale", "logging",
     "mimetypes", "pdb", "pkgutil", "profile", "tokenize", "trace", "traceback", "warnings", "weakref",
     "zipimport", "zoneinfo"]
)  # fmt: skip
_PASSING_LIBRARIES = ("_pytest", "coverage", "debugpy", "pluggy", "pydevd")
_TYPED_IN = ("<stdin>", "<console>", "<python-input", "<ipython")

_owners: dict[str, str] = {}


def owner_of(file: str) -> str:
    """Whose code a code object's `co_filename` is."""
    found = _owners.get(file)
    if found is None:
        if len(_owners) >= FILES_KEPT_MAX:
            _owners.clear()
        found = _owners[file] = _findowner_of(file)
    return found


def _findowner_of(file: str) -> str:
    if file.startswith("<"):
        if file.startswith(("<frozen importlib", "<frozen zipimport", "<frozen runpy")):
            return PASSING
        if file.startswith("<frozen"):
            return STANDARD
        return USER if file.startswith(_TYPED_IN) else GENERATED
    for mark in _INSTALLED:
        if mark in file:
            package = file.rpartition(mark)[2]
            return PASSING if package.startswith(_PASSING_LIBRARIES) else LIBRARY
    if file.startswith(_OURS):
        return CODEC if file.endswith(f"{os.sep}payloads.py") else OURS
    for folder in _STANDARD:
        if file.startswith(folder):
            module = file[len(folder) :].partition(os.sep)[0].removesuffix(".py")
            if module in _PASSING_STANDARD:
                return PASSING
            return PLUMBING if module == "asyncio" else STANDARD
    return USER
