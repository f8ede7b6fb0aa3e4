"""One server and two service processes for the whole session; one `Family` per version and transport.

`HOLDFAST_TEST_SERVER=restate` runs the same tests against the server that the official SDKs are written for.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Effects, Server, Service, new_server
from harness.servers import RESTATE_BINARY, SERVICES, chosen
from sdk_suite.family import PREFIXES, Family
from sdk_suite.processes import SuiteService

MOUNTS = ("v7", "v6", "v5", "codec")


@pytest.fixture(scope="session")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Effects:
    return Effects(tmp_path_factory.mktemp("sdk-effects") / "side-effects.txt")


@pytest.fixture(scope="session")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sdk-suite")


@pytest.fixture(scope="session")
def server(work_dir: Path) -> Iterator[Server]:
    if chosen() == "restate" and not RESTATE_BINARY.exists():
        pytest.skip(
            f"SKIPPING THE SDK'S SUITE: the other server is not installed: run `npm ci` in "
            f"{SERVICES / 'typescript'}"
        )
    started = new_server(work_dir / "server")
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def services(server: Server, work_dir: Path, effects: Effects) -> Iterator[list[Service]]:
    """Both processes, every mount registered."""
    found: list[Service] = [
        SuiteService(work_dir, effects),
        SuiteService(work_dir, effects, request_response=True),
    ]
    try:
        for service in found:
            service.process.start()
        with server.admin() as admin:
            for service in found:
                service.wait_healthy()
                for mount in MOUNTS:
                    admin.register(f"{service.uri}/{mount}", http_11=service.http_11)
        yield found
    finally:
        for service in found:
            service.stop()


@pytest.fixture(scope="session")
def families(server: Server, services: list[Service], effects: Effects) -> Iterator[dict[str, Family]]:
    with server.ingress() as ingress, server.admin() as admin:
        names = (*PREFIXES, "Codec", "CodecRr")
        yield {prefix: Family(prefix, ingress, admin, effects) for prefix in names}


@pytest.fixture(params=PREFIXES)
def family(request: pytest.FixtureRequest, families: dict[str, Family]) -> Family:
    """Every version on every transport: the test runs nine times."""
    prefix: str = request.param
    return families[prefix]
