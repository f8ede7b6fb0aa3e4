"""Watching a real server: what happens is told, a death is noticed, a reader that sleeps harms nobody."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Server, new_server
from harness.processes import free_port
from harness.services import Service

pytestmark = pytest.mark.e2e

DEADLINE_S = 60.0
XSS = '<img src=x onerror="alert(1)">'
ROOT = Path(__file__).resolve().parents[2]
Event = tuple[str, dict[str, Any]]


class WatchedService(Service):
    def __init__(self, work_dir: Path) -> None:
        port = free_port()
        serve = [sys.executable, "-m", "holdfast.cli.main", "serve", "tests.admin.watched_service:app"]
        log = work_dir / "service.log"
        super().__init__("service", [*serve, "--port", str(port)], port, log, {"PYTHONPATH": str(ROOT)})


class Stream:
    """One connection to `/events`; iterates over its events and remembers the last id."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.last_id = ""

    def events(self) -> Iterator[Event]:
        name, data = "", ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value
            elif field == "id":
                self.last_id = value
            elif not line and name:
                yield name, json.loads(data)
                name = ""

    def greeted(self) -> None:
        """The first id: from here on everything is told."""
        while not self.last_id:
            field, _, value = next(self._lines).partition(": ")
            self.last_id = value if field == "id" else ""

    def until(self, wanted: Callable[[str, dict[str, Any]], bool]) -> list[Event]:
        """Events up to the first for which `wanted(name, data)` holds."""
        seen: list[Event] = []
        for event in self.events():
            seen.append(event)
            if wanted(*event):
                return seen
        raise AssertionError(f"the stream ended after {seen}")


@contextmanager
def watching(server: Server, query: str = "", last_id: str = "") -> Generator[Stream]:
    headers = {"last-event-id": last_id} if last_id else {}
    client = httpx.Client(base_url=server.admin_url, timeout=DEADLINE_S, trust_env=False)
    with client, client.stream("GET", f"/events{query}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server, service = new_server(tmp_path / "server"), WatchedService(tmp_path)
    server.start()
    try:
        service.start()
        with server.admin() as admin:
            admin.register(service.uri)
        yield server
    finally:
        server.kill9()
        service.stop()


def test_an_approval_is_watched_from_start_to_end(server: Server) -> None:
    with server.ingress() as ingress, watching(server, "?service=WatchedFlow") as list_:
        list_.greeted()
        id_ = ingress.send("WatchedFlow/k1/run", XSS)
        assert ingress.post("Watched/echo", XSS).json() == XSS, "of a service that is not asked for"
        seen = list_.until(lambda _, one: one["status"] == "backing-off")
        assert {one["id"] for _, one in seen} == {id_}
        assert "<script>" in seen[-1][1]["last_failure"]["message"], "texts pass through as they are"
        with watching(server, f"?invocation={id_}") as detail:
            detail.greeted()
            path = f"{server.admin_url}/invocations/{id_}"
            timeline = httpx.get(f"{path}/timeline", trust_env=False).json()
            known = {entry["index"]: entry for entry in timeline["entries"]}

            def promised(name: str, data: dict[str, Any]) -> bool:
                if name == "entries":
                    known.update({entry["index"]: entry for entry in data["entries"]})
                return any(e["type"] == "promise_get" for e in known.values())

            if not promised("", {}):
                detail.until(promised)
            entries = sorted(known.values(), key=lambda e: e["index"])
            assert [e["type"] for e in entries] == ["input", "run", "promise_get"]
            assert [r["message"] for r in entries[1]["retries"]] == 2 * [
                "step flaky: RuntimeError: <script>alert(1)</script>"
            ]
            answer = httpx.post(
                f"{path}/entries/{entries[2]['index']}/resolve", json={"value": XSS}, trust_env=False
            )
            assert answer.status_code == 200
            detail.until(lambda name, one: name == "invocation" and one["status"] == "succeeded")
        list_.until(lambda _, one: one["status"] == "succeeded")
        whole = httpx.get(f"{path}/timeline", trust_env=False).json()
        assert whole["output"]["data"] == XSS + XSS
        outcomes = [attempt["outcome"] for attempt in whole["attempts"]]
        assert outcomes[:2] == ["failed", "failed"]
        assert outcomes[-1] == "completed"


def test_an_awakeable_is_seen_while_the_attempt_still_runs(server: Server) -> None:
    """No command in the journal tells of it, and the attempt suspends after a minute only."""
    with server.ingress() as ingress:
        id_ = ingress.send("Watched/ask", "so: ")
        path = f"{server.admin_url}/invocations/{id_}"
        with watching(server, f"?invocation={id_}") as detail:
            detail.greeted()
            waiting = [e for e in _timeline(path)["entries"] if e["type"] == "awakeable"]
            if not waiting:
                _, data = detail.until(
                    lambda name, one: name == "entries" and one["entries"][-1]["type"] == "awakeable"
                )[-1]
                waiting = data["entries"][-1:]
            assert _timeline(path)["invocation"]["status"] == "running"
            assert [e["state"] for e in _timeline(path)["entries"]] == ["done", "pending"]
            answer = httpx.post(
                f"{path}/entries/{waiting[0]['index']}/resolve", json={"value": "yes"}, trust_env=False
            )
            assert answer.status_code == 200
            detail.until(lambda name, one: name == "invocation" and one["status"] == "succeeded")
    assert _timeline(path)["output"]["data"] == "so: yes"


def _timeline(path: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{path}/timeline", trust_env=False).json()
    return answer


def test_after_a_kill_a_reader_learns_that_it_has_missed_something(server: Server) -> None:
    with server.ingress() as ingress:
        with watching(server) as stream:
            stream.greeted()
            ingress.post("Watched/echo", "one")
            stream.until(lambda _, one: one["status"] == "succeeded")
            before = stream.last_id
        with watching(server, last_id=before) as stream:
            ingress.post("Watched/echo", "two")
            events = stream.until(lambda name, one: name == "reset" or one["status"] == "succeeded")
            assert all(name == "invocation" for name, _ in events), "nothing was missed: it goes on"
            before = stream.last_id
        server.kill9()
        server.start()
        with watching(server, last_id=before) as stream:
            assert next(stream.events()) == ("reset", {})
            ingress.post("Watched/echo", "three")
            stream.until(lambda name, one: name == "invocation" and one["status"] == "succeeded")


def test_a_server_with_readers_stops_promptly_even_if_they_do_not_read(server: Server) -> None:
    asleep = socket.create_connection(("127.0.0.1", server.admin_port))
    asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asleep.sendall(b"GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    with server.ingress() as ingress, watching(server) as stream:
        stream.greeted()
        for number in range(300):
            ingress.post("Watched/echo", f"{number}" + "x" * 100)
        stream.until(lambda name, one: name == "reset" or one["status"] == "succeeded")
        os.kill(server.pid, signal.SIGTERM)
        began = time.monotonic()
        for _ in stream.events():
            pass
        while server.process.alive:
            assert time.monotonic() - began < 20.0, "the server hangs on its readers"
            time.sleep(0.05)
    asleep.close()
