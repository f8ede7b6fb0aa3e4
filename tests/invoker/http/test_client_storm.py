"""A storm: a deployment that answers, refuses, resets, says goodbye and breaks off, as a seed decides."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import h2.events
import h2.exceptions
import h2.settings
import pytest

from holdfast.http2 import frames
from holdfast.invoker.http import Endpoint, HttpClient, Stream
from tests.invoker.http.conftest import Run
from tests.invoker.http.peers import PeerConnection, Recorder, SocketPeer, eventually

STREAMS = 400
ENDPOINT_LIMITS = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 20}


@pytest.mark.parametrize("seed", range(4))
def test_every_stream_hears_one_last_call_whatever_happens(run: Run, seed: int) -> None:
    """Goal: no stream is forgotten, none hears two endings, and no connection outlives the storm.

    Method: the recorder refuses a second last call; every stream must have one, but for
    those it reset itself.
    """
    chance = random.Random(seed)

    def act(peer: SocketPeer, connection: PeerConnection, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.RequestReceived) or connection.transport.is_closing():
            return
        stream_id = event.stream_id
        assert stream_id is not None
        what = chance.choices(
            ["answer", "early", "large", "refuse", "cancel", "goaway", "abort"], [60, 20, 5, 5, 5, 1, 1]
        )[0]
        if what == "abort":
            connection.transport.abort()
        elif what in ("refuse", "cancel"):
            code = frames.REFUSED_STREAM if what == "refuse" else frames.CANCEL
            with suppress(h2.exceptions.ProtocolError):  # the client was faster
                connection.h2.reset_stream(stream_id, code)
        else:
            if what == "goaway":
                connection.flush()
                connection.transport.write(frames.goaway_frame(stream_id, frames.NO_ERROR))
            delay = 0 if what == "early" else chance.random() * 0.02
            size = 12_000 if what == "large" else 10
            asyncio.get_running_loop().call_later(delay, answer, connection, stream_id, size)

    def answer(connection: PeerConnection, stream_id: int, size: int) -> None:
        try:
            connection.respond(stream_id, b"x" * size)
        except h2.exceptions.ProtocolError:
            return  # reset by the client meanwhile
        if not connection.transport.is_closing():
            connection.flush()

    async def scenario() -> None:
        options = {"connections_per_endpoint_max": 4, "idle_timeout_s": 0.1, "sweep_interval_s": 0.05}
        async with SocketPeer(act, ENDPOINT_LIMITS) as peer:
            http = HttpClient(asyncio.get_running_loop(), **options)  # type: ignore[arg-type]
            endpoint = Endpoint.parse(f"http://127.0.0.1:{peer.port}", http11=False)
            heard = [Recorder() for _ in range(STREAMS)]
            abandoned: set[int] = set()

            def more(number: int, stream: Stream) -> None:
                if chance.random() < 0.05 and not heard[number].over:
                    abandoned.add(number)
                    stream.reset()
                elif chance.random() < 0.7:
                    stream.write(b"y" * chance.randrange(3_000))
                    stream.end()

            for number, recorder in enumerate(heard):
                stream = http.open(endpoint, "POST", "/x", (), recorder, body=b"first")
                asyncio.get_running_loop().call_later(chance.random() * 0.02, more, number, stream)
                if chance.random() < 0.1:
                    await asyncio.sleep(0.002)
            await eventually(
                lambda: all(one.over or number in abandoned for number, one in enumerate(heard)),
                "every stream ended",
            )
            await eventually(lambda: http.connections(endpoint) == 0, "all connections closed")
            assert sum(one.ended for one in heard) > STREAMS / 4
            assert not any(heard[number].over for number in abandoned)
            await http.close()

    run(scenario)
