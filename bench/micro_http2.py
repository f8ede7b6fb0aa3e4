"""CPU of the HTTP/2 client per stream, in memory: no sockets, no loop, a peer made of prepared bytes.

    python bench/micro_http2.py [--streams 20000] [--steps 0] [--together 64]

One stream is what an attempt is on the wire: HEADERS and a body that stays open; response HEADERS; one DATA
with the result (for each step first a DATA with the proposal, answered by a small write); our half-close; the
peer's.
"""

from __future__ import annotations

import argparse
import time

from holdfast.http2 import frames
from holdfast.invoker.http import PreparedHeaders, Stream, TransportFailure
from holdfast.invoker.http.h2_connection import H2Connection
from holdfast.invoker.http.header_blocks import RequestEncoder, ResponseCache

BODY = b"s" * 210
RESULT = b"o" * 32
PROPOSAL = b"p" * 60
ACK = b"a" * 10
RESPONSE_BLOCK = b"\x88" + b"\x00\x0ccontent-type" + b"\x26application/vnd.restate.invocation.v7a"
CONTENT_TYPE = "application/vnd.restate.invocation.v7"
PREPARED = PreparedHeaders((("content-type", CONTENT_TYPE), ("accept", CONTENT_TYPE)))


class Owner:
    """A driver with nothing to do."""

    def output_ready(self) -> None: ...

    def settings_received(self) -> None: ...

    def stream_closed(self, idle: bool) -> None: ...

    def going_away(self) -> None: ...

    def listener_failed(self, error: Exception) -> None:
        raise error


class Listener:
    """Answers proposals and half-closes on the result, as the invoker does."""

    __slots__ = ("ended", "stream")
    stream: Stream

    def on_response(self, status: int, headers: dict[str, str]) -> None: ...

    def on_data(self, data: bytes) -> None:
        if data == PROPOSAL:
            self.stream.write(ACK)
        else:
            self.stream.end()

    def on_end(self) -> None:
        self.ended = True

    def on_failure(self, failure: TransportFailure) -> None:
        raise AssertionError(failure.reason)


def measure(streams: int, steps: int, together: int) -> float:
    """Microseconds of CPU per stream."""
    connection = H2Connection(Owner(), "bench", ResponseCache())
    grants = frames.window_update_frame(0, 2**31 - 1 - 65_535)
    connection.receive(frames.settings_frame(()) + frames.SETTINGS_ACK + grants)
    encoder = RequestEncoder("http", "127.0.0.1:9080", "")
    spent = 0
    for start in range(0, streams, together):
        ids = range(2 * start + 1, 2 * (start + together) + 1, 2)
        heads = b"".join(frames.headers_frames(i, RESPONSE_BLOCK, False, 16_384) for i in ids)
        proposals = b"".join(frames.frame(frames.DATA, 0, i, PROPOSAL) for i in ids)
        results = b"".join(frames.frame(frames.DATA, 0, i, RESULT) for i in ids)
        ends = b"".join(frames.frame(frames.DATA, frames.FLAG_END_STREAM, i) for i in ids)
        listeners = [Listener() for _ in ids]
        began = time.process_time_ns()
        for listener in listeners:
            extra = (("x-restate-invocation-id", f"inv_1{id(listener):036x}"),)
            block = encoder.encode("POST", "/invoke/Greeter/greet", extra, PREPARED)
            listener.stream = connection.open(block, listener, BODY)
        connection.take_output()
        connection.receive(heads)
        for _ in range(steps):
            connection.receive(proposals)
            connection.take_output()
        connection.receive(results)
        connection.take_output()
        connection.receive(ends)
        connection.take_output()
        spent += time.process_time_ns() - began
        assert all(listener.ended for listener in listeners)
    return spent / 1_000 / streams


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=None, help="only this many; default 0 and 10")
    parser.add_argument("--together", type=int, default=64, help="streams per read and per write")
    options = parser.parse_args()
    for steps in (0, 10) if options.steps is None else (options.steps,):
        best = min(measure(options.streams // (steps + 1), steps, options.together) for _ in range(3))
        print(f"{steps:3} steps: {best:6.2f} us per stream (best of 3)")


if __name__ == "__main__":
    main()
