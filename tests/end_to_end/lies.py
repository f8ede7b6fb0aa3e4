"""The catalog of what a deployment can do wrong, with the code each must be reported under.

A lie is told once the first step is journaled, so that every one of them also checks that what was journaled
is kept and does not run again. `fresh` lies come instead of a 200 answer: they are told from the second
attempt on, after a first one that journaled the step and stopped there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from h2.errors import ErrorCodes

from holdfast.protocol.framing import MESSAGE_BYTES_MAX, MessageType, encode_frame
from holdfast.protocol.futures import FUTURE_DEPTH_MAX, CombinatorType, Future
from holdfast.protocol.messages import (
    AttachInvocationCommandMessage,
    CallCommandMessage,
    CompleteAwakeableCommandMessage,
    ErrorMessage,
    GetPromiseCommandMessage,
    OneWayCallCommandMessage,
    OutputCommandMessage,
    SendSignalCommandMessage,
    SetStateCommandMessage,
    SuspensionMessage,
    Value,
)
from holdfast.protocol.wire import put_chunk

from .lying_service import STEPS, Behaviour, Talk, output

LIAR = "Liar"
SILENT = "Silent"


@dataclass(frozen=True)
class Lie:
    """One misdeed: `name` is its handler, `code` its entry of docs/errors.md, `says` a part of the message.

    `pauses_at_once` when retrying is pointless and the policy is not asked.
    """

    name: str
    code: str
    says: str
    tell: Callable[[Talk], None]
    fresh: bool = False
    pauses_at_once: bool = False

    @property
    def behaviour(self) -> Behaviour:
        """The lie as a handler."""

        async def behave(talk: Talk) -> None:
            await talk.listen()
            early = not talk.has_result(1)
            await talk.step(1, STEPS[0])
            if self.fresh and early:
                talk.end()
            else:
                self.tell(talk)

        return behave


# ---------------------------------------------------------------- how to lie


def _status(status: int, code: str) -> Lie:
    def tell(talk: Talk) -> None:
        talk.answer(status, content_type="text/plain")
        talk.say(b"not today")
        talk.end()

    return Lie(f"status{status}", code, f"status {status} instead of 200: not today", tell, fresh=True)


def _content_type(name: str, content_type: str | None) -> Lie:
    def tell(talk: Talk) -> None:
        talk.answer(content_type=content_type)
        talk.say(b"<html>hello</html>")
        talk.end()

    return Lie(name, "RT0012", f"content type {content_type!r}, expected", tell, fresh=True)


def _frame(name: str, code: str, says: str, type_: int, body: bytes, *, pauses_at_once: bool = False) -> Lie:
    return Lie(
        name, code, says, lambda talk: talk.say(encode_frame(type_, body)), pauses_at_once=pauses_at_once
    )


def _unexpected(name: str, type_: int, body: bytes = b"") -> Lie:
    return _frame(name, "RT0012", f"unexpected message type {type_:#06x}", type_, body)


def _error(name: str, code: str, error_code: int) -> Lie:
    body = ErrorMessage(error_code, "I would rather not", "at line 1").encode()
    return _frame(name, code, "I would rather not", MessageType.ERROR, body)


def _call(name: str, code: str, says: str, call: CallCommandMessage) -> Lie:
    return _frame(name, code, says, MessageType.CALL_COMMAND, call.encode())


def deep_suspension(depth: int) -> bytes:
    """A Suspension whose await tree has `depth` levels, written from the leaf outwards."""
    tree = Future(waiting_signals=(1,), combinator_type=CombinatorType.FIRST_COMPLETED).encode()
    for _ in range(depth - 1):
        tree = put_chunk(4, tree) + b"\x28\x01"
    return put_chunk(4, tree)


def _oversized(talk: Talk) -> None:
    header = encode_frame(MessageType.SET_STATE_COMMAND, b"")[:4]
    talk.say(header + (MESSAGE_BYTES_MAX + 1).to_bytes(4, "big"))


def _half_a_frame(talk: Talk) -> None:
    talk.say(output("never whole")[:-3])
    talk.end()


def _refuse(talk: Talk) -> None:
    talk.reset(ErrorCodes.REFUSED_STREAM)


def _cut(talk: Talk) -> None:
    talk.connection.cut()


def _go_away_angrily(talk: Talk) -> None:
    talk.connection.go_away(talk.stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
    talk.connection.cut()


def _leave_out(talk: Talk) -> None:
    talk.connection.go_away(0, ErrorCodes.NO_ERROR)


def _speak_another_language(talk: Talk) -> None:
    talk.connection.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _say_nothing(_: Talk) -> None:
    """Neither answers nor closes."""


LIES = (
    _status(301, "RT0012"),
    _status(401, "RT0012"),
    _status(404, "RT0012"),
    _status(413, "RT0019"),
    _status(415, "RT0015"),
    _status(429, "RT0023"),
    _status(500, "RT0012"),
    _status(502, "RT0010"),
    _status(503, "RT0023"),
    _status(504, "RT0010"),
    _content_type("html", "text/html"),
    _content_type("noContentType", None),
    _content_type("otherVersion", "application/vnd.restate.invocation.v4"),
    _content_type("nearlyRight", "application/vnd.restate.invocation.v7; charset=utf-8"),
    # Frames that nobody sends, or only the server.
    _unexpected("unknownCommand", 0x04FF, b"\x0a\x00"),
    _unexpected("unknownControl", 0x03FF),
    _unexpected("unknownNotification", 0xFBFE),
    _unexpected("customEntry", 0xFC7E),
    _unexpected("sendsStart", MessageType.START),
    _unexpected("sendsInput", MessageType.INPUT_COMMAND),
    _unexpected("sendsCommandAck", MessageType.COMMAND_ACK),
    _unexpected("sendsRunAck", MessageType.PROPOSE_RUN_COMPLETION_ACK),
    _unexpected("sendsCompletion", MessageType.SLEEP_COMPLETION, b"\x08\x01\x22\x00"),
    _unexpected("sendsSignal", MessageType.SIGNAL_NOTIFICATION, b"\x10\x01\x22\x00"),
    # Bodies that cannot be read, or say nothing.
    _frame("garbage", "RT0012", "", MessageType.SLEEP_COMMAND, b"\xff\xff\xff\xff"),
    _frame("halfText", "RT0012", "", MessageType.CALL_COMMAND, b"\x0a\x02\xc3\x28"),
    _frame(
        "emptyOutput",
        "RT0012",
        "an output needs a value or a failure",
        MessageType.OUTPUT_COMMAND,
        OutputCommandMessage().encode(),
    ),
    _frame("emptySuspension", "RT0012", "must name what it waits for", MessageType.SUSPENSION, b""),
    _frame(
        "leaflessSuspension",
        "RT0012",
        "must name what it waits for",
        MessageType.SUSPENSION,
        SuspensionMessage(Future(nested_futures=(Future(),))).encode(),
    ),
    _frame(
        "attachesToNothing",
        "RT0012",
        "names no invocation",
        MessageType.ATTACH_INVOCATION_COMMAND,
        AttachInvocationCommandMessage(None, 2).encode(),
    ),
    _frame(
        "namelessSignal",
        "RT0012",
        "needs an index or a name",
        MessageType.SEND_SIGNAL_COMMAND,
        SendSignalCommandMessage("inv_1", result=Value(b"1")).encode(),
    ),
    _frame(
        "treeTooDeep",
        "RT0025",
        str(FUTURE_DEPTH_MAX),
        MessageType.SUSPENSION,
        deep_suspension(FUTURE_DEPTH_MAX + 1),
        pauses_at_once=True,
    ),
    # Commands whose precondition does not hold.
    _frame(
        "stateOfService",
        "RT0017",
        "is a plain service and has no state",
        MessageType.SET_STATE_COMMAND,
        SetStateCommandMessage(b"k", Value(b"v")).encode(),
    ),
    _frame(
        "promiseOfService",
        "RT0017",
        "is no workflow",
        MessageType.GET_PROMISE_COMMAND,
        GetPromiseCommandMessage("p", 2).encode(),
    ),
    _frame(
        "badInvocationId",
        "RT0017",
        "'inv_nonsense' is no invocation id",
        MessageType.SEND_SIGNAL_COMMAND,
        SendSignalCommandMessage("inv_nonsense", idx=1).encode(),
    ),
    _frame(
        "badAwakeableId",
        "RT0017",
        "'prom_1' is no awakeable id",
        MessageType.COMPLETE_AWAKEABLE_COMMAND,
        CompleteAwakeableCommandMessage("prom_1", Value(b"1")).encode(),
    ),
    _call("keyForService", "RT0017", "takes no key", CallCommandMessage(LIAR, "fine", key="k")),
    _call(
        "emptyIdempotencyKey",
        "RT0017",
        "idempotency key is empty",
        CallCommandMessage(LIAR, "fine", idempotency_key=""),
    ),
    _call("unknownCallee", "RT0018", "no handler Nobody/here", CallCommandMessage("Nobody", "here")),
    _call("unknownHandler", "RT0018", f"no handler {LIAR}/nowhere", CallCommandMessage(LIAR, "nowhere")),
    _frame(
        "sendsToNobody",
        "RT0018",
        "no handler Nobody/here is registered",
        MessageType.ONE_WAY_CALL_COMMAND,
        OneWayCallCommandMessage("Nobody", "here").encode(),
    ),
    _call("scoped", "RT0024", "scopes and limit keys", CallCommandMessage(LIAR, "fine", scope="s")),
    # What the SDK says itself.
    _error("raises", "RT0007", 500),
    _error("changedJournal", "RT0016", 570),
    _error("seesViolation", "RT0012", 571),
    # The stream and the connection under it.
    Lie("oversized", "RT0003", f"the limit is {MESSAGE_BYTES_MAX}", _oversized),
    Lie("halfAFrame", "RT0007", "closed the stream before the handler ended", _half_a_frame),
    Lie("leaves", "RT0007", "closed the stream before the handler ended", Talk.end),
    Lie("resets", "RT0010", "INTERNAL_ERROR", Talk.reset),
    Lie("cuts", "RT0010", "", _cut),
    Lie("refusesStream", "RT0010", "REFUSED_STREAM", _refuse, fresh=True),
    Lie("goesAwayAngrily", "RT0010", "", _go_away_angrily),
    Lie("goesAwayWithout", "RT0010", "", _leave_out, fresh=True),
    Lie("otherLanguage", "RT0010", "", _speak_another_language),
)  # fmt: skip

SILENCES = (
    Lie("neverAnswers", "RT0001", "abort timeout", _say_nothing, fresh=True),
    Lie("fallsSilent", "RT0001", "abort timeout", _say_nothing),
)
