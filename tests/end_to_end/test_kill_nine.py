"""kill -9 under load: of the server, of the service, of both, at moments a seed decides.

Afterwards everything that was promised has to be true: every accepted invocation completed, no step ran
again once its result was journaled, every object counted exactly. `HOLDFAST_CRASH_SEEDS=7,8,9` repeats or
widens a run; a failure names its seed.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Effects, PythonService, Server, Service, TypeScriptService, new_server, wait_until
from interop.conftest import why_no_typescript

from .load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEEDS = [int(seed) for seed in os.environ.get("HOLDFAST_CRASH_SEEDS", "1").split(",")]
KILLS = 4
PAUSE_S = (0.3, 1.2)
CLIENTS = 12
COMPLETION_DEADLINE_S = 60.0
VICTIMS = {"server": (True, False), "service": (False, True), "both": (True, True)}


def service_of(language: str, work_dir: Path, effects: Effects) -> Service:
    if language == "Py":
        return PythonService(work_dir, effects)
    if reason := why_no_typescript():
        pytest.skip(reason)
    return TypeScriptService(work_dir, effects)


@contextmanager
def world(language: str, work_dir: Path) -> Iterator[tuple[Server, Service, Effects]]:
    """A server of its own and one service, registered."""
    effects = Effects(work_dir / "side-effects.txt")
    service = service_of(language, work_dir, effects)
    server = new_server(work_dir / "server")
    try:
        server.start()
        service.start()
        with server.admin() as admin:
            admin.register(service.uri)
        yield server, service, effects
    finally:
        service.stop()
        server.kill9()


def check_steps_ran_in_order(effects: Effects) -> None:
    """No step may run again once the one after it has begun, for then its result was journaled."""
    for invocation, labels in effects.all().items():
        steps = [int(label.removeprefix("step ")) for label in labels if label.startswith("step ")]
        assert steps == sorted(steps), f"{invocation} ran a journaled step again: {labels}"


def check_everything_promised(server: Server, load: Load, effects: Effects) -> None:
    book = load.finish()
    assert book.broken == []
    assert book.steps, "the load never got through"
    assert book.sent, "the load never got through"
    with server.ingress() as ingress, server.admin() as admin:
        for invocation in book.sent:
            answer = ingress.attach(invocation)
            assert answer.status_code == 200, f"{invocation}: {answer.status_code} {answer.text}"
        for key in load.keys:
            assert (ingress.call(f"/{load.prefix}Counter/{key}/get") or 0) == book.added[key], key
        left_over = "SELECT id, target, status FROM sys_invocation WHERE status != 'completed'"
        wait_until(
            lambda: admin.query(left_over) == [],
            "every invocation to be completed",
            COMPLETION_DEADLINE_S,
            0.2,
        )
    check_steps_ran_in_order(effects)
    ran = effects.all()
    for invocation in book.steps:
        assert {f"step {i}" for i in range(5)} <= set(ran[invocation]), f"{invocation} lost a step"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("language", ["Ts", "Py"])
@pytest.mark.parametrize("victims", list(VICTIMS))
def test_nothing_promised_is_lost(victims: str, language: str, seed: int, tmp_path: Path) -> None:
    chance = random.Random(f"{victims}/{language}/{seed}")
    kill_server, kill_service = VICTIMS[victims]
    with world(language, tmp_path) as (server, service, effects):
        load = Load(server, language, CLIENTS, seed)
        load.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(*PAUSE_S))
            if kill_server:
                server.kill9()
            if kill_service:
                service.kill9()
            time.sleep(chance.uniform(0, 0.3))
            # Whichever comes back first meets the other one missing.
            comebacks = [server.start] * kill_server + [service.start] * kill_service
            chance.shuffle(comebacks)
            for come_back in comebacks:
                come_back()
        time.sleep(chance.uniform(*PAUSE_S))
        check_everything_promised(server, load, effects)


def test_what_slept_through_a_crash_wakes_on_time(tmp_path: Path) -> None:
    with world("Py", tmp_path) as (server, _, _effects), server.ingress() as ingress:
        naps = [ingress.send("/PyActions/nap", 1500) for _ in range(20)]
        later = [ingress.send("/PyActions/now", delay="1500ms") for _ in range(20)]
        sent_at_ms = time.time() * 1000
        server.kill9()
        server.start()
        for invocation in naps:
            assert ingress.attach(invocation).json() == "rested"
        for invocation in later:
            ran_at_ms = ingress.attach(invocation).json()
            assert ran_at_ms >= sent_at_ms + 1400


def test_what_waits_for_people_survives_a_crash(tmp_path: Path) -> None:
    with world("Py", tmp_path) as (server, service, effects), server.ingress() as ingress:
        waits = [ingress.send("/PyActions/waitAwakeable") for _ in range(5)]
        awakeables = [effects.wait_for(invocation, "awakeable ") for invocation in waits]
        flow = ingress.send("/PyFlow/crashed/run", "order")
        effects.wait_for(flow, "run")
        server.kill9()
        service.kill9()
        service.start()
        server.start()
        for number, awakeable in enumerate(awakeables):
            assert ingress.post(f"/restate/awakeables/{awakeable}/resolve", number).status_code == 202
        ingress.call("/PyFlow/crashed/approve", "yes")
        assert [ingress.attach(invocation).json() for invocation in waits] == list(range(5))
        assert ingress.attach(flow).json()["decision"] == "yes"
        assert [effects.count(i, f"awakeable {a}") for i, a in zip(waits, awakeables, strict=True)] == [1] * 5


def test_a_clean_stop_loses_nothing_either(tmp_path: Path) -> None:
    with world("Py", tmp_path) as (server, _, effects):
        load = Load(server, "Py", CLIENTS, seed=0)
        load.start()
        for _ in range(2):
            time.sleep(0.8)
            server.restart()
        check_everything_promised(server, load, effects)
