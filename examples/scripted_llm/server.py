"""The endpoint itself: a few routes over the standard library's HTTP server, one log line per model call.

    python -m examples.scripted_llm.server --script SCRIPT.json --port 8900 --log calls.jsonl

A call is logged when its request is read, before any byte of the answer: a caller that dies half way
through the answer has still made a call. Each line is JSON: `time_s` (epoch seconds), `path`, `stream`,
`turn`, `rule`, `conversation` (a fingerprint; equal ones are the same question asked again).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import cast

from examples.scripted_llm import chat, responses
from examples.scripted_llm.script import Message, Script, ScriptError, load, turns_so_far
from examples.scripted_llm.wire import BadRequest, Json, fields, fingerprint

DIALECTS = {"/v1/chat/completions": chat, "/v1/responses": responses}
REQUEST_BYTES_MAX = 4 * 1024 * 1024


class Endpoint(ThreadingHTTPServer):
    """The HTTP server with its script and its log of calls."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], script: Script, log: Path | None, piece_delay_s: float
    ) -> None:
        super().__init__(address, Exchange)
        self.script = script
        self.piece_delay_s = piece_delay_s
        self._log = log
        self._log_lock = Lock()

    def record(self, path: str, streamed: bool, spoken: tuple[Message, ...], rule: str) -> None:
        """Append one line for a model call, whole, before it is answered."""
        line = {
            "time_s": time.time(),
            "path": path,
            "stream": streamed,
            "turn": turns_so_far(spoken),
            "rule": rule,
            "conversation": fingerprint(spoken),
        }
        if self._log is not None:
            with self._log_lock, self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


class Exchange(BaseHTTPRequestHandler):
    """One HTTP exchange."""

    protocol_version = "HTTP/1.1"
    server: Endpoint
    timeout = 60

    def do_GET(self) -> None:
        """`/health` for whoever waits for the start, `/v1/models` for clients that list."""
        match self.path:
            case "/health":
                self.send_json(200, {"status": "ok"})
            case "/v1/models":
                model: Json = {"id": "scripted", "object": "model", "created": 0, "owned_by": "script"}
                self.send_json(200, {"object": "list", "data": [model]})
            case _:
                self.send_problem(404, "not_found", f"no route {self.path}")

    def do_POST(self) -> None:
        """Answer a model call in the dialect of its path."""
        path = self.path.partition("?")[0]
        dialect = DIALECTS.get(path)
        if dialect is None:
            self.close_connection = True
            self.send_problem(404, "not_found", f"no route {path}; there are {', '.join(DIALECTS)}")
            return
        try:
            request = self.read_request()
            spoken = dialect.conversation(request)
            rule, reply = self.server.script.answer(spoken)
        except (BadRequest, ScriptError) as error:
            self.send_problem(400, type(error).__name__, str(error))
            return
        streamed = bool(request.get("stream"))
        self.server.record(path, streamed, spoken, rule.name)
        if streamed:
            self.send_stream(dialect.stream(request, spoken, reply))
        else:
            self.send_json(200, dialect.answer(request, spoken, reply))

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

    def send_json(self, status: int, body: Json) -> None:
        """Send one JSON answer."""
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def send_problem(self, status: int, code: str, message: str) -> None:
        """Send an error in the shape that OpenAI clients read."""
        self.send_json(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})

    def send_stream(self, events: Iterator[bytes]) -> None:
        """Send server-sent events in HTTP chunks; a caller that goes away ends the stream, not the server."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in events:
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                time.sleep(self.server.piece_delay_s)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the standard library's name)
        """Say nothing on stderr; the log of calls is the record."""


def main() -> None:
    """Serve a script until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible endpoint on loopback.")
    parser.add_argument("--script", type=Path, required=True, help="JSON list of rules")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one and prints it")
    parser.add_argument("--log", type=Path, help="append one JSON line per model call to this file")
    parser.add_argument("--piece-delay-ms", type=float, default=0.0, help="pause after each streamed piece")
    options = parser.parse_args()
    try:
        script = load(options.script)
    except ScriptError as error:
        sys.exit(str(error))
    endpoint = Endpoint((options.host, options.port), script, options.log, options.piece_delay_ms / 1000)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"scripted model on http://{options.host}:{endpoint.server_port}/v1", flush=True)
    try:
        endpoint.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        endpoint.server_close()


if __name__ == "__main__":
    main()
