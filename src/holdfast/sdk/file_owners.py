"""Whose code a frame runs: the standard library's, a library's, ours or the user's. Told by the file."""

import os
import sysconfig

FILES_KEPT_MAX = 10_000
"""Source files whose owner is remembered."""

STANDARD, LIBRARY, OURS, USER, GENERATED, PASSING, PLUMBING, CODEC = (
    "standard library", "library", "holdfast", "user", "generated", "passing", "asyncio", "codec"
)  # fmt: skip
"""Whose a source file is. GENERATED (dataclasses, namedtuple, exec) acts for whoever calls it. Of what is
installed, PASSING lets everything under it pass; PLUMBING, asyncio's own code, what it does itself. Of ours,
CODEC runs user code whose bytes replays do not compare."""

_OURS = str(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_STANDARD = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")}
    | {os.path.dirname(os.path.abspath(sysconfig.__file__)) + os.sep}
)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_PASSING_STANDARD = frozenset(
    ["bdb", "cmd", "cProfile", "encodings", "gettext", "importlib", "inspect", "linecache", "locale",
     "logging", "mimetypes", "pdb", "pkgutil", "platform", "profile", "tokenize", "trace", "traceback",
     "warnings", "weakref", "zipimport", "zoneinfo"]
)  # fmt: skip
_PASSING_LIBRARIES = ("IPython", "_pytest", "coverage", "debugpy", "ipdb", "pluggy", "pudb", "pydevd")
_TYPED_IN = ("<stdin>", "<console>", "<python-input", "<ipython")

_owners: dict[str, str] = {}
_own_packages: set[str] = set()


def own_package_of(file: str) -> None:
    """A handler is from this file: where that is an installed package, it is the user's, not a library."""
    package = _package_of(file)
    if package is not None and package not in _own_packages:
        _own_packages.add(package)
        _owners.clear()


def owner_of(file: str) -> str:
    """Whose code a code object's `co_filename` is."""
    found = _owners.get(file)
    if found is None:
        if len(_owners) >= FILES_KEPT_MAX:
            _owners.clear()
        found = _owners[file] = _find_owner(file)
    return found


def _find_owner(file: str) -> str:
    if file.startswith("<"):
        if file.startswith(("<frozen importlib", "<frozen zipimport", "<frozen runpy")):
            return PASSING
        if file.startswith("<frozen"):
            return STANDARD
        return USER if file.startswith(_TYPED_IN) else GENERATED
    if file.startswith(_OURS):
        return CODEC if file.endswith(f"{os.sep}payloads.py") else OURS
    package = _package_of(file)
    if package is not None:
        if package in _own_packages:
            return USER
        return PASSING if package.startswith(_PASSING_LIBRARIES) else LIBRARY
    for folder in _STANDARD:
        if file.startswith(folder):
            module = file[len(folder) :].partition(os.sep)[0].removesuffix(".py")
            if module in _PASSING_STANDARD:
                return PASSING
            return PLUMBING if module == "asyncio" else STANDARD
    return USER


def _package_of(file: str) -> str | None:
    """The installed package or module a file belongs to, None when it is not installed."""
    for mark in _INSTALLED:
        if mark in file:
            return file.rpartition(mark)[2].partition(os.sep)[0]
    return None
