"""All attempts of a worker process: slots, timeouts, opening and closing streams.

At most `attempts_max` attempts run at a time; the rest wait in a queue of plain numbers and their journals
are read when their turn comes. Timeouts are checked by one sweep a second (or as often as the shortest
timeout in use asks), because a timer per attempt would cost more than the attempt's own bookkeeping.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from urllib.parse import quote

import structlog

from holdfast.catalog.model import Handler, Mode
from holdfast.core.model import Activity, Invocation, RetryPolicy, Row
from holdfast.core.records import AttemptReport
from holdfast.invoker import failures
from holdfast.invoker.attempt import Attempt
from holdfast.invoker.http import HeaderError, PreparedHeaders
from holdfast.invoker.http.api import Endpoint, Stream, StreamListener, TransportFailure
from holdfast.invoker.pushes import Deployments, Pushes
from holdfast.invoker.replay import has_state, opening, plain_opening
from holdfast.invoker.translate import Callees, CallMaker
from holdfast.partition.loop import PartitionLoop
from holdfast.protocol.errors import UnsupportedVersion
from holdfast.protocol.framing import MessageType
from holdfast.protocol.identity import RequestSigner
from holdfast.protocol.ids import encode_invocation_id
from holdfast.timers.clock import Clock

log = structlog.get_logger("holdfast.invoker")

DEFAULT_POLICY = RetryPolicy()
SWEEP_S_MAX = 1.0
SWEEP_S_MIN = 0.001
REOPENS_MAX = 3
_REQUEST_RESPONSE: Final = Mode.REQUEST_RESPONSE  # a plain name: see `core.attempts`
_INPUT = MessageType.INPUT_COMMAND.value


class Streams(Protocol):
    """What carries attempts: `HttpClient`, or anything else that opens streams to endpoints."""

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
    ) -> Stream: ...


@dataclass(frozen=True, slots=True)
class InvokerLimits:
    """Bounds of the invoker; `closing_s` is how long a finished stream may take to close."""

    attempts_max: int = 1_000
    message_bytes_max: int = 32 * 1024 * 1024
    eager_state_bytes_max: int = 32 * 1024 * 1024
    protocol_version_min: int = 5
    protocol_version_max: int = 7
    closing_s: float = 10.0


_Key = tuple[int, Row]


class Runner:
    """Starts, feeds and ends attempts. Implements the partition loop's AttemptRunner."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        client: Streams,
        catalog: Deployments,
        limits: InvokerLimits,
        signer: RequestSigner | None = None,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._client = client
        self._catalog = catalog
        self._limits = limits
        self._pushes = Pushes(catalog, limits.protocol_version_min, limits.protocol_version_max)
        self._signer = signer
        self._callees: Callees | None = None
        self._attempts: dict[_Key, Attempt] = {}
        self._closing: set[Attempt] = set()  # ended, replaced, and their peer has not closed yet
        self._waiting: deque[tuple[PartitionLoop, Row, int]] = deque()
        self._slots: dict[_Key, int] = {}
        self._filling = False
        self._random = random.Random()
        self._sweeper: asyncio.TimerHandle | None = None
        self._swept_for: Handler | None = None
        self._sweep_s = SWEEP_S_MAX
        self._draining = False
        self.closing_s = limits.closing_s
        # Asked several times per attempt: the clocks themselves rather than methods around them.
        self.time = loop.time
        self.now_ms = clock.now_ms

    def attach_engine(self, maker: CallMaker) -> None:
        """The engine is made after the runner; this closes the circle."""
        self._callees = Callees(self._catalog, maker)

    # ------------------------------------------------------------ what attempts ask

    @property
    def callees(self) -> Callees:
        if self._callees is None:
            raise RuntimeError("attach_engine comes before the first attempt")
        return self._callees

    def jitter(self) -> float:
        return self._random.random()

    @property
    def running(self) -> Iterator[Attempt]:
        """Attempts under way, for views."""
        return iter(self._attempts.values())

    def attempt_at(self, partition: int, row: Row) -> Attempt | None:
        """The attempt under way for one invocation, for views."""
        return self._attempts.get((partition, row))

    @property
    def waiting_count(self) -> int:
        """Invocations whose turn it is, waiting for a slot."""
        return len(self._waiting)

    # ------------------------------------------------------------ what partitions ask

    def start(
        self, partition: PartitionLoop, invocation: Invocation, attempt: int, input_raw: bytes | None
    ) -> None:
        """Run an attempt when there is a slot. Called between commits."""
        if invocation.attempt != attempt or self._draining:
            return  # replaced or over within its own batch; after a drain the next process makes it
        if len(self._slots) >= self._limits.attempts_max:
            self._waiting.append((partition, invocation.row, attempt))
            return
        self._slots[partition.index, invocation.row] = attempt
        self._open(partition, invocation, input_raw)

    def tell(
        self, partition: PartitionLoop, row: Row, attempt: int, index: int, type_: int, body: bytes
    ) -> None:
        running = self._attempts.get((partition.index, row))
        if running is not None and running.number == attempt:
            running.tell(index, type_, body)

    def acknowledge(self, partition: PartitionLoop, row: Row, attempt: int, completion_id: int) -> None:
        running = self._attempts.get((partition.index, row))
        if running is not None and running.number == attempt:
            running.acknowledge(completion_id)

    def half_close(self, partition: PartitionLoop, row: Row, attempt: int) -> None:
        running = self._attempts.get((partition.index, row))
        if running is not None and running.number == attempt:
            running.close_input()

    def abort(self, partition: PartitionLoop, row: Row, attempt: int) -> None:
        running = self._attempts.get((partition.index, row))
        if running is not None and running.number == attempt:
            running.drop()
            self.gone(running)
        self.done(partition, row, attempt)

    def done(self, partition: PartitionLoop, row: Row, attempt: int) -> None:
        key = (partition.index, row)
        if self._slots.get(key) == attempt:
            del self._slots[key]
        if self._waiting and not self._filling:
            self._filling = True
            try:
                self._fill()
            finally:
                self._filling = False

    def _fill(self) -> None:
        """Give free slots to those that wait. One that ended meanwhile frees its slot from inside this loop,
        which then goes on: thousands of them in a row must not become a stack of calls."""
        while self._waiting and len(self._slots) < self._limits.attempts_max:
            waiting, row, number = self._waiting.popleft()
            # Reserved at once, opened when that partition's file and memory agree.
            self._slots[waiting.index, row] = number
            waiting.when_settled(partial(self._open_waiting, waiting, row, number))

    def _open_waiting(self, partition: PartitionLoop, row: Row, number: int) -> None:
        invocation = partition.tables.invocations.get(row)
        if (
            invocation is None
            or invocation.attempt != number
            or invocation.activity is not Activity.RUNNING
            or self._draining
        ):
            self.done(partition, row, number)
            return
        self._open(partition, invocation, None)
        partition.changed(row)

    # ------------------------------------------------------------ opening

    def _open(self, partition: PartitionLoop, invocation: Invocation, input_raw: bytes | None) -> None:
        """Open an attempt; whatever keeps it from opening is an attempt's failure, so that the policy decides
        and no invocation is left without an attempt."""
        try:
            push = self._pushes.of(invocation)
            if push is None:
                self._refuse(partition, invocation, _missing(invocation), failures.NO_DEPLOYMENT)
                return
            attempt = Attempt(
                self,
                partition,
                invocation,
                push,
                encode_invocation_id(invocation.id),
                self._limits.message_bytes_max,
                self.time(),
                self.now_ms(),
            )
            key = (partition.index, invocation.row)
            before = self._attempts.get(key)
            if before is not None:
                self._closing.add(before)
            self._attempts[key] = attempt
            self._push(attempt, invocation, input_raw)
        except UnsupportedVersion as error:
            self._refuse(partition, invocation, str(error), failures.VERSION)
        except Exception as bug:
            log.exception("an attempt could not be opened", invocation=encode_invocation_id(invocation.id))
            opened = self._attempts.pop((partition.index, invocation.row), None)
            if opened is not None:
                opened.drop()
            self._refuse(
                partition, invocation, f"the server could not open the attempt: {bug!r}", failures.SERVER
            )

    def _push(self, attempt: Attempt, invocation: Invocation, input_raw: bytes | None) -> None:
        """Open the stream with Start and the replay."""
        tables, target, handler = attempt.partition.tables, invocation.target, attempt.handler
        if invocation.length > 1:
            input_raw = None  # the journal has grown since it was accepted
        frames = tables.journal.frames(invocation.row) if input_raw is None else [(_INPUT, input_raw)]
        attempt.known = len(frames)
        body = plain_opening(invocation, attempt.id_text, frames)
        if body is None:
            state = None
            if has_state(target.kind) and not handler.enable_lazy_state:
                state = tables.state.all(target.object)
            body = opening(
                invocation,
                attempt.id_text,
                frames,
                state,
                self._limits.eager_state_bytes_max,
                self._clock.now_ms(),
                attempt.version,
            )
        path = attempt.push.path
        headers = [("x-restate-invocation-id", attempt.id_text)]
        if target.key is not None:
            headers.append(("x-restate-service-key", quote(target.key, safe="")))
        if self._signer is not None:
            headers += self._signer.headers(path, target.key, self._clock.now_ms() // 1000)
        close = (
            attempt.deployment.mode is _REQUEST_RESPONSE
            or handler.inactivity_timeout_ms == 0
            or invocation.pausing  # asked before the stream had to be opened again
        )
        attempt.input_open = not close
        try:
            attempt.stream = self._client.open(
                attempt.deployment.endpoint,
                "POST",
                path,
                headers,
                attempt,
                body=body,
                end=close,
                prepared=attempt.push.headers,
            )
        except HeaderError as error:
            self._loop.call_soon(attempt.on_failure, TransportFailure(str(error), False, None))
        if self._sweeper is None or handler is not self._swept_for:
            self._ensure_sweep(handler)

    def _refuse(self, partition: PartitionLoop, invocation: Invocation, message: str, doc_code: str) -> None:
        """The attempt cannot even be opened: a failure like any other, so that the policy decides."""
        handler = self._catalog.handler(invocation.target.service, invocation.target.handler)
        policy = DEFAULT_POLICY if handler is None else handler.retry
        error = failures.attempt_error(doc_code, message, policy, self.jitter())
        report = AttemptReport(
            self.now_ms(), invocation.row, invocation.attempt, invocation.deployment or "", 0, [error]
        )
        partition.submit(report)

    def reopen(self, attempt: Attempt) -> bool:
        """Push once more: the deployment certainly saw nothing of the attempt."""
        if attempt.reopens >= REOPENS_MAX or self._draining:
            return False
        attempt.reopens += 1
        attempt.partition.when_settled(lambda: self._reopen(attempt))
        return True

    def _reopen(self, attempt: Attempt) -> None:
        key = (attempt.partition.index, attempt.row)
        invocation = attempt.partition.tables.invocations.get(attempt.row)
        if self._attempts.get(key) is attempt and invocation is not None and not attempt.finished:
            self._push(attempt, invocation, None)

    # ------------------------------------------------------------ ending

    def gone(self, attempt: Attempt) -> None:
        """The stream of an attempt is over."""
        key = (attempt.partition.index, attempt.row)
        if self._attempts.get(key) is attempt:
            del self._attempts[key]
        else:
            self._closing.discard(attempt)

    def _ensure_sweep(self, handler: Handler) -> None:
        self._swept_for = handler
        shortest = min(handler.inactivity_timeout_ms or SWEEP_S_MAX * 1000, handler.abort_timeout_ms) / 1000
        wanted = min(max(shortest / 4, SWEEP_S_MIN), SWEEP_S_MAX)
        if self._sweeper is None:
            self._sweep_s = wanted
            self._sweeper = self._loop.call_later(wanted, self._sweep)
        elif wanted < self._sweep_s:
            self._sweeper.cancel()
            self._sweep_s = wanted
            self._sweeper = self._loop.call_later(wanted, self._sweep)

    def _sweep(self) -> None:
        """Apply the timeouts (protocol, "Timeouts")."""
        self._sweeper = None
        now = self._loop.time()
        for attempt in (*self._attempts.values(), *self._closing):
            self._check(attempt, now)
        if self._attempts or self._closing:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)

    def _check(self, attempt: Attempt, now: float) -> None:
        handler = attempt.handler
        if attempt.finished:
            if attempt.closing_until and now >= attempt.closing_until:
                attempt.drop()
                self.gone(attempt)
        elif attempt.input_open:
            if now - attempt.touched_at >= handler.inactivity_timeout_ms / 1000:
                attempt.close_input()
        elif now - attempt.touched_at >= handler.abort_timeout_ms / 1000:
            attempt.time_out(
                f"the handler neither suspended nor finished within the abort timeout "
                f"({handler.abort_timeout_ms} ms) after its input was closed",
            )

    def drain(self) -> None:
        """Start nothing more and drop what runs, without reports: the next process makes new attempts."""
        self._draining = True
        self._waiting.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for attempt in (*self._attempts.values(), *self._closing):
            attempt.drop()
        self._attempts.clear()
        self._closing.clear()


def _missing(invocation: Invocation) -> str:
    target = f"{invocation.target.service}/{invocation.target.handler}"
    if invocation.deployment is None:
        return f"no deployment serves {target}; register one"
    return (
        f"deployment {invocation.deployment} of this invocation is gone or does not serve {target}; register "
        "it again, or resume the invocation on another deployment"
    )
