"""Feeding attempts by hand: the server's side of the wire as frames, the process's side as a port that a test
drives. Nothing here is asynchronous but what the handler itself does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from holdfast.protocol import messages
from holdfast.protocol.framing import FrameDecoder
from holdfast.protocol.messages import InputCommandMessage, Message, StartMessage, Value, frame
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.running import make_attempt
from holdfast.sdk.handlers import Handler
from holdfast.sdk.reports import terminal_of
from holdfast.sdk.services import Service
from holdfast.sdk.steps import PendingStep
from holdfast.sdk.waits import failure_of

INVOCATION_ID = bytes(range(24))
NOW_MS = 1_767_225_600_000


def served(function: Callable[..., Any], version: int = 7) -> Fed:
    """One attempt at a function as the handler of a plain service."""
    return Fed(Service("Story").handler(function), version)


def run_done(completion_id: int, value: object) -> Message:
    """A step's result."""
    return messages.RunCompletionNotificationMessage(completion_id, _value(value))


def run_failed(completion_id: int, message: str, code: int = 500) -> Message:
    """A step's terminal failure."""
    return messages.RunCompletionNotificationMessage(completion_id, messages.Failure(code, message))


def ack(completion_id: int) -> Message:
    """A proposal is durable."""
    return messages.ProposeRunCompletionAckMessage(completion_id)


def slept(completion_id: int) -> Message:
    """A timer has fired."""
    return messages.SleepCompletionNotificationMessage(completion_id)


def called(completion_id: int, invocation_id: str) -> Message:
    """The id of an invocation that a call or send started."""
    return messages.CallInvocationIdCompletionNotificationMessage(completion_id, invocation_id)


def call_done(completion_id: int, value: object) -> Message:
    """A call's result."""
    return messages.CallCompletionNotificationMessage(completion_id, _value(value))


def signal(index: int, value: object) -> Message:
    """An awakeable's value."""
    return messages.SignalNotificationMessage(idx=index, result=_value(value))


def named(name: str, value: object) -> Message:
    """A named signal."""
    return messages.SignalNotificationMessage(name=name, result=_value(value))


def cancel() -> Message:
    """Somebody cancelled the invocation."""
    return messages.SignalNotificationMessage(idx=1, result=messages.VOID)


def _value(value: object) -> Value:
    return Value(json.dumps(value).encode())


class HandPort:
    """Keeps started steps until the test finishes them; the clock stands still."""

    def __init__(self, payloads: Payloads) -> None:
        self.payloads = payloads
        self.steps: list[PendingStep] = []
        self.stopped: list[str] = []
        self.later: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        return NOW_MS

    def start_step(self, step: PendingStep) -> None:
        self.steps.append(step)

    def stop_step(self, step: PendingStep) -> None:
        self.stopped.append(step.spec.name)
        self.steps.remove(step)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.later.append(call)

    def flush(self) -> None:
        """The test takes the output when it wants."""


class Fed:
    """One attempt of a handler, its frames and its steps."""

    def __init__(
        self, handler: Handler[Any, Any], version: int = 7, payloads: Payloads | None = None
    ) -> None:
        self.payloads = payloads or Payloads(None)
        self.port = HandPort(self.payloads)
        self.version = version
        self.hints: list[messages.AwaitingOnMessage] = []
        self.attempt: Attempt = make_attempt(handler, version, self.payloads, self.port, {})

    def begin(self, value: bytes, *stored: Message, key: str = "", **start: Any) -> Fed:
        """Start, the input, and what the journal holds besides."""
        opening = StartMessage(INVOCATION_ID, "inv_1x", 1 + len(stored), random_seed=42, key=key, **start)
        frames = [opening, InputCommandMessage(value=Value(value)), *stored]
        return self.feed(*frames)

    def feed(self, *sent: Message) -> Fed:
        """Frames from the server."""
        self.attempt.receive(b"".join(map(frame, sent)))
        return self

    @property
    def steps(self) -> list[str]:
        """Names of the bodies under way."""
        return [step.spec.name for step in self.port.steps]

    def names(self) -> list[str]:
        """What the attempt has said, one word per message."""
        return [type(one).__name__.removesuffix("Message").removesuffix("Command") for one in self.said()]

    def result(self) -> Any:
        """What the handler returned, or the failure it ended with; the attempt must have ended with it."""
        *_, output, end = self.said()
        assert isinstance(end, messages.EndMessage), end
        assert isinstance(output, messages.OutputCommandMessage), output
        if isinstance(output.result, messages.Failure):
            return output.result
        assert output.result is not None
        return json.loads(output.result.content) if output.result.content else None

    def error(self) -> messages.ErrorMessage:
        """The error the attempt ended with."""
        last = self.said()[-1]
        assert isinstance(last, messages.ErrorMessage), last
        return last

    def close(self) -> Fed:
        """The request body ends."""
        self.attempt.close_input()
        return self

    def finish_step(self, name: str | None = None) -> Fed:
        """Run the body of a started step, the oldest (of that name), and report it."""
        step = next(step for step in self.port.steps if name in (None, step.spec.name))
        self.port.steps.remove(step)
        try:
            if step.spec.is_async:
                value = asyncio.run(step.function(*step.args, **step.kwargs))
            else:
                value = step.function(*step.args, **step.kwargs)
            result = self.payloads.encode(step.spec.serde, value, f"the result of step {step.spec.name}")
        except Exception as error:
            terminal = terminal_of(error)
            if terminal is None:
                self.attempt.step_raised(step, error)
            else:
                self.attempt.step_returned(step, failure_of(terminal))
        else:
            self.attempt.step_returned(step, result)
        return self

    def output(self) -> bytes:
        """What the attempt has written since the last look, as bytes."""
        return self.attempt.machine.take_output()

    def said(self) -> list[Message]:
        """The same as messages, without hints of what is awaited: those are in `hints`."""
        found = [
            messages.decode(type_, body, self.version)
            for type_, _, body in FrameDecoder().feed(self.output())
        ]
        self.hints += [one for one in found if isinstance(one, messages.AwaitingOnMessage)]
        return [one for one in found if not isinstance(one, messages.AwaitingOnMessage)]
