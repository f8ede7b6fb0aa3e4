"""What `holdfast dev` is given, found: a file or a module, and the app in it.

A file is imported under the name it has among its neighbours: `shop/orders.py` in a package `shop` is
`shop.orders`, found from the folder above the package. So its own imports work as they do in production.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from holdfast.cli.load_app import LoadError, attribute_of, import_users_module
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.errors import UsageError
from holdfast.sdk.handlers import ServiceDefinition

_EXAMPLE = "such as greeter.py, greeter.py:app or shop.orders:app"
_INIT = "__init__.py"


class TargetError(Exception):
    """What was given names no file and no module; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the app is.

    Attributes:
        given: as the user wrote it, without the attribute.
        root: the folder that `module` is found from.
        attribute: of the module; None: look for it.
        file: None when the module is not below the current folder.
    """

    given: str
    root: Path
    module: str
    attribute: str | None
    file: Path | None


def parse_target(text: str, here: Path) -> Target:
    """Read `FILE_OR_MODULE[:app]`.

    Raises:
        TargetError: no such file, or not of that form.
    """
    given, _, attribute = text.partition(":")
    if given.endswith(".py") or "/" in given:
        return _of_file(given, attribute or None, (here / given).resolve())
    if not given or not all(part.isidentifier() for part in given.split(".")):
        raise TargetError(f"{text!r} names no file and no module; expected one {_EXAMPLE}")
    if (here / f"{given}.py").is_file():
        return _of_file(given, attribute or None, (here / f"{given}.py").resolve())
    path = here.joinpath(*given.split("."))
    files = [file for file in (path.with_suffix(".py"), path / _INIT) if file.is_file()]
    return Target(given, here, given, attribute or None, files[0] if files else None)


def _of_file(given: str, attribute: str | None, file: Path) -> Target:
    if file.is_dir():
        raise TargetError(f"{given} is a folder; expected a file in it, {_EXAMPLE}")
    if not file.is_file():
        raise TargetError(f"there is no file {given}; expected one {_EXAMPLE}")
    if file.suffix != ".py":
        raise TargetError(f"{given} is no Python file; expected one {_EXAMPLE}")
    parts = [] if file.name == _INIT else [file.stem]
    root = file.parent
    while (root / _INIT).is_file():
        parts.insert(0, root.name)
        root = root.parent
    return Target(given, root, ".".join(parts), attribute, file)


def find_app(target: Target) -> App:
    """Import the module; its app, or one made of its services.

    Without an attribute: `app`, else the module's one `holdfast.app(...)`, else all its services together.

    Raises:
        LoadError: importing failed, or there is nothing to serve.
    """
    if (root := str(target.root)) not in sys.path:
        sys.path.insert(0, root)
    module = import_users_module(target.module)
    _check_same_file(target, module)
    app = attribute_of(module, target.attribute) if target.attribute else _look_for_app(target, module)
    if not app.routes.services:
        raise LoadError(f"the app of {target.given} has no services; give it some: holdfast.app(greeter)")
    return app


def _check_same_file(target: Target, module: ModuleType) -> None:
    found = getattr(module, "__file__", None)
    if target.file is not None and (found is None or Path(found).resolve() != target.file):
        raise LoadError(
            f"{target.given} cannot be imported: the name {target.module} belongs to {found or 'Python'}; "
            "rename the file"
        )


def _look_for_app(target: Target, module: ModuleType) -> App:
    values = vars(module)
    if isinstance(named := values.get("app"), App):
        return named
    apps = {id(value): (name, value) for name, value in values.items() if isinstance(value, App)}
    if len(apps) > 1:
        names = ", ".join(f"{target.given}:{name}" for name, _ in apps.values())
        raise LoadError(f"{target.given} has several apps; say which one: {names}")
    for _, app in apps.values():
        return app
    services = {id(v): v for v in values.values() if isinstance(v, ServiceDefinition) and v.handlers}
    if not services:
        raise LoadError(
            f"{target.given} has no app and no services with handlers; expected one such as\n"
            '    greeter = holdfast.Service("Greeter")\n\n'
            "    @greeter.handler\n    async def greet(ctx: holdfast.Context, name: str) -> str: ..."
        )
    try:
        return App(services.values())
    except UsageError as error:
        raise LoadError(f"{target.given}: {error}") from None
