"""The endpoint itself: a few routes over the standard library's HTTP server, which counts what it is asked.

A call is recorded when its request is read, before any byte of the answer: a caller that dies half way
through the answer has still made a call.
"""

import json
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Final, Protocol, cast

import holdfast.testing.llm.chat as chat
import holdfast.testing.llm.messages as messages
import holdfast.testing.llm.responses as responses
from holdfast.testing.llm.script import Message, Reply, Script, ScriptError, turns_so_far
from holdfast.testing.llm.wire import BadRequest, Json, fields, fingerprint, usage_of

REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
CALLS_KEPT_MAX: Final = 100_000
"""Calls beyond are answered and logged, and no longer kept in memory."""


HELD_POLL_S: Final = 0.005

UNLOGGED: Final = frozenset(["headers", "body", "answered"])


class Dialect(Protocol):
    """How one provider's interface asks and answers; each is a module."""

    def conversation(self, request: Json) -> tuple[Message, ...]:
        """The messages of a request. Raises BadRequest when they cannot be read."""
        ...

    def answer(self, request: Json, spoken: tuple[Message, ...], reply: Reply) -> Json:
        """The answer as one JSON object."""
        ...

    def stream(self, request: Json, spoken: tuple[Message, ...], reply: Reply) -> Iterator[bytes]:
        """The answer as server-sent events."""
        ...

    def problem(self, status: int, code: str, message: str) -> Json:
        """An error as the provider's clients read it."""
        ...


DIALECTS: Final[dict[str, Dialect]] = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/messages": messages,
}


@dataclass
class Call:
    """One request for an answer, as it was read.

    Attributes:
        time_s: epoch seconds.
        path: says the dialect.
        turn: how many times the model had answered before.
        rule: the name of the rule that answered.
        status: of the answer, an HTTP status.
        conversation: a fingerprint; equal ones are the same question asked again.
        headers: names in lower case.
        body: the request's JSON.
        usage: tokens in and out, as the answer says; none when it says none, or is an error.
        answered: whether the answer was sent; not so while it is delayed, and never when the caller hung up
            before.
    """

    time_s: float
    path: str
    stream: bool
    turn: int
    rule: str
    status: int
    conversation: str
    headers: dict[str, str]
    body: Json
    usage: tuple[int, int] = (0, 0)
    answered: bool = False


class Endpoint(ThreadingHTTPServer):
    """The HTTP server with its script and what it was asked.

    Args:
        address: host and port, 0 for a free one.
        log: a file to append one JSON line per call to, without headers and body.
        piece_delay_s, delay_s: wait after each piece of a stream, and before an answer, where the reply does
            not say.
    Attributes:
        calls: every call that a rule answered, in the order in which they were read.
        held: answers wait for as long as this says so; may be replaced.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        script: Script,
        log: Path | None = None,
        piece_delay_s: float = 0.0,
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(address, Exchange)
        self.script = script
        self.delay_s = delay_s
        self.piece_delay_s = piece_delay_s
        self.calls: list[Call] = []
        self.held: Callable[[], bool] = _never
        self.closing = Event()
        self._log = log
        self._lock = Lock()
        self._asked: Counter[str] = Counter()

    def take(
        self, path: str, headers: dict[str, str], request: Json
    ) -> tuple[tuple[Message, ...], Call, Reply]:
        """Find the answer to a call and record it.

        Raises:
            BadRequest: it cannot be read.
            ScriptError: no rule answers it.
        """
        spoken = DIALECTS[path].conversation(request)
        name = fingerprint(spoken)
        model = str(request.get("model", ""))
        with self._lock:
            rule, reply = self.script.answer(spoken, model, self._asked[name])
            self._asked[name] += 1
            call = Call(
                time.time(),
                path,
                bool(request.get("stream")),
                turns_so_far(spoken),
                rule.name,
                reply.status,
                name,
                headers,
                request,
                usage_of(spoken, reply) if reply.status < 400 and reply.body is None else (0, 0),
            )
            if len(self.calls) < CALLS_KEPT_MAX:
                self.calls.append(call)
            if self._log is not None:
                shown = {name: value for name, value in asdict(call).items() if name not in UNLOGGED}
                with self._log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(shown) + "\n")
        return spoken, call, reply

    def forget(self) -> None:
        """Begin to count anew: no calls, and every conversation is asked for the first time."""
        with self._lock:
            self.calls.clear()
            self._asked.clear()

    def server_close(self) -> None:
        """Stop listening; answers that are being delayed end at once."""
        self.closing.set()
        super().server_close()


def _never() -> bool:
    return False


class Exchange(BaseHTTPRequestHandler):
    """One connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Endpoint  # pyright: ignore[reportIncompatibleVariableOverride] # as `Endpoint` makes it
    timeout = 60
    # Head and body leave in one packet; small ones would otherwise wait for each other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """`/health` for whoever waits for the start, `/calls` for whoever counts, `/v1/models`."""
        match self.path:
            case "/health":
                self.send_json(200, {"status": "ok"})
            case "/calls":
                self.send_json(200, {"calls": [asdict(call) for call in list(self.server.calls)]})
            case "/v1/models":
                model: Json = {"id": "scripted", "object": "model", "created": 0, "owned_by": "script"}
                self.send_json(200, {"object": "list", "data": [model]})
            case _:
                self.send_json(404, chat.problem(404, "not_found", f"no route {self.path}"))

    def do_POST(self) -> None:
        """Answer a model call in the dialect of its path."""
        path = self.path.partition("?")[0]
        dialect = DIALECTS.get(path)
        if dialect is None:
            self.close_connection = True
            problem = f"no route {path}; there are {', '.join(DIALECTS)}"
            self.send_json(404, chat.problem(404, "not_found", problem))
            return
        try:
            request = self.read_request()
            headers = {name.lower(): value for name, value in self.headers.items()}
            spoken, call, reply = self.server.take(path, headers, request)
        except (BadRequest, ScriptError) as error:
            self.send_json(400, dialect.problem(400, type(error).__name__, str(error)))
            return
        delay_s = self.server.delay_s if reply.delay_s is None else reply.delay_s
        if delay_s:
            self.server.closing.wait(delay_s)
        while self.server.held() and not self.server.closing.is_set():
            time.sleep(HELD_POLL_S)
        if self.hung_up():
            self.close_connection = True
            return
        call.answered = True
        if reply.status >= 400:
            self.send_json(
                reply.status, dialect.problem(reply.status, reply.error, reply.text or reply.error), reply
            )
        elif reply.body is not None:
            self.send_text(reply.status, reply.body.encode(), reply)
        elif request.get("stream"):
            self.send_stream(dialect.stream(request, spoken, reply), reply)
        else:
            self.send_json(reply.status, dialect.answer(request, spoken, reply), reply)

    def hung_up(self) -> bool:
        """Whether the caller has closed the connection; clients do not send ahead of an answer."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def read_request(self) -> Json:
        """The request's JSON body. Raises BadRequest when it is missing, too large or not JSON."""
        length = int(self.headers.get("content-length") or 0)
        if not 0 < length <= REQUEST_BYTES_MAX:
            self.close_connection = True
            raise BadRequest(f"the body must have 1 to {REQUEST_BYTES_MAX} bytes, this one has {length}")
        try:
            return fields(cast(object, json.loads(self.rfile.read(length))), "the body")
        except ValueError as error:
            raise BadRequest(f"the body is not JSON: {error}") from error

    def send_json(self, status: int, body: Json, reply: Reply | None = None) -> None:
        """Send one JSON answer."""
        self.send_text(status, json.dumps(body).encode(), reply)

    def send_text(self, status: int, body: bytes, reply: Reply | None) -> None:
        """Send an answer that says it is JSON; cut off where the reply says so."""
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.send_reply_headers(reply)
            if reply is not None and reply.cut_after is not None:
                self.wfile.write(body[: reply.cut_after])
                self.cut()
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def send_stream(self, events: Iterator[bytes], reply: Reply) -> None:
        """Send server-sent events in HTTP chunks; a caller that goes away ends the stream, not the server."""
        delay_s = self.server.piece_delay_s if reply.piece_delay_s is None else reply.piece_delay_s
        try:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("cache-control", "no-cache")
            self.send_header("transfer-encoding", "chunked")
            self.send_reply_headers(reply)
            for number, event in enumerate(events):
                if number == reply.cut_after:
                    self.cut()
                    return
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                self.wfile.flush()
                if delay_s:
                    self.server.closing.wait(delay_s)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def send_reply_headers(self, reply: Reply | None) -> None:
        """The reply's own headers, and the end of the head."""
        if reply is not None:
            for name, value in reply.headers.items():
                self.send_header(name, value)
        self.end_headers()

    def cut(self) -> None:
        """Reset the connection, as a peer does that dies: nothing announces the end."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the standard library's name)
        """Say nothing on stderr; the record of calls is what counts."""
