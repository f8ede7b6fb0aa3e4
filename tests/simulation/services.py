"""Deployments: where attempts go, over a network that is late, and what can become of them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from holdfast.catalog.model import Deployment, Handler, Mode
from holdfast.core.model import OnMaxAttempts, RetryPolicy, TargetKind
from holdfast.invoker.http import PreparedHeaders
from holdfast.invoker.http.api import Endpoint, StreamListener, TransportFailure
from holdfast.protocol import messages as m
from holdfast.protocol.framing import FrameDecoder, encode_frame
from holdfast.protocol.manifest import ServiceType
from holdfast.protocol.versions import content_type_of
from tests.simulation.handler import Died, Outside
from tests.simulation.operations import Play
from tests.simulation.virtual import Broken, Clock, ProcessLoop, World

if TYPE_CHECKING:
    from tests.simulation.laws import Mark, Truth

DEPLOYMENT = "dp_sim"
DAY_MS = 86_400_000
PUBLISHED_MAX = 12
_KINDS = {
    ("S", "plain"): TargetKind.SERVICE, ("Z", "plain"): TargetKind.SERVICE,
    ("R", "plain"): TargetKind.SERVICE,
    ("O", "ex"): TargetKind.OBJECT_EXCLUSIVE, ("O", "sh"): TargetKind.OBJECT_SHARED,
    ("L", "ex"): TargetKind.OBJECT_EXCLUSIVE,
    ("W", "run"): TargetKind.WORKFLOW_RUN, ("W", "ask"): TargetKind.WORKFLOW_SHARED,
}  # fmt: skip
_TYPES = {"O": ServiceType.VIRTUAL_OBJECT, "L": ServiceType.VIRTUAL_OBJECT, "W": ServiceType.WORKFLOW}


class Catalog:
    """One deployment with all services; its version, mode, timeouts and retry policies are drawn."""

    def __init__(self, chance: Random) -> None:
        mode = chance.choice((Mode.BIDI_STREAM, Mode.BIDI_STREAM, Mode.REQUEST_RESPONSE))
        uri = "http://127.0.0.1:9080"
        newest = chance.choice((5, 6, 7, 7, 7))
        self.sim = Deployment(DEPLOYMENT, uri, Endpoint.parse(uri, False), mode, "HTTP/2.0", 5, newest, 0)
        inactivity_ms = chance.choice((50, 500, 3_000))
        abort_ms = chance.choice((500, 4_000))
        self.brief = chance.random() < 0.3
        """Journals of plain services stay for a second only, and with them what is not idempotent."""
        self.handlers: dict[tuple[str, str], Handler] = {}
        for (service, name), kind in _KINDS.items():
            retry = RetryPolicy(chance.choice((10, 500)), 2.0, 4_000, None)
            if service == "R":
                last = chance.choice((OnMaxAttempts.PAUSE, OnMaxAttempts.KILL))
                retry = RetryPolicy(20, 2.0, 1_000, 3, last)
            self.handlers[service, name] = Handler(
                service, name, _TYPES.get(service, ServiceType.SERVICE), kind, DEPLOYMENT, True, None, None,
                DAY_MS, DAY_MS, self._journal_ms(service), inactivity_ms, abort_ms, service == "L", retry,
            )  # fmt: skip

    def _journal_ms(self, service: str) -> int:
        if service == "Z":
            return 0
        return 1_000 if self.brief and service in ("S", "R") else DAY_MS

    def handler(self, service: str, handler: str) -> Handler | None:
        return self.handlers.get((service, handler))

    def pinned_handler(self, deployment_id: str, service: str, handler: str) -> Handler | None:
        return self.handler(service, handler) if deployment_id == DEPLOYMENT else None

    def deployment(self, id_: str) -> Deployment | None:
        return self.sim if id_ == DEPLOYMENT else None


@dataclass
class Faults:
    """How bad the world is; all zero in the end."""

    streams: float = 0.0
    """Chance of a stream to have something wrong with it."""


class Services(Outside):
    """The service side of the world."""

    def __init__(self, world: World, clock: Clock, chance: Random, truth: Truth) -> None:
        self.world = world
        self.clock = clock
        self.chance = chance
        self.truth = truth
        self.catalog = Catalog(chance)
        self.faults = Faults()
        self.streams: set[SimulatedStream] = set()
        self.waiting: dict[str, str] = {}
        """What somebody waits for: awakeable ids, and named signals as `invocation name`."""
        self._asked: dict[tuple[object, ...], int] = {}
        self.latency_s = chance.choice((0.0, 0.001, 0.02))

    def client(self, process: ProcessLoop) -> SimulatedClient:
        return SimulatedClient(self, process)

    def die(self) -> None:
        """The service process dies: all its streams break."""
        for stream in sorted(self.streams, key=lambda s: s.number):
            stream.break_("connection lost", at_once=False)

    def server_died(self) -> None:
        """Connections to a server that is gone; handlers notice late."""
        for stream in sorted(self.streams, key=lambda s: s.number):
            self.world.later(self.latency_s, stream.forget)

    # ------------------------------------------------------------ what handlers reach

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def times(self, what: tuple[object, ...]) -> int:
        before = self._asked.get(what, 0)
        self._asked[what] = before + 1
        return before

    def publish(self, kind: str, id_: bytes, ref: str) -> None:
        self.waiting[ref] = kind

    def published(self) -> str:
        refs = list(self.waiting)[-PUBLISHED_MAX:]
        return self.chance.choice(refs) if refs else ""


class SimulatedClient:
    """The invoker's HTTP client of one server process."""

    def __init__(self, services: Services, process: ProcessLoop) -> None:
        self._services = services
        self._process = process

    def open(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        listener: StreamListener,
        *,
        body: bytes = b"",
        end: bool = False,
        prepared: PreparedHeaders | None = None,
    ) -> SimulatedStream:
        frames = FrameDecoder().feed(body)
        start = m.StartMessage.decode(frames[0][2])
        replay = [(type_, raw) for type_, _, raw in frames[1:]]
        self._services.truth.opened(start, path.removeprefix("/invoke/"), replay)
        mark = self._services.truth.mark(start.id)
        stream = SimulatedStream(self._services, self._process, listener, mark)
        stream.write(body)
        if end:
            stream.end()
        return stream


_numbers = iter(range(1 << 62))


class SimulatedStream:
    """A request and its response: two directions, each in order, each late by what chance says."""

    def __init__(
        self, services: Services, process: ProcessLoop, listener: StreamListener, mark: Mark
    ) -> None:
        self._mark = mark
        self.number = next(_numbers)
        self._services = services
        self._world = services.world
        self._process = process
        self._listener = listener
        self._chance = services.chance
        self._decoder = FrameDecoder()
        self._received: list[tuple[int, bytes]] = []
        self._start: m.StartMessage | None = None
        self._play: Play | None = None
        self._input_closed = False
        self._there_at = 0.0
        self._back_at = 0.0
        self._over = False  # the server hears nothing more
        self._gone = False  # the handler hears nothing more
        self._frames_left = 1 << 30
        self._cut = ""
        self._late_s = 0.0
        self._chunky = services.chance.random() < 0.2
        services.streams.add(self)
        self._draw_fate()

    def _draw_fate(self) -> None:
        chance = self._chance
        self._fate = "well"
        if chance.random() >= self._services.faults.streams:
            return
        fate = chance.choice(
            (
                "refuse",
                "refuse_at_once",
                "status",
                "hang",
                "dies",
                "dies",
                "dies",
                "ends",
                "late",
                "late",
                "lies",
            )
        )
        self._fate = fate
        if fate in ("dies", "ends", "lies"):
            self._frames_left, self._cut = chance.randint(0, 6), fate
        elif fate == "late":
            self._late_s = chance.choice((0.3, 2.0, 9.0))
        elif fate.startswith("refuse"):
            reason = TransportFailure("simulated: refused", fate == "refuse_at_once", None)
            self._to_server(self._fail, reason)
            self._gone = True
        elif fate == "status":
            self._to_server(self._refuse, chance.choice((404, 429, 500, 503)))
            self._gone = True
        elif fate == "hang":
            self._gone = True

    # ------------------------------------------------------------ the server's side

    def write(self, data: bytes) -> None:
        if data and not self._over:
            self._to_handler(self._arrived, data)

    def end(self) -> None:
        if not self._over:
            self._to_handler(self._closed)

    def reset(self) -> None:
        self._over = True
        self._to_handler(self.forget)

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    @property
    def buffered_bytes(self) -> int:
        return 0

    @property
    def http_version(self) -> str:
        return "HTTP/2.0"

    # ------------------------------------------------------------ the network

    def _to_handler(self, call: object, *arguments: object) -> None:
        self._there_at = max(self._there_at, self._world.now_s + self._delay_s())
        self._world.at(self._there_at, call, *arguments)  # type: ignore[arg-type]

    def _to_server(self, call: object, *arguments: object) -> None:
        self._back_at = max(self._back_at, self._world.now_s + self._delay_s() + self._late_s)
        self._world.at(self._back_at, call, *arguments, process=self._process)  # type: ignore[arg-type]

    def _delay_s(self) -> float:
        latency_s = self._services.latency_s
        return latency_s * self._chance.random() if latency_s else 0.0

    # ------------------------------------------------------------ what the server hears

    def _fail(self, failure: TransportFailure) -> None:
        if not self._over:
            self._over = True
            self._listener.on_failure(failure)
            self.forget()

    def _refuse(self, status: int) -> None:
        if not self._over:
            self._listener.on_response(status, {"content-type": "text/plain"})
            self._listener.on_data(b"simulated")
            self._finish()

    def _respond(self) -> None:
        if not self._over:
            assert self._play is not None
            self._listener.on_response(200, {"content-type": content_type_of(self._play.version)})

    def _data(self, data: bytes) -> None:
        if not self._over:
            self._listener.on_data(data)

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            if self._play is not None and self._play.failure is not None and self._fate == "well":
                self._services.truth.failed(self._play.id, self._mark)
            self._listener.on_end()
            self.forget()

    def break_(self, reason: str, *, at_once: bool) -> None:
        """The connection breaks now."""
        self._gone = True
        self._to_server(self._fail, TransportFailure(f"simulated: {reason}", at_once, None))

    # ------------------------------------------------------------ the handler's side

    def forget(self) -> None:
        """Nobody is interested any more."""
        self._gone = self._over = True
        self._services.streams.discard(self)

    def _arrived(self, data: bytes) -> None:
        if self._gone:
            return
        for type_, _, body in self._decoder.feed(data):
            if self._start is None:
                self._start = m.StartMessage.decode(body)
            elif self._play is None:
                self._received.append((type_, body))
            else:
                self._told(type_, body)
            if self._play is None and len(self._received) == self._start.known_entries:
                self._begin(self._start)
        self._flush()

    def _told(self, type_: int, body: bytes) -> None:
        assert self._play is not None
        ack = type_ == m.MessageType.PROPOSE_RUN_COMPLETION_ACK
        if ack:
            completion = m.ProposeRunCompletionAckMessage.decode(body).completion_id
            result = self._play.bodies.get(completion)
            if result is None:
                raise Broken(
                    f"{self._play.start.debug_id}: acknowledged a step nobody proposed: {completion}"
                )
            told = m.RunCompletionNotificationMessage(completion, result).encode()
            self._services.truth.told(self._play.id, int(m.MessageType.RUN_COMPLETION), told)
        else:
            self._services.truth.told(self._play.id, type_, body)
        self._play.feed(type_, body)

    def _begin(self, start: m.StartMessage) -> None:
        version = self._services.catalog.sim.max_protocol_version
        self._play = Play(version, self._services, start, self._received)
        self._to_server(self._respond)
        if self._input_closed:
            self._play.close_input()

    def _closed(self) -> None:
        self._input_closed = True
        if not self._gone and self._play is not None:
            self._play.close_input()
            self._flush()

    def _step(self, completion: int, body: object) -> None:
        """Run a step's body, and propose."""
        play = self._play
        if self._gone or play is None or play.ended:
            return
        self._services.truth.step_runs(play.id, completion, self._mark)
        try:
            result = body()  # type: ignore[operator]
        except Died as died:
            play.ended = True
            play.failure = str(died)
            play.frames.append(m.frame(m.ErrorMessage(500, str(died))))
        else:
            play.step_done(completion, result, ack=self._chance.random() < 0.7)
        self._flush()

    def _flush(self) -> None:
        """Send what the handler has to say, as far as fate allows."""
        play = self._play
        if play is None or self._gone:
            return
        for completion, body in play.steps:
            self._world.later(self._chance.choice((0.0, 0.001, 0.3)), self._step, completion, body)
        play.steps.clear()
        frames, play.frames = play.frames, []
        for number, frame in enumerate(frames):
            if self._frames_left == 0:
                self._meet_fate()
                return
            self._frames_left -= 1
            if self._chunky and len(frame) > 3:
                at = self._chance.randrange(1, len(frame))
                self._to_server(self._data, frame[:at])
                frame = frame[at:]
            if self._chunky or number == len(frames) - 1 or self._frames_left == 0:
                self._to_server(self._data, frame)
            else:
                frames[number + 1] = frame + frames[number + 1]
        if play.ended:
            if play.output is not None:
                self._services.truth.gave(play.id, play.output)
            self._gone = True
            self._to_server(self._finish)

    def _meet_fate(self) -> None:
        self._gone = True
        if self._cut == "dies":
            self._to_server(self._fail, TransportFailure("simulated: the service died", False, None))
        elif self._cut == "ends":
            self._to_server(self._finish)
        else:
            garbage = self._chance.choice(
                (
                    encode_frame(0x8000 | 12, b"\x08\x01\x22\x00"),
                    encode_frame(0x0777, b"?"),
                    encode_frame(0x0411, b"\xff\xff\xff"),
                    encode_frame(0x0001, b""),
                    encode_frame(0x040D, m.CallCommandMessage("Nobody", "nothing").encode()),
                    encode_frame(0x0000, b""),
                )
            )
            self._to_server(self._data, garbage)
            self._to_server(self._finish)
