"""Deployments come, go, change and misbehave while invocations are under way."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import Effects, PythonService, Service, TypeScriptService

from .conftest import why_no_typescript
from .flavor import Flavor, fresh

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


@pytest.fixture
def started(work_dir: Path, effects: Effects) -> Iterator[list[Service]]:
    """Services a test starts for itself; ended with it."""
    found: list[Service] = []
    yield found
    for service in found:
        service.stop()


def own_services(flavor: Flavor, prefix: str) -> Flavor:
    return Flavor(prefix, flavor.ingress, flavor.admin, flavor.effects)


def deploy(service: Service, python: Flavor, started: list[Service]) -> str:
    """Start and register; the deployment id."""
    started.append(service)
    service.start()
    return str(python.admin.register(service.uri)["id"])


def test_running_invocations_stay_on_their_deployment(
    python: Flavor, started: list[Service], work_dir: Path, effects: Effects
) -> None:
    env = {"PREFIX": "PyPin"}
    pinned = own_services(python, "PyPin")
    old = deploy(PythonService(work_dir, effects, env=env), python, started)
    waiting = pinned.send("waitAwakeable")
    awakeable = effects.wait_for(waiting, "awakeable ")
    new = deploy(PythonService(work_dir, effects, env=env), python, started)
    assert old != new

    later = pinned.send("echo", 1, fresh("kept"))
    assert pinned.result(later) == 1
    python.ingress.post(f"/restate/awakeables/{awakeable}/resolve", "old")
    assert pinned.result(waiting) == "old"

    rows = {invocation: python.admin.wait_status(invocation, "completed") for invocation in (waiting, later)}
    assert rows[waiting]["pinned_deployment_id"] == old
    assert rows[later]["pinned_deployment_id"] == new
    service = python.admin.get("/services/PyPinActions").json()
    assert (service["revision"], service["deployment_id"]) == (2, new)


def test_a_paused_invocation_moves_to_the_deployment_that_fixes_it(
    python: Flavor, started: list[Service], work_dir: Path, effects: Effects
) -> None:
    env = {"PREFIX": "PyMove"}
    moving = own_services(python, "PyMove")
    deploy(PythonService(work_dir, effects, env=env), python, started)
    invocation = moving.send("untilFixed")
    python.admin.wait_status(invocation, "paused")
    new = deploy(PythonService(work_dir, effects, env=env), python, started)
    started[0].kill9()
    with effects.path.open("a") as file:
        file.write(f"{invocation}\tfixed\n")
    assert python.admin.patch(invocation, "resume", deployment="latest").status_code == 200
    assert moving.result(invocation) == "fixed"
    assert python.admin.wait_status(invocation, "completed")["pinned_deployment_id"] == new
    assert effects.count(invocation, "before") == 1


def test_a_service_that_comes_back_goes_on(
    python: Flavor, started: list[Service], work_dir: Path, effects: Effects
) -> None:
    back = own_services(python, "PyBack")
    service = PythonService(work_dir, effects, env={"PREFIX": "PyBack"})
    deploy(service, python, started)
    assert back.act("echo", 1) == 1
    service.kill9()
    accepted = back.send("steps", 2)
    python.admin.wait_status(accepted, "backing-off")
    service.start()
    assert back.result(accepted) == ["step 0", "step 1"]


def test_a_deployment_is_removed(
    python: Flavor, started: list[Service], work_dir: Path, effects: Effects
) -> None:
    gone = own_services(python, "PyGone")
    deployment = deploy(PythonService(work_dir, effects, env={"PREFIX": "PyGone"}), python, started)
    assert gone.act("echo", 1) == 1
    path = f"/deployments/{deployment}"
    assert python.admin.get(path).status_code == 200
    assert python.admin.http.delete(path, params={"force": "true"}).status_code == 202
    assert python.admin.get(path).status_code == 404
    assert gone.post("echo", 1).status_code == 404


def test_registering_again_and_dry_runs_change_nothing(
    python: Flavor, started: list[Service], work_dir: Path, effects: Effects
) -> None:
    service = PythonService(work_dir, effects, env={"PREFIX": "PyAgain"})
    started.append(service)
    service.start()
    request = {"uri": service.uri, "force": False}
    dry = python.admin.http.post("/deployments", json={**request, "dry_run": True})
    assert dry.status_code in (200, 201)
    assert "PyAgainActions" in [found["name"] for found in dry.json()["services"]]
    assert python.admin.get("/services/PyAgainActions").status_code == 404
    first = python.admin.http.post("/deployments", json=request)
    again = python.admin.http.post("/deployments", json=request)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert python.admin.get("/services/PyAgainActions").json()["revision"] == 1


def test_a_service_is_made_private_and_public_again(python: Flavor) -> None:
    path = "/services/PyRrActions"
    assert python.admin.http.patch(path, json={"public": False}).json()["public"] is False
    private = own_services(python, "PyRr")
    try:
        assert private.post("echo", 1).status_code == 400
    finally:
        assert python.admin.http.patch(path, json={"public": True}).json()["public"] is True
    assert private.act("echo", 1) == 1


def test_an_endpoint_that_closes_its_connection_every_100_requests(
    python: Flavor, started: list[Service], work_dir: Path, effects: Effects
) -> None:
    """Hypercorn says GOAWAY and forgets what was in flight; the attempt times out and goes on elsewhere."""
    away = own_services(python, "PyAway")
    env = {"PREFIX": "PyAway", "MAX_REQUESTS": "100", "TIMEOUT_MS": "700"}
    deploy(PythonService(work_dir, effects, env=env), python, started)

    def share(_: int) -> list[object]:
        return [away.act("echo", number) for number in range(50)]

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(share, range(12))) == [list(range(50))] * 12


def test_an_endpoint_that_allows_few_streams(
    python: Flavor, started: list[Service], work_dir: Path, effects: Effects
) -> None:
    """More attempts than streams have to queue or use more connections, never to fail."""
    if reason := why_no_typescript():
        pytest.skip(reason)
    few = own_services(python, "TsFew")
    env = {"PREFIX": "TsFew", "MAX_STREAMS": "4"}
    deploy(TypeScriptService(work_dir, effects, env=env), python, started)
    invocations = [few.send("steps", 2) for _ in range(40)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(few.result, invocations)) == [["step 0", "step 1"]] * 40
    assert all(effects.of(invocation) == ["step 0", "step 1"] for invocation in invocations)
