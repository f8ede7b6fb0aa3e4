"""An app behind real servers of every kind, worked for real by a server that signs its requests."""

from __future__ import annotations

import socket
import time

import httpx
import pytest
from harness import Effects, Server, wait_until
from sdk.endpoint.ways import WAYS, Deployed, Way

from holdfast.protocol import messages
from holdfast.protocol.framing import ACK_REQUESTED, FrameDecoder
from holdfast.protocol.identity import RequestSigner
from holdfast.protocol.messages import (
    InputCommandMessage,
    OutputCommandMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    Value,
    frame,
)

pytestmark = pytest.mark.e2e

V7 = "application/vnd.restate.invocation.v7"
REQUESTS = 3000
LARGE_CHARS = 5_000_000
LAMBDA_CHARS = 3_000_000
"""Lambda carries 6 MB with a third of it lost, and the input is in the journal that comes back to it."""

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


def request(value: bytes) -> bytes:
    start = StartMessage(bytes(range(24)), "inv_1x", 1)
    return frame(start) + frame(InputCommandMessage(value=Value(value)))


def headers(signer: RequestSigner, path: str, **more: str) -> dict[str, str]:
    return {"content-type": V7, **dict(signer.headers(path, None, int(time.time()))), **more}


@every_way
def test_a_trip_with_every_kind_of_wait(way: Way, server: Server, effects: Effects) -> None:
    with server.ingress() as ingress, server.admin() as admin:
        invocation = ingress.send(f"/{way.name}Trips/book", 3)
        reserved, paid, total = ingress.attach(invocation).json()
        row = admin.invocation(invocation)
    assert (reserved, paid, total) == ([0, 1, 2], "paid", 3)
    notes = effects.of(invocation)
    attempts = notes.count("attempt")
    assert sorted(set(notes) - {"attempt"}) == ["reserve 0", "reserve 1", "reserve 2"]
    assert len(notes) - attempts == 3
    assert way.duplex is None or (attempts == 1) == way.duplex
    assert row is not None
    assert not row.get("last_failure")


@every_way
def test_large_inputs_and_outputs(way: Way, server: Server) -> None:
    text = "x" * (LAMBDA_CHARS if way.name == "Lambda" else LARGE_CHARS)
    with server.ingress() as ingress:
        assert ingress.call(f"/{way.name}Trips/echo", text) == text


@every_way
def test_strangers_are_refused(way: Way, deployed: dict[str, Deployed], signer: RequestSigner) -> None:
    path = f"/invoke/{way.name}Trips/greet"
    with deployed[way.name].client() as http:
        assert http.post(path, content=request(b'"Eve"'), headers={"content-type": V7}).status_code == 401
        wrong = headers(signer, "/invoke/Other/handler")
        assert http.post(path, content=request(b'"Eve"'), headers=wrong).status_code == 401
        assert http.get("/discover").status_code == 401
        assert http.get("/health").status_code == 200
        right = http.post(path, content=request(b'"Ada"'), headers=headers(signer, path))
    assert right.status_code == 200
    output, end = [messages.decode(t, body, 7) for t, _, body in FrameDecoder().feed(right.content)]
    assert isinstance(output, messages.OutputCommandMessage)
    assert output.result == Value(b'"hi Ada"')
    assert isinstance(end, messages.EndMessage)


@every_way
def test_what_is_wrong_with_a_request_is_said(
    way: Way, deployed: dict[str, Deployed], signer: RequestSigner
) -> None:
    greet, nothing = f"/invoke/{way.name}Trips/greet", f"/invoke/{way.name}Trips/nothing"
    with deployed[way.name].client() as http:
        answers = [
            http.get("/nowhere", headers=headers(signer, f"{way.path}/nowhere")),
            http.post(nothing, content=request(b'"x"'), headers=headers(signer, nothing)),
            http.get(greet, headers=headers(signer, greet)),
            http.post("/discover", headers=headers(signer, "/discover")),
            http.post(
                greet,
                content=request(b'"x"'),
                headers=headers(signer, greet, **{"content-type": "text/plain"}),
            ),
            http.get("/discover", headers=headers(signer, "/discover", accept="text/html")),
        ]
        # The connection has taken no harm.
        fine = http.post(greet, content=request(b'"x"'), headers=headers(signer, greet))
    assert [answer.status_code for answer in answers] == [404, 404, 405, 405, 415, 415]
    assert all(answer.json()["message"] for answer in answers)
    assert fine.status_code == 200


@pytest.mark.parametrize("name", ["Serve", "Serve11", "Granian", "Uvicorn"])
def test_thousands_of_requests_on_one_connection(
    name: str, deployed: dict[str, Deployed], signer: RequestSigner
) -> None:
    path = f"/invoke/{name}Trips/greet"
    body = request(b'"Ada"')
    with deployed[name].client() as http:
        answers = {
            http.post(path, content=body, headers=headers(signer, path)).content for _ in range(REQUESTS)
        }
    assert len(answers) == 1


@pytest.mark.parametrize("name", [way.name for way in WAYS if way.name not in ("Granian11", "Lambda")])
def test_an_attempt_ends_with_its_connection(
    name: str, deployed: dict[str, Deployed], signer: RequestSigner, effects: Effects
) -> None:
    path = f"/invoke/{name}Trips/hang"
    printed = f"inv_gone_{name}"
    start = frame(StartMessage(bytes(range(24)), printed, 1))
    body = start + frame(InputCommandMessage(value=Value(b"60")))
    with (
        deployed[name].client() as http,
        http.stream("POST", path, content=body, headers=headers(signer, path)) as response,
    ):
        assert response.status_code == 200
        assert effects.wait_for(printed, "begun") == ""
    effects.wait_for(printed, "abandoned")


@pytest.mark.parametrize("name", ["Serve", "Granian", "Uvicorn", "Hypercorn"])
def test_full_duplex_over_http_1_1_with_a_peer_that_can(
    name: str, deployed: dict[str, Deployed], signer: RequestSigner
) -> None:
    """The step's result comes while the request is open, and its acknowledgement goes into that request."""
    path = f"/invoke/{name}Trips/hang"
    opening = frame(StartMessage(bytes(range(24)), "inv_duplex", 1))
    opening += frame(InputCommandMessage(value=Value(b"0.01")))
    seen = bytearray()
    head = "".join(f"{k}: {v}\r\n" for k, v in headers(signer, path, host="x").items())
    with socket.create_connection(("127.0.0.1", deployed[name].port), 20) as peer:
        peer.sendall(f"POST {path} HTTP/1.1\r\n{head}transfer-encoding: chunked\r\n\r\n".encode())
        peer.sendall(chunk(opening))
        read_until(peer, seen, frame(ProposeRunCompletionMessage(1, Value(b'"waited"')), ACK_REQUESTED))
        peer.sendall(chunk(frame(ProposeRunCompletionAckMessage(1))))
        read_until(peer, seen, frame(OutputCommandMessage(result=Value(b'"waited"'))))
        peer.sendall(b"0\r\n\r\n")
        read_until(peer, seen, b"\r\n0\r\n\r\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def read_until(peer: socket.socket, seen: bytearray, wanted: bytes) -> None:
    """Read on, into `seen`, until it holds what is wanted."""
    while wanted not in seen:
        piece = peer.recv(65536)
        assert piece, f"the connection ended before {wanted!r}; it gave {seen!r}"
        seen += piece


def test_the_site_around_a_mounted_app_goes_on(deployed: dict[str, Deployed]) -> None:
    site = deployed["FastApi"]
    assert httpx.get(f"{site.uri}/", trust_env=False).json() == {"site": "up"}
    assert httpx.get(f"{site.uri}/agents/health", trust_env=False).status_code == 200


@pytest.mark.parametrize("name", ["Serve", "Workers", "Granian"])
def test_serve_ends_when_told_and_work_goes_on_after(
    name: str, server: Server, deployed: dict[str, Deployed], effects: Effects
) -> None:
    service = deployed[name]
    with server.ingress() as ingress:
        invocation = ingress.send(f"/{name}Trips/hang", 1)
        effects.wait_for(invocation, "begun")
        service.process.stop()
        assert "Traceback" not in service.process.log_tail()
        service.start()
        assert ingress.attach(invocation).json() == "waited"
        assert wait_until(lambda: ingress.call(f"/{name}Trips/greet", "Ada"), "a greeting") == "hi Ada"
