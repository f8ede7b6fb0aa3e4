"""One server and two service processes per SDK for the session; one `Flavor` per way to run a handler."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from harness import (
    LANGUAGES,
    NODE,
    Admin,
    CompiledService,
    Effects,
    PythonService,
    Server,
    Service,
    TypeScriptService,
    new_server,
)
from harness.servers import SERVICES, chosen
from interop.flavor import PREFIXES, Arrangement, Flavor

NODE_MODULES = SERVICES / "typescript" / "node_modules" / "@restatedev" / "restate-sdk"


TIMEOUTS_MAX = 4

_timeouts = 0


def pytest_exception_interact(node: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """End the session when the shared server has stopped answering: every further test would only wait."""
    global _timeouts
    if call.excinfo is not None and call.excinfo.errisinstance(httpx.TimeoutException):
        _timeouts += 1
        if _timeouts >= TIMEOUTS_MAX:
            pytest.exit(f"{TIMEOUTS_MAX} requests without an answer; the last in {node.name}", returncode=1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On older protocol versions, compiled languages run as `Idle` only: it suspends at every await, so every
    command is sent, completed and replayed."""
    compiled = {language.prefix for language in LANGUAGES}

    def left_out(item: pytest.Item) -> bool:
        params = (
            item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        )
        prefix, on = params.get("flavor"), params.get("arrangement")
        older = isinstance(on, Arrangement) and on.protocol_version < ARRANGEMENTS[0].protocol_version
        return older and isinstance(prefix, str) and prefix[:2] in compiled and not prefix.endswith("Idle")

    dropped = [item for item in items if left_out(item)]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in set(dropped)]


def why_no_typescript() -> str | None:
    """The reason TypeScript flavors are skipped, with what to do; None when they can run."""
    if NODE is None:
        return "no `node` on the PATH: install Node 20 or newer to test the official TypeScript SDK"
    if not NODE_MODULES.exists():
        return f"the TypeScript SDK is not installed: run `npm ci` in {SERVICES / 'typescript'}"
    return None


def why_not(prefix: str) -> str | None:
    """The reason a flavor is skipped, with what to do; None when it can run."""
    if prefix.startswith("Ts"):
        return why_no_typescript()
    return next((found.why_not() for found in LANGUAGES if prefix.startswith(found.prefix)), None)


@pytest.fixture(scope="session")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Effects:
    return Effects(tmp_path_factory.mktemp("effects") / "side-effects.txt")


@pytest.fixture(scope="session")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


# Version 7 is the default. The older ones run on more partitions, so that both are covered in three passes.
ARRANGEMENTS = (
    [Arrangement(7, 1), Arrangement(6, 4), Arrangement(5, 3)]
    if chosen() == "holdfast"
    else [Arrangement(7, 1)]
)


@pytest.fixture(scope="session", params=ARRANGEMENTS, ids=str)
def arrangement(request: pytest.FixtureRequest) -> Arrangement:
    found: Arrangement = request.param
    return found


@pytest.fixture(scope="session")
def server(work_dir: Path, arrangement: Arrangement) -> Iterator[Server]:
    version = {"HOLDFAST_PROTOCOL_VERSION_MAX": str(arrangement.protocol_version)}
    started = new_server(work_dir / f"server-{arrangement}", version, partitions=arrangement.partitions)
    try:
        started.start()
        yield started
    finally:
        started.stop()


@dataclass(frozen=True)
class Services:
    """Every deployment by its language's prefix, and why a language's could not be registered.

    A deployment that does not start or answer is the failure of its own language's tests, not of everyone's.
    """

    running: list[tuple[str, Service]]
    broken: dict[str, str] = field(default_factory=dict)

    def register(self, admin: Admin) -> None:
        for prefix, service in self.running:
            try:
                service.wait_healthy()
                admin.register(service.uri, http_11=service.http_11)
            except (httpx.HTTPError, AssertionError, RuntimeError) as e:
                self.broken[prefix] = f"{service.uri} could not be registered: {e!r}"


@pytest.fixture(scope="session")
def services(
    server: Server, work_dir: Path, effects: Effects, arrangement: Arrangement
) -> Iterator[Services]:
    """Every deployment, registered."""
    work_dir = work_dir / f"services-{arrangement}"
    work_dir.mkdir()
    found: list[tuple[str, Service]] = [
        ("Py", PythonService(work_dir, effects)),
        ("Py", PythonService(work_dir, effects, request_response=True)),
    ]
    if reason := why_no_typescript():
        warnings.warn(f"SKIPPING ALL TYPESCRIPT INTEROP TESTS: {reason}", stacklevel=1)
    else:
        found.append(("Ts", TypeScriptService(work_dir, effects)))
        found.append(("Ts", TypeScriptService(work_dir, effects, request_response=True)))
    for language in LANGUAGES:
        if reason := language.why_not():
            warnings.warn(f"SKIPPING ALL {language.name.upper()} INTEROP TESTS: {reason}", stacklevel=1)
        else:
            found.append((language.prefix, CompiledService(language, work_dir, effects)))
            found.append(
                (language.prefix, CompiledService(language, work_dir, effects, request_response=True))
            )
    services = Services(found)
    try:
        for _, service in found:
            service.process.start()
        with server.admin() as admin:
            services.register(admin)
        yield services
    finally:
        for _, service in found:
            service.stop()


@pytest.fixture(scope="session")
def flavors(server: Server, services: Services, effects: Effects) -> Iterator[dict[str, Flavor]]:
    with server.ingress() as ingress, server.admin() as admin:
        yield {prefix: Flavor(prefix, ingress, admin, effects) for prefix in PREFIXES}


@pytest.fixture(params=PREFIXES)
def flavor(request: pytest.FixtureRequest, flavors: dict[str, Flavor], services: Services) -> Flavor:
    """Each SDK on each transport: the test runs three times per language."""
    prefix: str = request.param
    if reason := why_not(prefix):
        pytest.skip(reason)
    if reason := services.broken.get(prefix[:2]):
        pytest.fail(reason)
    return flavors[prefix]


@pytest.fixture
def python(flavors: dict[str, Flavor]) -> Flavor:
    """One flavor, for tests about the server alone."""
    return flavors["Py"]
