"""What the readers are meant to read: the material that is broken."""

import hpack

from holdfast.http2 import frames
from holdfast.protocol import messages
from holdfast.protocol.framing import encode_frame
from holdfast.protocol.messages import InputCommandMessage, StartMessage, Value, frame
from tests.protocol.vectors import captured_frames

CHOICE = b"\x00"
"""The first byte of every input is a choice of the target's (how the rest is cut), not a part of it."""


def protocol() -> list[bytes]:
    """Every captured frame, alone, and the whole conversation of each capture in one."""
    captured = captured_frames()
    return [bytes((one.version,)) + one.data for one in captured]


def attempts() -> list[bytes]:
    """What a server sends to an attempt: a start, an input, and answers to what the handler asks."""
    start = StartMessage(bytes(range(24)), "inv_1x", 1, random_seed=42, key="k")
    value = Value(b'"v"')
    input_ = frame(InputCommandMessage(value=Value(b"1")))
    answers = b"".join(
        map(
            frame,
            [
                messages.GetLazyStateCompletionNotificationMessage(1, value),
                messages.RunCompletionNotificationMessage(2, value),
                messages.SleepCompletionNotificationMessage(3),
                messages.CallInvocationIdCompletionNotificationMessage(4, "inv_1x"),
                messages.CallCompletionNotificationMessage(5, value),
                messages.SignalNotificationMessage(idx=17, result=value),
                messages.SignalNotificationMessage(name="go", result=value),
                messages.ProposeRunCompletionAckMessage(2),
                messages.SignalNotificationMessage(idx=1, result=messages.VOID),
            ],
        )
    )
    whole = frame(start) + input_ + answers
    replays = [frame(StartMessage(bytes(24), "inv", known, random_seed=1)) for known in (0, 2, 5, 9)]
    captured = [one.data for one in captured_frames()]
    return [CHOICE + whole, CHOICE + frame(start) + input_] + [
        CHOICE + replay + input_ + b"".join(captured[at : at + 8])
        for replay in replays
        for at in range(0, len(captured), 8)
    ]


def deployments() -> list[bytes]:
    """What an SDK sends: every command, proposals, and every end; for an object, a workflow and a service."""
    value = Value(b'"v"')
    commands = [
        messages.GetLazyStateCommandMessage(b"a", 1),
        messages.SetStateCommandMessage(b"a", value),
        messages.ClearStateCommandMessage(b"a"),
        messages.ClearAllStateCommandMessage(),
        messages.GetLazyStateKeysCommandMessage(2),
        messages.GetEagerStateCommandMessage(b"a", messages.VOID),
        messages.GetPromiseCommandMessage("p", 3),
        messages.PeekPromiseCommandMessage("p", 4),
        messages.CompletePromiseCommandMessage("p", value, 5),
        messages.SleepCommandMessage(1_700_000_000_000, 6, "nap"),
        messages.CallCommandMessage(
            "Greeter", "greet", b"x", invocation_id_notification_idx=7, result_completion_id=8
        ),
        messages.OneWayCallCommandMessage("Counter", "add", b"x", key="k", invocation_id_notification_idx=9),
        messages.RunCommandMessage(10, "step"),
        messages.ProposeRunCompletionMessage(10, value),
        messages.SendSignalCommandMessage("inv_1x", 17, None, messages.VOID),
        messages.AttachInvocationCommandMessage(),
        messages.CompleteAwakeableCommandMessage("sign_1x", value),
        messages.AwaitingOnMessage(),
    ]
    ends = [
        frame(messages.SuspensionMessage(messages.Future((1, 6, 10), (1, 17), ("go",)))),
        frame(messages.OutputCommandMessage(result=value)) + frame(messages.EndMessage()),
        frame(messages.ErrorMessage(500, "broken")),
    ]
    each = [frame(command) for command in commands]
    kinds = [bytes((kind * 6,)) for kind in range(3)]
    found = [kind + one + end for kind in kinds for one in each for end in ends]
    return found + [kind + b"".join(each) + end for kind in kinds for end in ends]


def protocol_bodies() -> list[bytes]:
    """Bodies under every frame type, so that one message's bytes meet another's decoder."""
    types = list(messages.MESSAGE_TYPES)
    captured = captured_frames()
    return [
        b"\x07" + encode_frame(type_, captured[n % len(captured)].data[8:]) for n, type_ in enumerate(types)
    ]


def _block(*headers: tuple[str, str]) -> bytes:
    return hpack.Encoder().encode(headers)


def h2_server() -> list[bytes]:
    """What a deployment's HTTP/2 server sends: settings, responses to streams 1 and 3, control frames."""
    settings = frames.settings_frame([(frames.SETTING_MAX_CONCURRENT_STREAMS, 100)]) + frames.SETTINGS_ACK
    head = _block((":status", "200"), ("content-type", "application/vnd.restate.invocation.v7"))
    response = frames.headers_frames(1, head, False, 16_384) + frames.frame(frames.DATA, 0, 1, b"hello")
    end = frames.frame(frames.DATA, frames.FLAG_END_STREAM, 1, b"")
    cut = frames.frame(frames.HEADERS, 0, 3, head[:5]) + frames.frame(frames.CONTINUATION, 4, 3, head[5:])
    control = (
        frames.frame(frames.PING, 0, 0, b"12345678")
        + frames.window_update_frame(0, 1000)
        + frames.window_update_frame(1, 1000)
        + frames.rst_stream_frame(3, frames.REFUSED_STREAM)
        + frames.goaway_frame(1, 0, b"bye")
    )
    padded = frames.frame(frames.DATA, frames.FLAG_PADDED, 1, b"\x03abc\0\0\0")
    parts = [
        settings + response + end,
        settings + cut,
        settings + response + control,
        settings + response + padded,
    ]
    return [CHOICE + part for part in parts] + [CHOICE + settings + one for one in (control, end, padded)]


def h1_server() -> list[bytes]:
    """What an HTTP/1.1 deployment answers."""
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n"
    return [
        CHOICE + answer
        for answer in (
            chunked,
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n\r\nhello",
            b"HTTP/1.0 200 OK\r\n\r\nuntil close",
            b"HTTP/1.1 100 Continue\r\n\r\n" + chunked,
            b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        )
    ]


PATHS = (
    "/Greeter/greet",
    "/Greeter/echo/send?delay=10s",
    "/Counter/k%20y/add",
    "/Flow/w/run/send",
    "/restate/awakeables/sign_1xyz/resolve",
    "/restate/awakeables/prom_1NMyOAvDK2CcBjUH4Rmb7eGBp0DNNDnmsAAAAAQ/reject",
    "/restate/invocation/inv_1xyz/attach",
    "/restate/invocation/Greeter/greet/key/output",
    "/restate/workflow/Flow/w/attach",
    "/restate/signals/inv_1xyz/go/resolve",
    "/restate/call/Greeter/greet",
    "/restate/health",
)


def http1_requests() -> list[bytes]:
    """Requests, alone, in a row, chunked, and asking for another protocol."""
    found = []
    for path in PATHS:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nidempotency-key: k\r\n"
        found.append(f'{head}content-length: 3\r\n\r\n"a"'.encode())
        found.append(f'{head}transfer-encoding: chunked\r\n\r\n3\r\n"a"\r\n0\r\n\r\n'.encode())
        found.append(f"GET {path} HTTP/1.1\r\nhost: x\r\norigin: http://y\r\n\r\n".encode())
    upgrade = (
        b"POST /Greeter/echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    )
    found.append(upgrade + b"content-length: 3\r\n\r\nabc")
    expect = b"POST /Greeter/echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc"
    found += [expect, b"OPTIONS /Greeter/echo HTTP/1.1\r\nhost: x\r\norigin: y\r\n\r\n", found[0] * 3]
    found.append(b"POST /Greeter/echo HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc")
    return [CHOICE + one for one in found]


def http2_requests() -> list[bytes]:
    """The same over HTTP/2, preface included."""
    opening = frames.CLIENT_PREFACE + frames.settings_frame([(frames.SETTING_INITIAL_WINDOW_SIZE, 100_000)])
    found = []
    for path in PATHS:
        post = _block((":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path))
        get = _block((":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", path))
        one = frames.headers_frames(1, post, False, 16_384)
        one += frames.frame(frames.DATA, frames.FLAG_END_STREAM, 1, b'"a"')
        two = frames.headers_frames(3, get, True, 16_384)
        found.append(opening + one + two)
        cut = frames.frame(frames.HEADERS, frames.FLAG_END_STREAM, 1, post[:4])
        found.append(opening + cut + frames.frame(frames.CONTINUATION, 4, 1, post[4:]))
    control = (
        frames.SETTINGS_ACK
        + frames.frame(frames.PING, 0, 0, b"12345678")
        + frames.window_update_frame(0, 1000)
        + frames.rst_stream_frame(1, frames.CANCEL)
        + frames.goaway_frame(0, 0)
    )
    return [CHOICE + one for one in (*found, found[0] + control, opening + control)]


DICTIONARY = (
    b"\r\n", b"\r\n\r\n", b": ", b"0\r\n\r\n", b"transfer-encoding: chunked\r\n", b"content-length: 0\r\n",
    b"content-length: 99999999999999999999\r\n", b"content-length: -1\r\n", b"HTTP/1.1", b"HTTP/2.0",
    b"PRI * ",
    b"upgrade: h2c\r\n", b"connection: close\r\n", b"expect: 100-continue\r\n", b"idempotency-key: \xff\r\n",
    b"%00", b"%ff", b"..", b"//", b"?delay=-1s", b"?delay=99999999999999d", b"\x00", b"\xff" * 4,
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x80\x80\x80\x80\x08", b"\xc0\x80", b"\xed\xa0\x80", b"/send",
    b"/attach", b"/output", b"inv_1", b"sign_1",
    b"prom_1",
)  # fmt: skip
