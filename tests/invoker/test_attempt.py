"""One attempt: its opening, what passes in both directions, and its ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from invoker.support import Stage, deployment, stage
from partition.support import handler, turns, until
from partition.support import run as go

from holdfast.catalog.model import Mode
from holdfast.core.model import VOID, Activity, Paused, RetryPolicy, Success, Suspended, TargetKind
from holdfast.core.records import Pause, Signal
from holdfast.invoker import attempt as attempt_module
from holdfast.invoker.runner import InvokerLimits
from holdfast.protocol import messages as wire
from holdfast.protocol.framing import ACK_REQUESTED, encode_frame
from holdfast.protocol.ids import encode_invocation_id
from holdfast.protocol.versions import content_type_of
from holdfast.protocol.wire import varint

GREET = handler()
COUNTER = handler(TargetKind.OBJECT_EXCLUSIVE, "Counter", "add")
FLOW = handler(TargetKind.WORKFLOW_RUN, "Flow", "run")
SLOW = RetryPolicy(initial_ms=3_600_000, max_ms=3_600_000)


@pytest.mark.parametrize("version", [5, 6, 7])
def test_an_attempt_opens_with_start_and_the_journal(version: int) -> None:
    async def story() -> None:
        async with stage(GREET, serving=deployment(versions=(5, version))) as s:
            request = s.call(GREET, idempotency_key="ik/1")
            push = await s.push()
            assert push.path == "/invoke/Greeter/greet"
            assert push.headers["content-type"] == push.headers["accept"] == content_type_of(version)
            assert push.headers["x-restate-invocation-id"] == encode_invocation_id(request.id)
            assert not push.ended
            start = push.start
            assert (start.id, start.debug_id) == (request.id, encode_invocation_id(request.id))
            assert (start.known_entries, start.partial_state, start.key) == (1, True, "")
            assert start.idempotency_key == ("ik/1" if version == 7 else None)
            assert push.frames()[1] == (0x0400, 0, request.input_raw)
            assert len(push.frames()) == 2

    go(story())


def test_keyed_handlers_get_key_and_state_in_key_order() -> None:
    async def story() -> None:
        async with stage(COUNTER) as s:
            s.call(COUNTER, "k/1")
            push = (await s.push()).accept()
            assert push.headers["x-restate-service-key"] == "k%2F1"
            assert (push.start.key, push.start.state_map, push.start.partial_state) == ("k/1", (), False)
            push.say(*(wire.SetStateCommandMessage(key, wire.Value(b"v")) for key in (b"b", b"a")))
            push.finish()
            s.call(COUNTER, "k/1")
            start = (await s.push(2)).start
            assert start.state_map == ((b"a", b"v"), (b"b", b"v"))
            assert not start.partial_state

    go(story())


def test_state_beyond_the_bound_is_left_to_be_fetched() -> None:
    async def story() -> None:
        async with stage(COUNTER, limits=InvokerLimits(eager_state_bytes_max=25)) as s:
            s.call(COUNTER, "k")
            push = (await s.push()).accept()
            push.say(*(wire.SetStateCommandMessage(b"k%d" % n, wire.Value(b"x" * 8)) for n in range(5)))
            push.finish()
            s.call(COUNTER, "k")
            start = (await s.push(2)).start
            assert [key for key, _ in start.state_map] == [b"k0", b"k1"]
            assert start.partial_state

    go(story())


def test_lazy_handlers_get_no_state() -> None:
    lazy = handler(TargetKind.OBJECT_EXCLUSIVE, "Counter", "add", enable_lazy_state=True)

    async def story() -> None:
        async with stage(lazy) as s:
            s.call(lazy, "k")
            start = (await s.push()).start
            assert (start.state_map, start.partial_state) == ((), True)

    go(story())


def test_a_replay_is_the_journal_byte_for_byte() -> None:
    async def story() -> None:
        async with stage(GREET) as s:
            request = s.call(GREET)
            first = (await s.push()).accept()
            said = [
                wire.RunCommandMessage(1, "a"),
                wire.SleepCommandMessage(s.e.clock.ms + 10**9, 2, "nap"),
                wire.SuspensionMessage(wire.Future((2,), (1,))),
            ]
            first.say(said[0])
            first.say(wire.ProposeRunCompletionMessage(1, wire.Value(b"7")), *said[1:])
            await until(lambda: first.ended)
            first.listener.on_end()
            s.e.engine.submit(request.id, Signal(s.e.clock.ms, request.id, 1, VOID))
            second = await s.push(2)
            assert second.frames()[1:] == [
                (0x0400, 0, request.input_raw),
                (0x0411, 0, said[0].encode()),
                (0x8011, 0, wire.RunCompletionNotificationMessage(1, wire.Value(b"7")).encode()),
                (0x040C, 0, said[1].encode()),
                (0xFBFF, 0, wire.SignalNotificationMessage(1, None, wire.VOID).encode()),
            ]
            assert second.start.known_entries == 5

    go(story())


@pytest.mark.parametrize(("version", "flags", "acked"), [(7, ACK_REQUESTED, True), (7, 0, False),
                                                         (6, ACK_REQUESTED, False)])  # fmt: skip
def test_a_run_is_acknowledged_only_when_asked_in_version_7(version: int, flags: int, acked: bool) -> None:
    async def story() -> None:
        async with stage(GREET, serving=deployment(versions=(5, version))) as s:
            s.call(GREET)
            push = (await s.push()).accept(version)
            push.say(wire.RunCommandMessage(1, "a"))
            push.say(wire.ProposeRunCompletionMessage(1, wire.Value(b"7")), flags=flags)
            await until(lambda: len(push.frames()) == 3)
            assert push.frames()[2] == (
                (0x0007, 0, b"\x08\x01") if acked
                else (0x8011, 0, wire.RunCompletionNotificationMessage(1, wire.Value(b"7")).encode())
            )  # fmt: skip

    go(story())


def test_notifications_that_were_part_of_the_replay_are_not_told_again() -> None:
    async def story() -> None:
        async with stage(GREET) as s:
            s.call(GREET)
            push = await s.push()
            body = wire.SignalNotificationMessage(17, None, wire.VOID).encode()
            push.listener.tell(0, 0xFBFF, body)
            assert len(push.frames()) == 2
            push.listener.tell(1, 0xFBFF, body)
            push.listener.tell(1, 0xFBFF, body)
            assert len(push.frames()) == 3
            assert push.listener.known == 2

    go(story())


def test_an_end_finishes_and_both_sides_close() -> None:
    async def story() -> None:
        async with stage(GREET) as s:
            request = s.call(GREET)
            push = (await s.push()).accept()
            push.say(wire.OutputCommandMessage(result=wire.Value(b"v")), wire.EndMessage())
            assert push.ended
            push.say(wire.OutputCommandMessage(result=wire.Value(b"late")))
            push.listener.on_end()
            await until(lambda: request.id in s.ends)
            assert s.ends[request.id].result == Success(b"v")
            assert list(s.runner.running) == []

    go(story())


def test_frames_after_the_final_one_are_ignored() -> None:
    async def story() -> None:
        async with stage(COUNTER) as s:
            request = s.call(COUNTER, "k")
            push = (await s.push()).accept()
            push.say(
                wire.OutputCommandMessage(result=wire.Value(b"v")),
                wire.EndMessage(),
                wire.SetStateCommandMessage(b"k", wire.Value(b"late")),
            )
            await until(lambda: request.id in s.ends)
            assert s.e.partitions[0].tables.state.all("Counter/k") == {}

    go(story())


def test_frames_may_be_cut_anywhere() -> None:
    async def story() -> None:
        async with stage(GREET) as s:
            request = s.call(GREET)
            push = (await s.push()).accept()
            output, end = wire.OutputCommandMessage(result=wire.Value(b"v" * 100)), wire.EndMessage()
            for byte in wire.frame(output) + wire.frame(end):
                push.listener.on_data(bytes((byte,)))
            await until(lambda: request.id in s.ends)
            assert s.ends[request.id].result == Success(b"v" * 100)

    go(story())


# ---------------------------------------------------------------- failures


async def _failure(s: Stage, act: object, code: str) -> None:
    """`act` on the first push makes the attempt fail with `code`, and leaves no attempt behind."""
    request = s.call(handler(retry=SLOW))
    push = await s.push()
    act(push)  # type: ignore[operator]
    invocation = await s.failed(request)
    assert s.code(request) == code
    assert invocation.activity is Activity.BACKING_OFF
    if push.ended and not push.was_reset:
        push.listener.on_end()  # its last word was read, and it closes its side
    await turns()
    assert list(s.runner.running) == []


STATUSES = [(404, "RT0012"), (500, "RT0012"), (415, "RT0015"), (413, "RT0019"), (502, "RT0010"),
            (504, "RT0010"), (429, "RT0023"), (503, "RT0023")]  # fmt: skip


@pytest.mark.parametrize(("status", "code"), STATUSES)
def test_a_status_other_than_200_has_its_code(status: int, code: str) -> None:
    async def story() -> None:
        async with stage(handler(retry=SLOW)) as s:
            await _failure(s, lambda push: push.refuse(status, body=b"because " + b"x" * 10_000), code)
            (event,) = s.e.partitions[0].tables.database.rows("SELECT detail FROM event")
            assert str(status) in event[0]
            assert "because" in event[0]
            assert len(event[0]) < 4_000

    go(story())


def _http_date(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "low_ms", "high_ms"),
    [
        ("120", 120_000, 120_000),
        (" 0 ", 0, 0),
        ("date", 90_000, 121_000),
        ("99999999999999999999", 86_400_000, 86_400_000),
        ("soon", 3_600_000, 4_800_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
        ("-5", 3_600_000, 4_800_000),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_overrides_the_policy(status: int, value: str, low_ms: int, high_ms: int) -> None:
    async def story() -> None:
        async with stage(handler(retry=SLOW)) as s:
            request = s.call(handler(retry=SLOW))
            said = _http_date(120) if value == "date" else value
            (await s.push()).refuse(status, {"retry-after": said})
            invocation = await s.failed(request)
            assert invocation.next_retry_at is not None or high_ms == 0
            if invocation.next_retry_at is not None:
                assert low_ms <= invocation.next_retry_at - s.e.clock.ms <= high_ms

    go(story())


def _accepted(*messages: wire.Message) -> object:
    return lambda push: push.accept().say(*messages)


def _raw(type_: int, body: bytes = b"") -> object:
    return lambda push: push.accept().listener.on_data(encode_frame(type_, body))


PROTOCOL_FAILURES = {
    "wrong content type": (lambda p: p.listener.on_response(200, {"content-type": "text/html"}), "RT0012"),
    "wrong version": (lambda p: p.accept(6), "RT0012"),
    "no content type": (lambda p: p.listener.on_response(200, {}), "RT0012"),
    "closed without an end": (lambda p: (p.accept(), p.listener.on_end()), "RT0007"),
    "connection lost": (lambda p: (p.accept(), p.lose()), "RT0010"),
    "cannot connect": (lambda p: p.lose(), "RT0010"),
    "unknown control frame": (_raw(0x00FF), "RT0012"),
    "unknown command": (_raw(0x04FF), "RT0012"),
    "custom frame": (_raw(0xFCFF), "RT0012"),
    "a notification": (_accepted(wire.RunCompletionNotificationMessage(1, wire.Value(b""))), "RT0012"),
    "a start": (_accepted(wire.StartMessage()), "RT0012"),
    "an ack": (_accepted(wire.ProposeRunCompletionAckMessage(1)), "RT0012"),
    "an input": (_accepted(wire.InputCommandMessage()), "RT0012"),
    "a body that cannot be read": (_raw(0x040C, b"\xff"), "RT0012"),
    "a suspension on nothing": (_accepted(wire.SuspensionMessage()), "RT0012"),
    "an output of nothing": (_accepted(wire.OutputCommandMessage()), "RT0012"),
    "an error": (_accepted(wire.ErrorMessage(500, "no")), "RT0007"),
    "a journal mismatch": (_accepted(wire.ErrorMessage(570, "no")), "RT0016"),
    "a protocol violation": (_accepted(wire.ErrorMessage(571, "no")), "RT0012"),
    "state in a service": (_accepted(wire.SetStateCommandMessage(b"k", wire.Value(b""))), "RT0017"),
    "a lazy read in a service": (_accepted(wire.GetLazyStateCommandMessage(b"k", 1)), "RT0017"),
    "a promise outside workflows": (_accepted(wire.GetPromiseCommandMessage("p", 1)), "RT0017"),
    "an unknown callee": (_accepted(wire.CallCommandMessage("Nobody", "x")), "RT0018"),
    "a key for a service": (_accepted(wire.CallCommandMessage("Greeter", "greet", key="k")), "RT0017"),
    "an empty idempotency key":
        (_accepted(wire.CallCommandMessage("Greeter", "greet", idempotency_key="")), "RT0017"),
    "a scope": (_accepted(wire.CallCommandMessage("Greeter", "greet", scope="s")), "RT0024"),
    "a limit key": (_accepted(wire.OneWayCallCommandMessage("Greeter", "greet", limit_key="l")), "RT0024"),
    "a bad awakeable id":
        (_accepted(wire.CompleteAwakeableCommandMessage("sign_1xx", wire.Value(b""))), "RT0017"),
    "a bad invocation id":
        (_accepted(wire.AttachInvocationCommandMessage("inv_nonsense", 1)), "RT0017"),
    "a target with a scope":
        (_accepted(wire.AttachInvocationCommandMessage(wire.WorkflowTarget("Flow", "k", "s"), 1)), "RT0024"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(PROTOCOL_FAILURES))
def test_what_an_attempt_must_not_do_fails_it(what: str) -> None:
    act, code = PROTOCOL_FAILURES[what]

    async def story() -> None:
        async with stage(handler(retry=SLOW)) as s:
            await _failure(s, act, code)
            journal = s.e.partitions[0].tables.database.rows("SELECT count(*) FROM journal")
            assert journal == [(1,)], "nothing of it is stored"

    go(story())


def test_what_came_before_a_bad_frame_is_kept() -> None:
    async def story() -> None:
        async with stage(handler(retry=SLOW)) as s:
            request = s.call(handler(retry=SLOW))
            push = (await s.push()).accept()
            push.say(wire.RunCommandMessage(1, "a"), wire.CallCommandMessage("Nobody", "x"))
            await s.failed(request)
            await s.journal(request, 0x0411)
            assert push.was_reset

    go(story())


def test_a_frame_over_the_bound_fails_before_it_is_read() -> None:
    async def story() -> None:
        async with stage(handler(retry=SLOW), limits=InvokerLimits(message_bytes_max=1000)) as s:
            header = encode_frame(0x0401, b"x" * 1001)[:8]
            await _failure(s, lambda push: push.accept().listener.on_data(header), "RT0003")

    go(story())


def test_an_await_tree_too_deep_pauses_the_invocation() -> None:
    async def story() -> None:
        async with stage(handler(retry=SLOW)) as s:
            request = s.call(handler(retry=SLOW))
            push = (await s.push()).accept()
            body = b""
            for _ in range(1_100):
                body = b"\x22" + varint(len(body)) + body
            push.listener.on_data(encode_frame(0x0001, body))
            invocation = await s.failed(request)
            assert s.code(request) == "RT0025"
            assert isinstance(invocation.status, Paused)

    go(story())


def test_a_peer_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "UNSENT_BYTES_MAX", 10)

    async def story() -> None:
        async with stage(handler(retry=SLOW)) as s:
            request = s.call(handler(retry=SLOW))
            push = (await s.push()).accept()
            push.buffered_bytes = 11
            push.say(wire.RunCommandMessage(1), wire.ProposeRunCompletionMessage(1, wire.Value(b"")))
            await s.failed(request)
            assert s.code(request) == "RT0010"
            assert push.was_reset

    go(story())


# ---------------------------------------------------------------- closing the input


def test_request_response_deployments_get_everything_at_once() -> None:
    async def story() -> None:
        async with stage(GREET, serving=deployment(mode=Mode.REQUEST_RESPONSE)) as s:
            request = s.call(GREET)
            push = (await s.push()).accept()
            assert push.ended
            sent = bytes(push.sent)
            push.say(
                wire.RunCommandMessage(1, "a"),
                wire.ProposeRunCompletionMessage(1, wire.Value(b"7")),
                wire.SuspensionMessage(wire.Future((1,), (1,))),
            )
            push.listener.on_end()
            second = await s.push(2)
            assert bytes(push.sent) == sent
            assert second.start.known_entries == 3
            assert s.invocation(request) is not None

    go(story())


def test_an_inactivity_timeout_of_zero_closes_the_input_at_once() -> None:
    silent = handler(inactivity_timeout_ms=0)

    async def story() -> None:
        async with stage(silent) as s:
            s.call(silent)
            assert (await s.push()).ended

    go(story())


def test_silence_closes_the_input_and_the_handler_suspends() -> None:
    quiet = handler(inactivity_timeout_ms=60)

    async def story() -> None:
        async with stage(quiet) as s:
            request = s.call(quiet)
            push = (await s.push()).accept()
            push.say(wire.SleepCommandMessage(s.e.clock.ms + 10**6, 1))
            await until(lambda: push.ended)
            push.say(wire.SuspensionMessage(wire.Future((1,), (1,))))
            push.listener.on_end()
            await until(lambda: isinstance(_status(s, request), Suspended))
            assert not push.was_reset

    go(story())


def _status(s: Stage, request: object) -> object:
    invocation = s.invocation(request)  # type: ignore[arg-type]
    return None if invocation is None else invocation.status


@pytest.mark.parametrize("spoke", [True, False])
def test_a_handler_that_ignores_the_closed_input_is_aborted(spoke: bool) -> None:
    """One that has not sent a frame is left alone, its words no longer heard, until it ends or is dropped."""
    stubborn = handler(inactivity_timeout_ms=60, abort_timeout_ms=60, retry=SLOW)

    async def story() -> None:
        async with stage(stubborn, limits=InvokerLimits(closing_s=0.05)) as s:
            request = s.call(stubborn)
            push = (await s.push()).accept()
            if spoke:
                push.say(wire.RunCommandMessage(1, "long"))
            await s.failed(request)
            assert s.code(request) == "RT0001"
            assert push.ended
            assert push.was_reset is spoke
            push.say(wire.OutputCommandMessage(result=wire.Value(b"late")), wire.EndMessage())
            await turns()
            assert request.id not in s.ends
            await until(lambda: push.was_reset and not list(s.runner.running))

    go(story())


def test_pausing_closes_the_input() -> None:
    async def story() -> None:
        async with stage(GREET) as s:
            request = s.call(GREET)
            push = (await s.push()).accept()
            push.say(wire.SleepCommandMessage(s.e.clock.ms + 10**6, 1))
            s.e.engine.submit(request.id, Pause(s.e.clock.ms, request.id))
            await until(lambda: push.ended)
            push.say(wire.SuspensionMessage(wire.Future((1,), (1,))))
            await until(lambda: isinstance(_status(s, request), Paused))

    go(story())


def test_a_stream_that_never_closes_after_its_end_is_dropped() -> None:
    quick = handler(inactivity_timeout_ms=100)

    async def story() -> None:
        async with stage(quick, limits=InvokerLimits(closing_s=0.01)) as s:
            request = s.call(quick)
            push = (await s.push()).accept()
            push.say(wire.OutputCommandMessage(result=wire.Value(b"v")), wire.EndMessage())
            await until(lambda: request.id in s.ends)
            await until(lambda: push.was_reset)
            assert list(s.runner.running) == []

    go(story())
