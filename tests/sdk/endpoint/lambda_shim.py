"""A door from HTTP/1.1 to a Lambda handler: requests become events, as in front of a real function.

Run as `python -m sdk.endpoint.lambda_shim`; the port is in `PORT`.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sdk.endpoint.trips import function

FUNCTION_TIMEOUT_MS = 60_000


class Invocation:
    """What Lambda's runtime gives beside the event."""

    def get_remaining_time_in_millis(self) -> int:
        return FUNCTION_TIMEOUT_MS


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._invoke()

    def do_POST(self) -> None:
        self._invoke()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass

    def _invoke(self) -> None:
        event = {
            "path": self.path,
            "httpMethod": self.command,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": b64encode(self._body()).decode(),
            "isBase64Encoded": True,
        }
        result = function(event, Invocation())
        body = b64decode(result["body"]) if result["isBase64Encoded"] else result["body"].encode()
        self.send_response(result["statusCode"])
        for name, value in result["headers"].items():
            if name != "content-length":
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        pieces: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Door).serve_forever()
