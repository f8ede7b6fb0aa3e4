"""Connections without sockets: transports whose bytes are taken by hand, on a loop stepped by hand."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from holdfast.http_server.first_bytes import FirstBytes

TURNS = 6


class Wire:
    """A transport; its peer reads what it likes to."""

    def __init__(self) -> None:
        self.protocol: asyncio.Protocol | None = None
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        assert not self.closed, "written behind the end"
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As high as they like."""


class Wires:
    """What connects to one site, and the loop it is on."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.wires: list[Wire] = []

    def first_bytes(self) -> FirstBytes[Any]:
        """The protocol of a new connection."""
        raise NotImplementedError

    def connect(self) -> Wire:
        wire, first = Wire(), self.first_bytes()
        wire.protocol = first
        first.connection_made(cast(asyncio.Transport, wire))
        self.wires.append(wire)
        return wire

    def send(self, wire: Wire, data: bytes) -> bytes:
        """Feed it and answer what came of it, some turns of the loop later."""
        if wire.protocol is not None and not wire.closed:
            wire.protocol.data_received(data)
        return self.turn(wire)

    def turn(self, wire: Wire) -> bytes:
        for _ in range(TURNS):
            self.loop.run_until_complete(asyncio.sleep(0))
        written, wire.written = b"".join(wire.written), []
        if wire.closed and wire.protocol is not None:
            wire.protocol.connection_lost(None)
            wire.protocol = None
            self.loop.run_until_complete(asyncio.sleep(0))
        return written

    def drop(self, wire: Wire) -> None:
        """The peer is gone."""
        wire.closed = True
        self.turn(wire)

    def drop_all(self) -> None:
        for wire in self.wires:
            if wire.protocol is not None:
                self.drop(wire)
