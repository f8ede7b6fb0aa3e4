"""`Context`: what every handler can do.

Each method numbers its commands when it is called, before anything is awaited, so the order of calls in the
handler's code is the order in the journal.
"""

import random
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, ParamSpec, TypeVar, overload
from uuid import UUID

from holdfast.protocol.commands import (
    CallCommandMessage,
    CompleteAwakeableCommandMessage,
    IdempotentRequestTarget,
    OneWayCallCommandMessage,
    WorkflowTarget,
)
from holdfast.protocol.framing import MessageType
from holdfast.protocol.ids import awakeable_id
from holdfast.protocol.results import Failure, Pairs, Value
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.cancelling import CallInFlight
from holdfast.sdk.context.commands import Commands
from holdfast.sdk.context.handles import Awakeable, CallFuture, InvocationHandle, ResultHandle, SendHandle
from holdfast.sdk.context.payloads import Payloads, serde_of, serde_of_value
from holdfast.sdk.context.request import Request
from holdfast.sdk.context.variable import leave
from holdfast.sdk.context_kinds import ContextBase, ContextKind
from holdfast.sdk.durations import Duration, seconds_of
from holdfast.sdk.errors import UsageError
from holdfast.sdk.remote import Target
from holdfast.sdk.steps import PendingStep, Step, spec_of
from holdfast.sdk.waits import Decode, DurableFuture, no_value

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

NO_VALUE: Any = object()
"""Stands for an argument nobody gave, where None is an argument."""


class StepFuture(DurableFuture[R]):
    """A step's result. Cancelling it cancels the step's body."""

    def __init__(self, attempt: Attempt, decode: Decode, completion_id: int) -> None:
        super().__init__(attempt.loop, decode)
        self._attempt = attempt
        self._completion_id = completion_id

    def cancel(self, msg: Any | None = None) -> bool:
        """As every future; the body, which runs in this process, is cancelled too."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._attempt.cancel_step(self._completion_id)
        return cancelled


class Context(ContextBase):
    """The context of a handler of a plain service; the other kinds add to it."""

    kind: ClassVar[ContextKind] = ContextKind.SERVICE

    def __init__(
        self, attempt: Attempt, handler_name: str, payloads: Payloads, attempt_headers: Mapping[str, str]
    ) -> None:
        self._commands = Commands(attempt, payloads)
        self._attempt_headers = attempt_headers
        self._random: random.Random | None = None
        self._request: Request | None = None
        self.handler_name = handler_name
        """`Service/handler`."""

    # Steps.

    @overload
    def run(self, action: Step[P, R], /, *args: P.args, **kwargs: P.kwargs) -> DurableFuture[R]: ...
    @overload
    def run(
        self, action: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> DurableFuture[R]: ...
    @overload
    def run(self, action: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> DurableFuture[R]: ...
    @overload
    def run(
        self, name: str, action: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> DurableFuture[R]: ...
    @overload
    def run(
        self, name: str, action: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> DurableFuture[R]: ...
    def run(self, action: Any, /, *args: Any, **kwargs: Any) -> DurableFuture[Any]:
        """A step: run a function once and journal its result; replays take the result from the journal.

        `ctx.run(charge, card, amount)`, or with a name of its own, `ctx.run("charge card", charge, card, 5)`.
        Coroutine functions run on the process's event loop, plain functions in a thread. What comes back is
        what its return annotation makes of the journaled bytes, also the first time. A `TerminalError` it
        raises is journaled and raised here; any other exception is retried, by the step's policy
        (`holdfast.step(retry=...)`) or else the invocation's.
        """
        attempt = self._commands.enter("ctx.run")
        name = None
        if isinstance(action, str):
            if not args:
                raise UsageError(
                    "step_without_function",
                    f"ctx.run({action!r}) names a step but gives no function; write "
                    f"ctx.run({action!r}, function, ...)",
                )
            name, action, *rest = action, *args
            args = tuple(rest)
        if not callable(action):
            raise UsageError(
                "step_not_callable",
                f"ctx.run got {type(action).__name__}; give it the function and its arguments, "
                "ctx.run(function, argument), not the result of calling it",
            )
        spec = spec_of(action)
        function = action.function if isinstance(action, Step) else action
        completion_id = attempt.run_step(name or spec.name, spec.metadata)
        future: StepFuture[Any] = StepFuture(attempt, self._commands.decode_with(spec.serde), completion_id)
        variables = copy_context()
        variables.run(leave)
        attempt.add_step(
            PendingStep(
                completion_id,
                attempt.machine.command_index,
                spec,
                function,
                args,
                kwargs,
                variables,
                future,
                name,
            )
        )
        return future

    def sleep(self, duration: Duration, *, name: str = "") -> DurableFuture[None]:
        """Wait. `asyncio.sleep` is durable too; this one takes a timedelta and a name.

        Args:
            duration: timedelta or seconds, from now.
        """
        attempt = self._commands.enter("ctx.sleep")
        delay_s = _checked_seconds(duration, "the time to sleep")
        return self._commands.future(attempt.issue_sleep(delay_s, name), no_value)

    def now(self) -> DurableFuture[datetime]:
        """The time in UTC, journaled: replays get the same."""
        return self.run(_now, self._commands.enter("ctx.now").now_ms)

    @property
    def encodes_payloads(self) -> bool:
        """Whether the app has a codec (`holdfast.app(codec=...)`), which may keep payloads secret."""
        return self._commands.payloads.codec is not None

    @property
    def random(self) -> random.Random:
        """Random numbers that replays repeat: a generator seeded with the invocation."""
        attempt = self._commands.enter("ctx.random")
        if self._random is None:
            start = attempt.machine.start
            seed = start.random_seed if attempt.machine.version >= 6 else int.from_bytes(start.id, "big")
            self._random = random.Random(seed)
        return self._random

    def uuid(self) -> UUID:
        """A random UUID that replays repeat, for idempotency keys and the like."""
        return UUID(int=self.random.getrandbits(128), version=4)

    @property
    def request(self) -> Request:
        """The invocation's id, headers and raw input."""
        if self._request is None:
            machine = self._commands.attempt.machine
            start = machine.start
            self._request = Request(
                start.debug_id,
                start.key,
                dict(machine.input.headers),
                self._attempt_headers,
                self._commands.payloads.raw(machine.input_content),
                start.idempotency_key,
                start.retry_count_since_last_stored_entry,
            )
        return self._request

    @property
    def invocation_id(self) -> str:
        """Printable, `inv_1...`."""
        return self._commands.attempt.machine.start.debug_id

    @property
    def is_replaying(self) -> bool:
        """Whether what the handler does now is known from an earlier attempt. For logging: decide nothing by
        it."""
        return self._commands.attempt.machine.recalling

    @property
    def is_repeating(self) -> bool:
        """Whether an earlier attempt certainly came past here: it asked for more than this one has so far.
        Where `is_replaying` is silent about what may be new, this one repeats what may be old; for traces,
        whose receivers know the old by its id."""
        return self._commands.attempt.machine.replaying

    # Other handlers.

    @overload
    def call(
        self,
        target: Target[None, O],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CallFuture[O]: ...
    @overload
    def call(
        self,
        target: Target[I, O],
        argument: I,
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CallFuture[O]: ...
    def call(
        self,
        target: Target[Any, O],
        argument: Any = None,
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CallFuture[O]:
        """Call another handler, by reference, or by name through `holdfast.remote`.

        Args:
            key: of the object or workflow.
            idempotency_key: a second call with the same key gives the first one's result.
            headers: handed to the callee.
        Returns:
            A future: await it for the result. It fails with the `TerminalError` the callee ended with.
        """
        attempt = self._commands.enter("ctx.call")
        parameter = self._argument(target, argument, key)
        machine = attempt.machine
        id_completion, completion_id = machine.new_completion_id(), machine.new_completion_id()
        command = CallCommandMessage(
            target.service.name,
            target.name,
            parameter,
            _pairs(headers),
            key or "",
            idempotency_key,
            invocation_id_notification_idx=id_completion,
            result_completion_id=completion_id,
        )
        attempt.issue(MessageType.CALL_COMMAND, command.encode())
        id_ = self._commands.id_future(id_completion)
        result = CallFuture[O](attempt.loop, self._commands.decode_with(target.output), self._commands, id_)
        attempt.wait(completion_id, result)
        attempt.add_call(CallInFlight(id_, result))
        return result

    @overload
    def send(
        self,
        target: Target[None, O],
        /,
        *,
        key: str | None = None,
        delay: Duration | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendHandle[O]: ...
    @overload
    def send(
        self,
        target: Target[I, O],
        argument: I,
        /,
        *,
        key: str | None = None,
        delay: Duration | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendHandle[O]: ...
    def send(
        self,
        target: Target[Any, O],
        argument: Any = None,
        /,
        *,
        key: str | None = None,
        delay: Duration | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendHandle[O]:
        """Start another handler without waiting for it, at once or after `delay`; otherwise as `call`."""
        attempt = self._commands.enter("ctx.send")
        parameter = self._argument(target, argument, key)
        invoke_time = 0
        if delay is not None:
            invoke_time = attempt.now_ms() + round(_checked_seconds(delay, "delay") * 1000)
        id_completion = attempt.machine.new_completion_id()
        command = OneWayCallCommandMessage(
            target.service.name,
            target.name,
            parameter,
            invoke_time,
            _pairs(headers),
            key or "",
            idempotency_key,
            invocation_id_notification_idx=id_completion,
        )
        attempt.issue(MessageType.ONE_WAY_CALL_COMMAND, command.encode())
        return SendHandle(self._commands, self._commands.id_future(id_completion), target.output)

    @overload
    def invocation(self, invocation_id: str, /) -> InvocationHandle[Any]: ...
    @overload
    def invocation(self, invocation_id: str, type: type[T], /) -> InvocationHandle[T]: ...
    def invocation(self, invocation_id: str, type: object = None, /) -> InvocationHandle[Any]:  # noqa: A002
        """Another invocation, to attach to, cancel or signal. `type` is that of its result."""
        return InvocationHandle(self._commands, invocation_id, serde_of(type))

    def workflow(self, target: Target[Any, O], key: str, /) -> ResultHandle[O]:
        """The run of a workflow by its main handler and key, to attach to or look at."""
        return ResultHandle(self._commands, WorkflowTarget(target.service.name, key), target.output)

    def idempotent(
        self, target: Target[Any, O], idempotency_key: str, /, *, key: str | None = None
    ) -> ResultHandle[O]:
        """The invocation of a handler by the idempotency key it was called with."""
        named = IdempotentRequestTarget(target.service.name, key, target.name, idempotency_key)
        return ResultHandle(self._commands, named, target.output)

    def cancel(self, invocation_id: str) -> None:
        """Cancel another invocation."""
        self._commands.cancel(invocation_id)

    # Awakeables and signals.

    @overload
    def awakeable(self, /) -> Awakeable[Any]: ...
    @overload
    def awakeable(self, type: type[T], /) -> Awakeable[T]: ...
    def awakeable(self, type: object = None, /) -> Awakeable[Any]:  # noqa: A002
        """A value that something outside will give, by the awakeable's id. `type` is that of the value."""
        attempt = self._commands.enter("ctx.awakeable")
        signal_id = attempt.machine.new_signal_id()
        future: DurableFuture[Any] = DurableFuture(attempt.loop, self._commands.decode_with(serde_of(type)))
        attempt.wait_signal(signal_id, future)
        return Awakeable(awakeable_id(attempt.machine.start.id, signal_id), future)

    def resolve_awakeable(self, id_: str, value: object = None, /, *, type: object = None) -> None:  # noqa: A002
        """Complete an awakeable, of this invocation or another. `type` is needed where the value's own class
        does not say how it is written (a list of models)."""
        payload = self._commands.payloads.encode(serde_of_value(value, type), value, f"awakeable {id_}")
        self._complete_awakeable(id_, Value(payload))

    def reject_awakeable(self, id_: str, message: str, code: int = 500) -> None:
        """Fail an awakeable: who waits gets a `TerminalError`."""
        self._complete_awakeable(id_, Failure(code, message))

    def _complete_awakeable(self, id_: str, result: Value | Failure) -> None:
        attempt = self._commands.enter("ctx.resolve_awakeable")
        attempt.issue(
            MessageType.COMPLETE_AWAKEABLE_COMMAND, CompleteAwakeableCommandMessage(id_, result).encode()
        )

    @overload
    def signal(self, name: str, /) -> DurableFuture[Any]: ...
    @overload
    def signal(self, name: str, type: type[T], /) -> DurableFuture[T]: ...
    def signal(self, name: str, type: object = None, /) -> DurableFuture[Any]:  # noqa: A002
        """The next signal of this name sent to this invocation; each is taken once, in order of arrival."""
        attempt = self._commands.enter("ctx.signal")
        future: DurableFuture[Any] = DurableFuture(attempt.loop, self._commands.decode_with(serde_of(type)))
        attempt.wait_named(name, future)
        return future

    # Inside.

    def _argument(self, target: Target[Any, Any], argument: Any, key: str | None) -> bytes:
        name = f"{target.service.name}/{target.name}"
        if target.keyed and not key:
            raise UsageError(
                "key_missing", f"{name} belongs to an object or workflow; say which with key=..."
            )
        if key and target.keyed is False:
            raise UsageError("key_unexpected", f"{name} belongs to a plain service; leave out key={key!r}")
        return self._commands.payloads.encode(target.input, argument, f"the argument of {name}")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise _no_such(type(self).__name__, self.__dict__.get("handler_name", ""), name)


class NotInThisContext(UsageError, AttributeError):
    """A method that this kind of handler does not have."""


_STATE = ("get", "state_keys", "key")
_WRITES = ("set", "clear", "clear_all")


def _no_such(kind: str, handler: str, name: str) -> AttributeError:
    if name in _WRITES and kind.startswith("Shared"):
        return NotInThisContext(
            "write_in_shared_handler",
            f"ctx.{name} in {handler}: shared handlers run side by side and may only read state. Make it "
            "exclusive (@object.handler), or call an exclusive handler from it",
        )
    if name in _STATE or name in _WRITES:
        return NotInThisContext(
            "state_in_service",
            f"ctx.{name} in {handler}: a plain service has no key and no state. Make it a VirtualObject or a "
            "Workflow",
        )
    if name == "promise":
        return NotInThisContext(
            "promise_outside_workflow",
            f"ctx.promise in {handler}: durable promises belong to workflows. Use an awakeable or a Workflow",
        )
    return AttributeError(f"{kind} has no attribute {name!r}")


def _pairs(headers: Mapping[str, str] | None) -> Pairs:
    return () if headers is None else tuple((name.lower(), value) for name, value in headers.items())


def _checked_seconds(duration: Duration, what: str) -> float:
    try:
        return seconds_of(duration, what)
    except (TypeError, ValueError) as error:
        raise UsageError("bad_delay", str(error)) from None


async def _now(now_ms: Callable[[], int]) -> datetime:
    return datetime.fromtimestamp(now_ms() / 1000, UTC)


_now.__name__ = "now"
