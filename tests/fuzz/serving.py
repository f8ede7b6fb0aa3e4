"""A worker of `holdfast serve` in memory, fed by a stranger.

Promised whatever comes: no exception, no 500, and when the client is gone no attempt is left.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable

from holdfast.http2 import frames
from holdfast.http2.server_side import ConnectionLimits
from holdfast.serving.site import ServingLimits
from tests.serving.peers import V7, opening, worker

from .seeds import CHOICE, http1_requests, http2_requests
from .targets import pieces

LIMITS = ServingLimits(
    ConnectionLimits(8, header_bytes_max=2048, header_count_max=20, window_bytes=70_000), attempts_max=20
)
OUTPUT_BYTES_MAX = 1 << 20
PATHS = ("/invoke/Served/greet", "/invoke/Served/steps", "/invoke/Served/park", "/discover")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def serving(data: bytes) -> Hashable:
    """One connection, HTTP/1.1 or HTTP/2 as its first bytes say."""
    output = b""
    logging.getLogger("holdfast.attempts").setLevel(logging.CRITICAL)
    with worker(LIMITS) as at:
        wire = at.connect()
        for piece in pieces(data):
            if wire.closed:
                break
            output += at.send(wire, piece)
            assert len(output) <= OUTPUT_BYTES_MAX
            assert at.site.attempts <= LIMITS.attempts_max
        attempts = at.site.attempts
        at.later(1e6)
        output += at.turn(wire)
    statuses = tuple(_STATUS.findall(output))
    assert b"500" not in statuses, output
    kinds = () if output.startswith(b"HTTP/") else tuple(f[0] for f in frames.FrameReader().feed(output)[:8])
    return statuses[:4], attempts, kinds


def http1() -> list[bytes]:
    """Attempts and what else there is, whole and in chunks."""
    body = opening(b"2")
    found = []
    for path in PATHS:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {V7}\r\n"
        found.append(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        found.append(f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunked)
    return [CHOICE + one for one in (*found, found[0] + found[1])] + http1_requests()[:8]


def http2() -> list[bytes]:
    """The same over HTTP/2, with and without an end, and two at once."""
    first = frames.CLIENT_PREFACE + frames.settings_frame([(frames.SETTING_INITIAL_WINDOW_SIZE, 100)])
    found = []
    for path in PATHS:
        block = b"\x20\x83\x86\x04" + bytes((len(path),)) + path.encode()
        block += b"\x0f\x10" + bytes((len(V7),)) + V7.encode()
        both = b"".join(
            frames.headers_frames(n, block, False, 16_384)
            + frames.frame(frames.DATA, n == 1, n, opening(b"2"))
            for n in (1, 3)
        )
        found.append(CHOICE + first + both)
    return found + http2_requests()[:8]
