"""Four partitions in one server: whatever one object does to another works across them, and exactly once.

The keys of a test are chosen so that every partition owns one, and each story goes through every ordered pair
of them, so no direction is left out.
"""

from __future__ import annotations

import itertools
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from harness import Admin, HoldfastServer, Ingress, Service, free_port, wait_until

from holdfast.protocol.ids import decode_invocation_id, keyed_partition_key

pytestmark = pytest.mark.e2e

PARTITIONS = 4
SCRIPT = Path(__file__).with_name("crossing_service.py")
KILLS = 2
SCATTERS = 16
ANSWER_DEADLINE_S = 30.0


def partition_of(invocation_id: str) -> int:
    return int.from_bytes(decode_invocation_id(invocation_id)[:8], "big") * PARTITIONS >> 64


def key_in(partition: int) -> str:
    """A new key that this partition owns."""
    while True:
        key = uuid.uuid4().hex[:8]
        if keyed_partition_key(key) * PARTITIONS >> 64 == partition:
            return key


def new_keys() -> list[str]:
    return [key_in(partition) for partition in range(PARTITIONS)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("crossing") / "service.log"
    started = Service("crossing", [sys.executable, str(SCRIPT)], free_port(), log, {})
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def server(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastServer]:
    started = HoldfastServer(tmp_path_factory.mktemp("server"), PARTITIONS)
    try:
        started.start()
        with started.admin() as admin:
            admin.register(service.uri)
        yield started
    finally:
        started.stop()


@pytest.fixture
def ingress(server: HoldfastServer) -> Iterator[Ingress]:
    with server.ingress() as ingress:
        yield ingress


@pytest.fixture
def admin(server: HoldfastServer) -> Iterator[Admin]:
    with server.admin() as admin:
        yield admin


@pytest.fixture(params=["Node", "IdleNode"])
def name(request: pytest.FixtureRequest) -> str:
    """Objects that wait on their stream, and objects that suspend at every await."""
    return str(request.param)


def visits(ingress: Ingress, name: str, key: str) -> object:
    return ingress.call(f"/{name}/{key}/visits")


def result(ingress: Ingress, invocation: str) -> object:
    answer = ingress.attach(invocation)
    assert answer.status_code == 200, f"{invocation}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def test_keys_go_where_the_test_thinks(ingress: Ingress) -> None:
    for partition, key in enumerate(new_keys()):
        assert partition_of(ingress.send(f"/Node/{key}/add")) == partition


def test_chains_of_calls_in_every_order(name: str, ingress: Ingress) -> None:
    keys = new_keys()
    # Locks are held along a chain, so chains that cross would wait for each other: one after the other.
    for order in itertools.permutations(keys):
        assert ingress.call(f"/{name}/{order[0]}/chain", order[1:]) == list(order)
    assert [visits(ingress, name, key) for key in keys] == [24] * PARTITIONS


def test_sends_between_all_pairs(name: str, ingress: Ingress) -> None:
    keys = new_keys()
    scattered = [ingress.send(f"/{name}/{key}/scatter", keys * 5) for key in keys]
    sent: list[str] = []
    for partition, invocation in enumerate(scattered):
        ids = result(ingress, invocation)
        assert isinstance(ids, list)
        assert partition_of(invocation) == partition
        assert [partition_of(id_) for id_ in ids] == list(range(PARTITIONS)) * 5
        sent += ids
    assert len(set(sent)) == len(sent)
    answers = [result(ingress, id_) for id_ in sent]
    for of_one_key in (answers[n::PARTITIONS] for n in range(PARTITIONS)):
        assert sorted(str(n).rjust(3) for n in of_one_key) == [str(n).rjust(3) for n in range(1, 21)]


def test_awakeables_between_all_pairs(name: str, ingress: Ingress) -> None:
    for one, other in itertools.product(new_keys(), new_keys()):
        assert ingress.call(f"/{name}/{one}/ask", other) == f"{other} to {one}"


def test_one_idempotency_key_is_one_invocation_for_everybody(name: str, ingress: Ingress) -> None:
    for target in new_keys():
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ingress.call, f"/{name}/{key}/once", target) for key in new_keys() * 2]
            ids = {str(answer.result()) for answer in asked}
        assert len(ids) == 1
        assert visits(ingress, name, target) == 1


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_a_tree_of_calls_ends_with_its_root(how: str, name: str, ingress: Ingress, admin: Admin) -> None:
    root_key = f"root-{uuid.uuid4().hex[:8]}-"
    root = ingress.send(f"/{name}/{root_key}/tree", 3)
    of_tree = (
        f"FROM sys_invocation WHERE target_service_name = '{name}' AND target_service_key LIKE '{root_key}%'"
    )

    def sleeping() -> bool:
        naps = (
            f"SELECT id FROM sys_journal WHERE entry_type = 'Command: Sleep' AND id IN (SELECT id {of_tree})"
        )
        return len(admin.query(naps)) == 8

    wait_until(sleeping, "every leaf to sleep")
    members = [str(row["id"]) for row in admin.query(f"SELECT id {of_tree}")]
    assert len(members) == 15
    # Where each lives is chance: fifteen may leave a partition out, but never all be in one (1 in 4^14).
    assert len({partition_of(member) for member in members}) > 1
    assert admin.patch(root, how).status_code in (200, 202)
    assert ingress.attach(root).status_code == 409
    left = f"SELECT id, status {of_tree} AND status != 'completed'"
    wait_until(lambda: admin.query(left) == [], f"everything under the root to end: {admin.query(left)}")
    results = admin.query(f"SELECT completion_failure {of_tree}")
    assert {str(row["completion_failure"])[:5] for row in results} == {"[409]"}
    # Every lock is free again.
    assert ingress.call(f"/{name}/{root_key}/add") == 1
    assert ingress.call(f"/{name}/{root_key}000/add") == 1


def test_kill_nine_between_partitions_counts_exactly(service: Service, tmp_path: Path) -> None:
    """Goal: messages between partitions are delivered once. Method: kill the server while they travel."""
    server = HoldfastServer(tmp_path / "server", PARTITIONS)
    keys = new_keys() + new_keys()

    def ask(path: str, body: object, idempotency_key: str) -> object:
        """Repeat one request under one key until it is answered."""
        give_up_at = time.monotonic() + ANSWER_DEADLINE_S
        with server.ingress() as ingress:
            while True:
                try:
                    answer = ingress.post(path, body, {"idempotency-key": idempotency_key})
                    if answer.status_code == 200:
                        return answer.json()
                    why = answer.text
                    assert answer.status_code >= 500, why
                except httpx.TransportError as error:
                    why = repr(error)
                assert time.monotonic() < give_up_at, why
                time.sleep(0.05)

    try:
        server.start()
        with server.admin() as admin:
            admin.register(service.uri)
        with ThreadPoolExecutor(SCATTERS) as pool:
            asked = [
                pool.submit(ask, f"/{('Node', 'IdleNode')[n % 2]}/{keys[n % 8]}/scatter", keys * 4, f"s-{n}")
                for n in range(SCATTERS)
            ]
            for _ in range(KILLS):
                time.sleep(0.25)
                server.kill9()
                server.start()
            sent = [str(id_) for answer in asked for id_ in list(answer.result())]  # type: ignore[call-overload]
        assert len(set(sent)) == SCATTERS * 32
        with server.ingress() as ingress, server.admin() as admin:
            left = "SELECT id, status FROM sys_invocation WHERE status != 'completed'"
            wait_until(lambda: admin.query(left) == [], "every send to be completed", ANSWER_DEADLINE_S, 0.2)
            for name in ("Node", "IdleNode"):
                assert [visits(ingress, name, key) for key in keys] == [SCATTERS // 2 * 4] * len(keys)
    finally:
        server.kill9()
