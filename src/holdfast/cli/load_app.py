"""`module:app` of the command line, loaded: the user's application, or what is wrong in words they know.

The module is found from the current directory, as with `python -m`. An error of the module's own is shown as
its traceback, without the frames of whoever loads it.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from types import ModuleType, TracebackType

from holdfast.sdk.endpoint.app import App

_EXAMPLE = "such as greeter:app for `app = holdfast.app(...)` in greeter.py"


class LoadError(Exception):
    """The application cannot be loaded; the text is for the user.

    Attributes:
        detail: the traceback of the user's code, when that is what failed; else empty.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def load_app(target: str) -> App:
    """What `module:attribute` names.

    Raises:
        LoadError: not such a name, no such module or attribute, not an app, or importing it failed.
    """
    name, colon, attribute = target.partition(":")
    if not colon or not name or not attribute or name.endswith(".py") or "/" in name:
        raise LoadError(f"{target!r} does not read MODULE:APP, {_EXAMPLE}{_as_module(name, attribute)}")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    return attribute_of(import_users_module(name), attribute)


def attribute_of(module: ModuleType, attribute: str) -> App:
    """The app that `attribute`, which may have dots, names in a module.

    Raises:
        LoadError: there is none of that name, or it is something else.
    """
    name = module.__name__
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            apps = [key for key, value in vars(module).items() if isinstance(value, App)]
            there = f"; its apps: {', '.join(apps)}" if apps else f"; expected {_EXAMPLE}"
            raise LoadError(f"module {name} has no attribute {attribute}{there}")
        found = getattr(found, part)
    if not isinstance(found, App):
        raise LoadError(
            f"{name}:{attribute} is {_described(found)}, expected what holdfast.app(...) returns. An app "
            "mounted in another framework is run by that framework's server (docs/deploying.md)"
        )
    return found


def import_users_module(name: str) -> ModuleType:
    """Import it from `sys.path`.

    Raises:
        LoadError: there is none, or its code failed; then with its traceback.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise LoadError(
                f"there is no module {error.name} in {os.getcwd()} or among installed ones"
            ) from None
        raise _failed(name, error) from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from None


def _failed(name: str, error: BaseException) -> LoadError:
    shown = "".join(traceback.format_exception(type(error), error, _of_the_user(error.__traceback__)))
    return LoadError(f"importing {name} failed", shown)


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """Without the frames above the user's module."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != __file__ and not file.startswith("<frozen importlib") and "importlib" not in file:
            return trace
        trace = trace.tb_next
    return None


def _as_module(name: str, attribute: str) -> str:
    if not name.endswith(".py") and "/" not in name:
        return ""
    module = name.removesuffix(".py").strip("./").replace("/", ".")
    return f". For that file: {module}:{attribute or 'app'}"


def _described(value: object) -> str:
    kind = type(value).__name__
    return f"an instance of {kind}" if not isinstance(value, type) else f"the class {value.__name__}"
