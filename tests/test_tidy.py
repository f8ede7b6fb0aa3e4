"""Rules about the source itself: which package may import which, file sizes, documented error codes.

Goal: the tree stays the architecture. Method: the imports of every module are parsed, those under
TYPE_CHECKING and inside functions too, since they are dependencies all the same; a failure names the arrow
that bent.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "holdfast"
LINES_MAX = 600

MAY_IMPORT = {
    "core": {"core"},
    "protocol": {"protocol"},
    "http2": {"http2"},
    "http_server": {"http_server", "http2"},
    "storage": {"storage", "core", "protocol"},
    "timers": {"timers", "core", "storage"},
    "catalog": {"catalog", "core", "protocol", "invoker.http"},
    "partition": {"partition", "core", "protocol", "storage", "timers", "catalog"},
    "invoker": {"invoker", "core", "protocol", "storage", "timers", "catalog", "partition"},
    "invoker.http": {"invoker.http", "http2"},
    "sdk": {"sdk", "protocol"},
    "serving": {"serving", "sdk", "http_server", "http2"},
    "client": {"client", "sdk", "protocol"},
    "ai": {"ai", "sdk"},
}
"""Packages whose arrows are listed whole; `invoker.http` is a package of its own inside the invoker."""

MUST_NOT_IMPORT = {
    "ingress": {"server", "cli", "admin"},
    "admin": {"server", "cli"},
    "query": {"server", "cli"},
    "testing": {"cli"},
}
"""Packages at the edge, for which only these arrows are forbidden."""

SERVER_USERS = {"server", "cli", "testing"}


def modules() -> dict[str, Path]:
    """Module name without `holdfast.`, to its file."""
    found: dict[str, Path] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()
TREES = {name: ast.parse(file.read_text()) for name, file in MODULES.items()}


def imports(name: str) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of ours in a module, wherever it stands."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("holdfast."):
                    yield node.lineno, alias.name.removeprefix("holdfast.")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: relative import; write it out"
            whole = node.module or ""
            if whole == "holdfast" or whole.startswith("holdfast."):
                package = whole.removeprefix("holdfast").removeprefix(".")
                for alias in node.names:
                    inner = f"{package}.{alias.name}".removeprefix(".")
                    yield node.lineno, inner if inner in MODULES else package


def package_of(module: str) -> str:
    return "invoker.http" if module.startswith("invoker.http") else module.split(".")[0]


def arrows() -> Iterator[tuple[str, str, str]]:
    """(where, from package, to package) for every import of ours."""
    for name in MODULES:
        for line, imported in imports(name):
            if imported:
                yield f"{name}:{line} imports {imported}", package_of(name), package_of(imported)


def test_arrows_point_inward() -> None:
    bent = [
        f"{where}: {source} may import only {', '.join(sorted(MAY_IMPORT[source]))}"
        for where, source, target in arrows()
        if source in MAY_IMPORT and target not in MAY_IMPORT[source] and not _http_by_owner(source, target)
    ]
    bent += [
        f"{where}: {source} must not import {target}"
        for where, source, target in arrows()
        if target in MUST_NOT_IMPORT.get(source, ())
    ]
    assert not bent, "\n".join(bent)


def _http_by_owner(source: str, target: str) -> bool:
    return source == "invoker" and target == "invoker.http"


def test_nobody_imports_the_server_but_the_command_line_and_testing() -> None:
    bent = [w for w, source, target in arrows() if target in SERVER_USERS and source not in SERVER_USERS]
    assert not bent, "\n".join(bent)


def test_every_package_is_ruled() -> None:
    """A new package must be given its arrows here before it can be merged."""
    packages = {name.split(".")[0] for name in MODULES if "." in name}
    unruled = packages - MAY_IMPORT.keys() - MUST_NOT_IMPORT.keys() - SERVER_USERS
    assert not unruled, f"say in MAY_IMPORT what these may import: {', '.join(sorted(unruled))}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    # The front door `holdfast` names what is public without loading it: it is on nobody's path.
    graph = {
        name: sorted({to for _, to in imports(name) if to in MODULES and to not in (name, "")})
        for name in MODULES
    }
    circles = sorted({" -> ".join(circle) for circle in _circles(graph)})
    assert not circles, "\n".join(circles)


def _circles(graph: dict[str, list[str]]) -> Iterator[list[str]]:
    """Circles, found by walking until a module on the path returns; at least one per knot."""
    finished: set[str] = set()

    def walk(node: str, path: list[str]) -> Iterator[list[str]]:
        if node in path:
            yield [*path[path.index(node) :], node]
        elif node not in finished:
            for following in graph[node]:
                yield from walk(following, [*path, node])
            finished.add(node)

    for node in graph:
        yield from walk(node, [])


@pytest.mark.parametrize("package", ["core", "protocol"])
def test_the_inner_packages_do_no_io(package: str) -> None:
    """Time, chance and the outside world come to them as arguments."""
    forbidden = {"time", "datetime", "random", "uuid", "asyncio", "socket", "threading", "os", "apsw"}
    bent = []
    for name, tree in TREES.items():
        if package_of(name) != package:
            continue
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            bent += [f"{name}:{node.lineno} imports {n}" for n in names if n.split(".")[0] in forbidden]
    assert not bent, "\n".join(bent)


def test_files_stay_readable() -> None:
    long = [
        f"{file.relative_to(ROOT)} has {count} lines, at most {LINES_MAX}"
        for file in MODULES.values()
        if (count := len(file.read_text().splitlines())) > LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, tree in TREES.items() if not ast.get_docstring(tree)]
    assert not silent, f"no module docstring: {', '.join(silent)}"


def test_every_error_code_is_documented() -> None:
    documented_in = ROOT / "docs" / "errors.md"
    if not documented_in.exists():
        warnings.warn("docs/errors.md does not exist: error codes are NOT checked", stacklevel=1)
        pytest.skip("docs/errors.md does not exist")
    listed = documented_in.read_text()
    used: dict[str, str] = {}
    for name, file in MODULES.items():
        for code in re.findall(r"\b(?:RT|HF|META)\d{4}\b", file.read_text()):
            used.setdefault(code, name)
    missing = [f"{code} (in {name})" for code, name in sorted(used.items()) if code not in listed]
    assert not missing, f"not in docs/errors.md: {', '.join(missing)}"


CODED_ERRORS = re.compile(r"Error$|^error$|^UnknownName$|^NotInThisContext$")
A_CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")


def coded(tree: ast.Module) -> Iterator[str]:
    """The codes that errors of the SDK are made with: the first argument, in front of the sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[0], ast.Constant):
            function, code = node.func, node.args[0].value
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if CODED_ERRORS.search(name) and isinstance(code, str) and A_CODE.fullmatch(code):
                yield code
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            named = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if named == ["code"] and isinstance(node.value.value, str):
                yield node.value.value


def test_every_code_of_the_sdk_is_documented() -> None:
    listed = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs" / "errors.md").read_text()))
    used = {
        code: name
        for name, tree in TREES.items()
        if package_of(name) in {"sdk", "client", "testing", "ai"}
        for code in coded(tree)
    }
    assert len(used) > 50
    missing = [f"{code} (in {name})" for code, name in sorted(used.items()) if code not in listed]
    assert not missing, f"not in docs/errors.md: {', '.join(missing)}"
