"""Requests nobody should make: each is answered with what was wrong, and the next client is served.

A table per interface, over a real server; what a malformed request does to the connection is checked with
bare sockets. The same server serves a healthy handler all along.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import h2.connection
import h2.events
import pytest
from harness import Admin, HoldfastServer, Ingress

from .lying_service import STEPS, LyingService
from .world import Watchman

pytestmark = pytest.mark.e2e

REQUEST_BYTES_MAX = 100_000
READ_DEADLINE_S = 10.0
SOME_ID = "inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
JSON_TYPE = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastServer]:
    limit = {"HOLDFAST_REQUEST_BYTES_MAX": str(REQUEST_BYTES_MAX)}
    started = HoldfastServer(tmp_path_factory.mktemp("requests"), env=limit)
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def watchman(server: HoldfastServer) -> Iterator[Watchman]:
    strict: dict[str, object] = {
        "handlers": [
            {"name": "serve"},
            {
                "name": "json",
                "input": {"required": True, "contentType": "application/json", "jsonSchema": {}},
            },
            {"name": "hidden", "ingressPrivate": True},
        ]
    }
    with (
        LyingService("Plain", [], strict) as plain,
        LyingService("Keyed", ["serve"], kind="VIRTUAL_OBJECT") as keyed,
        LyingService("Flow", [], {"handlers": [{"name": "run", "ty": "WORKFLOW"}]}, kind="WORKFLOW") as flow,
        server.admin() as admin,
    ):
        for service in (plain, keyed, flow):
            admin.register(service.uri)
        with Watchman(server, "/Plain/serve") as watchman:
            yield watchman
        assert watchman.complaints == []


@pytest.fixture(scope="module")
def ingress(server: HoldfastServer, watchman: Watchman) -> Iterator[Ingress]:
    with server.ingress() as ingress:
        yield ingress


@pytest.fixture(scope="module")
def admin(server: HoldfastServer, watchman: Watchman) -> Iterator[Admin]:
    with server.admin() as admin:
        yield admin


# Method, path, headers, body; the status and a part of the message.
BAD_AT_INGRESS = [
    ("POST", "/Nobody/serve", {}, b"", 404, "service 'Nobody' not found"),
    ("POST", "/Nobody/k/serve", {}, b"", 404, "service 'Nobody' not found"),
    ("POST", "/Plain/nothing", {}, b"", 404, "handler 'nothing'"),
    ("POST", "/Keyed/k/nothing", {}, b"", 404, "handler 'nothing'"),
    ("POST", "/Keyed/serve", {}, b"", 400, ""),
    ("POST", "/Plain/k/serve", {}, b"", 400, ""),
    ("POST", "/Plain", {}, b"", 400, ""),
    ("POST", "/Keyed/%ff/serve", {}, b"", 400, "UTF-8"),
    ("POST", "/Plain/hidden", {}, b"", 400, "not public"),
    ("POST", "/Plain/hidden/send", {}, b"", 400, "not public"),
    ("POST", "/Plain/json", JSON_TYPE, b"", 400, "input validation error"),
    ("POST", "/Plain/json", {"content-type": "text/plain"}, b"{}", 400, "input validation error"),
    ("POST", "/Plain/json", {}, b"{}", 400, "input validation error"),
    ("POST", "/Plain/serve", {}, b"x" * (REQUEST_BYTES_MAX + 1), 413, str(REQUEST_BYTES_MAX)),
    ("POST", "/Plain/serve", {"idempotency-key": ""}, b"", 400, "idempotency"),
    ("POST", "/Flow/k/run", {"idempotency-key": "i"}, b"", 400, "dempotency"),
    ("POST", "/Plain/serve/send?delay=soon", {}, b"", 400, "delay"),
    ("POST", "/Plain/serve/send?delay=-1s", {}, b"", 400, "delay"),
    ("POST", "/Plain/serve?delay=1s", {}, b"", 400, "delay"),
    ("DELETE", "/Plain/serve", {}, b"", 405, ""),
    ("GET", "/restate/nothing", {}, b"", 404, ""),
    ("GET", f"/restate/invocation/{SOME_ID}/attach", {}, b"", 404, ""),
    ("GET", f"/restate/invocation/{SOME_ID}/output", {}, b"", 404, ""),
    ("GET", "/restate/invocation/inv_nonsense/attach", {}, b"", 400, "inv_nonsense"),
    ("GET", "/restate/invocation/nonsense/output", {}, b"", 400, "nonsense"),
    ("POST", "/restate/awakeables/sign_nonsense/resolve", {}, b"", 400, ""),
    ("POST", "/restate/awakeables/nonsense/reject", {}, b"", 400, ""),
    ("GET", "/restate/workflow/Flow/nobody/attach", {}, b"", 404, ""),
    ("GET", "/restate/workflow/Nothing/nobody/attach", {}, b"", 404, ""),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status", "says"), BAD_AT_INGRESS)
def test_ingress_says_what_was_wrong(
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    says: str,
    ingress: Ingress,
    watchman: Watchman,
) -> None:
    answer = ingress.http.request(method, path, headers=headers, content=body)
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["code"] == status
    # An unknown invocation is answered like one that failed; everything else never became one.
    source = "invocation" if "attach" in path and status == 404 else "ingress"
    assert said["source"] == answer.headers["x-restate-error-source"] == source
    assert says in said["message"]
    watchman.sees_service()


def test_a_refused_request_leaves_nothing_behind(ingress: Ingress, admin: Admin) -> None:
    before = len(admin.query("SELECT id FROM sys_invocation WHERE target_handler_name != 'serve'"))
    for method, path, headers, body, *_ in BAD_AT_INGRESS:
        ingress.http.request(method, path, headers=headers, content=body)
    assert len(admin.query("SELECT id FROM sys_invocation WHERE target_handler_name != 'serve'")) == before


NOT_JSON = b'{"uri": '
BAD_AT_ADMIN = [
    ("POST", "/deployments", JSON_TYPE, NOT_JSON, (400,), "JSON"),
    ("POST", "/deployments", JSON_TYPE, b"[1, 2]", (400, 422), ""),
    ("POST", "/deployments", {"content-type": "text/plain"}, b"{}", (400, 415, 422), ""),
    ("POST", "/deployments", JSON_TYPE, b'{"uri": "nowhere"}', (400, 422), ""),
    ("POST", "/deployments", JSON_TYPE, b'{"uri": "ftp://127.0.0.1:1"}', (400, 422), ""),
    ("POST", "/deployments", JSON_TYPE, b'{"uri": "http://127.0.0.1:1"}', (500,), "META0003"),
    ("GET", "/deployments/dp_nothing", {}, b"", (400, 404), ""),
    ("DELETE", "/deployments/dp_nothing?force=true", {}, b"", (400, 404), ""),
    ("GET", "/services/Nobody", {}, b"", (404,), "Nobody"),
    ("PATCH", "/services/Nobody", JSON_TYPE, b"{}", (404,), "Nobody"),
    ("PATCH", "/services/Plain", JSON_TYPE, NOT_JSON, (400,), "JSON"),
    ("PATCH", "/services/Plain", JSON_TYPE, b'{"public": 7}', (400, 422), ""),
    ("PATCH", f"/invocations/{SOME_ID}/kill", {}, b"", (404,), SOME_ID),
    ("PATCH", f"/invocations/{SOME_ID}/resume", {}, b"", (404,), SOME_ID),
    ("PATCH", "/invocations/inv_nonsense/cancel", {}, b"", (400,), "invocation_id"),
    ("PATCH", f"/invocations/{SOME_ID}/explode", {}, b"", (404,), ""),
    ("POST", "/query", JSON_TYPE, NOT_JSON, (400,), "JSON"),
    ("POST", "/query", JSON_TYPE, b'{"query": "SELEKT 1"}', (400, 500), ""),
    ("POST", "/query", JSON_TYPE, b'{"query": "DROP TABLE sys_invocation"}', (400, 500), ""),
    ("POST", "/query", JSON_TYPE, b'{"query": "SELECT * FROM nothing"}', (400, 500), "nothing"),
    ("GET", "/nothing", {}, b"", (404,), ""),
    ("PUT", "/deployments/dp_1", {}, b"", (400, 404, 405, 415, 422), ""),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "statuses", "says"), BAD_AT_ADMIN)
def test_admin_says_what_was_wrong(
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    statuses: tuple[int, ...],
    says: str,
    admin: Admin,
    watchman: Watchman,
) -> None:
    answer = admin.http.request(method, path, headers=headers, content=body)
    assert answer.status_code in statuses, answer.text
    assert says in answer.text
    assert "Traceback" not in answer.text
    watchman.sees_service()


# ---------------------------------------------------------------- below HTTP


def first_words(port: int, said: bytes, *, hang_up: bool = True) -> bytes:
    """What the server answers to these bytes; empty when it only closes the connection."""
    with socket.create_connection(("127.0.0.1", port), READ_DEADLINE_S) as client:
        client.settimeout(READ_DEADLINE_S)
        client.sendall(said)
        if hang_up:
            client.shutdown(socket.SHUT_WR)
        try:
            return client.recv(65_536)
        except ConnectionResetError:
            return b""


GIBBERISH = [
    b"\x00\x01\x02\x03" * 50,
    b"GET\r\n\r\n",
    b"POST /Plain/serve HTTP/1.1\r\nhost: x\r\ncontent-length: nonsense\r\n\r\n",
    b"POST /Plain/serve HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    b"POST /Plain/serve HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnot hex\r\n",
    b"POST /Plain/serve HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
    b"POST /Plain/serve HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 200_000 + b"\r\n\r\n",
    b"POST /" + b"x" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + (2**24 - 1).to_bytes(3, "big") + b"\x00\x00\x00\x00\x00\x01",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS greeting
]


@pytest.mark.parametrize("which", ["ingress", "admin"])
@pytest.mark.parametrize("said", GIBBERISH, ids=range(len(GIBBERISH)))
def test_gibberish_is_refused_and_the_next_client_served(
    said: bytes, which: str, server: HoldfastServer, watchman: Watchman
) -> None:
    port = server.ingress_port if which == "ingress" else server.admin_port
    answer = first_words(port, said)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or _is_h2(answer), answer[:200]
    watchman.sees_service()


def _is_h2(answer: bytes) -> bool:
    """Begins with a SETTINGS frame or a GOAWAY."""
    return len(answer) >= 9 and answer[3] in (0x4, 0x7)


def test_a_request_cut_at_every_byte_invokes_nothing(
    server: HoldfastServer, admin: Admin, watchman: Watchman
) -> None:
    """Goal: no prefix of a request is taken for the whole. Method: send each and hang up."""
    body = b'"whole"'
    whole = b"POST /Keyed/cut/serve/send HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    for cut in range(len(whole)):
        answer = first_words(server.ingress_port, whole[:cut])
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert admin.query("SELECT id FROM sys_invocation WHERE target_service_key = 'cut'") == []
    assert first_words(server.ingress_port, whole, hang_up=False).startswith(b"HTTP/1.1 202")
    watchman.sees_service()


def test_http2_frames_cut_at_every_byte_invoke_nothing(
    server: HoldfastServer, admin: Admin, watchman: Watchman
) -> None:
    client = h2.connection.H2Connection()
    client.initiate_connection()
    headers = [(":method", "POST"), (":path", "/Keyed/cut2/serve/send"), (":scheme", "http")]
    client.send_headers(1, [*headers, (":authority", "x")])
    client.send_data(1, b'"whole"', end_stream=True)
    whole = client.data_to_send()
    for cut in range(len(whole)):
        answer = first_words(server.ingress_port, whole[:cut])
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or _is_h2(answer), answer
    assert admin.query("SELECT id FROM sys_invocation WHERE target_service_key = 'cut2'") == []
    watchman.sees_service()


def test_a_client_that_leaves_does_not_take_its_invocation_along(
    server: HoldfastServer, ingress: Ingress, admin: Admin
) -> None:
    request = (
        b"POST /Keyed/left/serve HTTP/1.1\r\nhost: x\r\nidempotency-key: left\r\ncontent-length: 0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.ingress_port), READ_DEADLINE_S) as client:
        client.sendall(request)
    answer = ingress.post("/Keyed/left/serve", headers={"idempotency-key": "left"})
    assert answer.json() == list(STEPS)
    assert len(admin.query("SELECT id FROM sys_invocation WHERE target_service_key = 'left'")) == 1
