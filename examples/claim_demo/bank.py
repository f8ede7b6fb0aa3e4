"""A payment provider, as a separate process: money moves once per idempotency key.

    POST /payments   with an `Idempotency-Key` header and {"account": ..., "amount": ...}
    GET  /payments   every request it ever got: [{"key", "amount", "moved"}]

It behaves as real ones do in the moment that matters: the money moves when the request arrives, and the
answer comes later. A caller that dies in between cannot know. It has to ask again with the same key, and
then gets the first payment's receipt instead of a second payment.

    python -m examples.claim_demo.bank --port 8901 --confirm-after-ms 1500
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import cast

BODY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class Payment:
    """One request to pay. `moved` is False when the key was known and no money moved."""

    key: str
    amount: float
    moved: bool


class Bank(ThreadingHTTPServer):
    """The ledger, and the server in front of it."""

    daemon_threads = True

    def __init__(self, port: int, confirm_after_s: float) -> None:
        super().__init__(("127.0.0.1", port), Counter)
        self.confirm_after_s = confirm_after_s
        self._ledger: list[Payment] = []
        self._lock = Lock()

    def pay(self, key: str, amount: float) -> Payment:
        """Move the money unless this key has paid before. Either way the request is in the ledger."""
        with self._lock:
            known = any(payment.key == key for payment in self._ledger)
            payment = Payment(key, amount, moved=not known)
            self._ledger.append(payment)
            return payment

    def ledger(self) -> list[Payment]:
        """Every request so far, oldest first."""
        with self._lock:
            return list(self._ledger)


class Counter(BaseHTTPRequestHandler):
    """One exchange over the counter."""

    protocol_version = "HTTP/1.1"
    server: Bank

    def do_GET(self) -> None:
        """The ledger."""
        self.answer(200, [asdict(payment) for payment in self.server.ledger()])

    def do_POST(self) -> None:
        """A payment: it happens now, it is confirmed later."""
        key, length = self.headers.get("idempotency-key"), int(self.headers.get("content-length") or 0)
        if self.path != "/payments" or not key or not 0 < length <= BODY_BYTES_MAX:
            self.close_connection = True
            self.answer(
                400, {"error": "POST /payments needs an Idempotency-Key header and a small JSON body"}
            )
            return
        order = cast(dict[str, object], json.loads(self.rfile.read(length)))
        payment = self.server.pay(key, float(str(order["amount"])))
        if payment.moved:
            time.sleep(self.server.confirm_after_s)
        self.answer(
            200, {"receipt": f"receipt-{key}", "amount": payment.amount, "repeated": not payment.moved}
        )

    def answer(self, status: int, body: object) -> None:
        """Send JSON; a caller that has died in the meantime is not our problem."""
        encoded = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the standard library's name)
        """Say nothing on stderr; the ledger is the record."""


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description="A payment provider that honours idempotency keys.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--confirm-after-ms", type=float, default=0.0, help="time from payment to answer")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bank = Bank(options.port, options.confirm_after_ms / 1000)
    try:
        bank.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        bank.server_close()


if __name__ == "__main__":
    main()
