"""What context methods give back: results to await, and the invocations, promises and signals behind them."""

from collections.abc import Generator
from typing import Any, Generic, TypeVar

from holdfast.protocol.commands import (
    AttachInvocationCommandMessage,
    GetInvocationOutputCommandMessage,
    InvocationTarget,
    SendSignalCommandMessage,
)
from holdfast.protocol.framing import MessageType
from holdfast.protocol.results import Failure, Value
from holdfast.protocol.state_commands import (
    CompletePromiseCommandMessage,
    GetPromiseCommandMessage,
    PeekPromiseCommandMessage,
)
from holdfast.sdk.context.commands import Commands
from holdfast.sdk.context.payloads import serde_of, serde_of_value
from holdfast.sdk.loop.durable_loop import DurableLoop
from holdfast.sdk.serde import Reader
from holdfast.sdk.waits import DurableFuture, no_value

T = TypeVar("T")


class CallFuture(DurableFuture[T]):
    """A call in flight: await it for its result; it fails with the `TerminalError` the callee ended with."""

    def __init__(self, loop: DurableLoop, decode: Any, commands: Commands, id_: DurableFuture[str]) -> None:
        super().__init__(loop, decode)
        self._commands = commands
        self._id = id_

    def invocation_id(self) -> DurableFuture[str]:
        """The callee's id; it comes as soon as the server has the call."""
        return self._id

    async def cancel_invocation(self) -> None:
        """Cancel the callee. `cancel()`, which every future has, only stops waiting for it."""
        self._commands.cancel(await self._id)


class SendHandle(Generic[T]):
    """A message sent: it goes on whatever becomes of the sender. `T` is the type of its result."""

    def __init__(self, commands: Commands, id_: DurableFuture[str], serde: Reader[Any]) -> None:
        self._commands = commands
        self._id = id_
        self._serde = serde

    def invocation_id(self) -> DurableFuture[str]:
        """The id of the invocation it started; it comes as soon as the server has the message."""
        return self._id

    async def attach(self) -> T:
        """Its result, when it ends."""
        handle: InvocationHandle[T] = InvocationHandle(self._commands, await self._id, self._serde)
        return await handle.attach()

    async def cancel(self) -> None:
        """Cancel the invocation it started."""
        self._commands.cancel(await self._id)


class ResultHandle(Generic[T]):
    """Another invocation's result, whichever way that is named: by its id, as the run of a workflow, or by
    the idempotency key it was called with."""

    def __init__(self, commands: Commands, target: InvocationTarget, serde: Reader[Any]) -> None:
        self._commands = commands
        self._target = target
        self._serde = serde

    def attach(self) -> DurableFuture[T]:
        """Its result, when it ends; fails as it fails, or with code 404 when there is no such invocation."""
        commands = self._commands
        attempt = commands.enter("attach")
        completion_id = attempt.machine.new_completion_id()
        attempt.issue(
            MessageType.ATTACH_INVOCATION_COMMAND,
            AttachInvocationCommandMessage(self._target, completion_id).encode(),
        )
        return commands.future(completion_id, commands.decode_with(self._serde))

    def output(self) -> DurableFuture[T | None]:
        """Its result if it has ended, else None."""
        commands = self._commands
        attempt = commands.enter("output")
        completion_id = attempt.machine.new_completion_id()
        attempt.issue(
            MessageType.GET_INVOCATION_OUTPUT_COMMAND,
            GetInvocationOutputCommandMessage(self._target, completion_id).encode(),
        )
        return commands.future(completion_id, commands.decode_with(self._serde))


class InvocationHandle(ResultHandle[T]):
    """Another invocation, by its id; `Context.invocation` gives it."""

    def __init__(self, commands: Commands, invocation_id: str, serde: Reader[Any]) -> None:
        super().__init__(commands, invocation_id, serde)
        self.invocation_id = invocation_id

    def cancel(self) -> None:
        """Cancel it. Returns at once; the cancellation is journaled and delivered."""
        self._commands.cancel(self.invocation_id)

    def signal(self, name: str) -> "SignalHandle":
        """A named signal of it, to be resolved or rejected."""
        return SignalHandle(self._commands, self.invocation_id, name)


class SignalHandle:
    """A named signal of another invocation, which waits for it with `ctx.signal(name)`."""

    def __init__(self, commands: Commands, invocation_id: str, name: str) -> None:
        self._commands = commands
        self._invocation_id = invocation_id
        self._name = name

    def resolve(self, value: object = None, *, type: object = None) -> None:  # noqa: A002
        """Send it with a value. `type` is needed where the value's own class does not say how it is
        written (a list of models)."""
        serde = serde_of_value(value, type)
        self._send(Value(self._commands.payloads.encode(serde, value, f"signal {self._name}")))

    def reject(self, message: str, code: int = 500) -> None:
        """Send a failure: the waiting handler gets a `TerminalError`."""
        self._send(Failure(code, message))

    def _send(self, result: Value | Failure) -> None:
        attempt = self._commands.enter("signal")
        signal = SendSignalCommandMessage(self._invocation_id, name=self._name, result=result)
        attempt.issue(MessageType.SEND_SIGNAL_COMMAND, signal.encode())


class Awakeable(Generic[T]):
    """Something outside completes it by its id: `await` it for the value.

    Attributes:
        id: give it to whoever is to complete it (`sign_1...`).
    """

    def __init__(self, id_: str, future: DurableFuture[T]) -> None:
        self.id = id_
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return self._future.__await__()

    @property
    def future(self) -> DurableFuture[T]:
        """For `asyncio.wait` and the like."""
        return self._future


class DurablePromise(Generic[T]):
    """A value that handlers of one workflow give each other: completed once, awaited by any number."""

    def __init__(self, commands: Commands, name: str, annotation: object) -> None:
        self._commands = commands
        self._annotation = annotation
        self._serde = serde_of(annotation)
        self.name = name

    def __await__(self) -> Generator[Any, None, T]:
        return self.get().__await__()

    def get(self) -> DurableFuture[T]:
        """Its value, when it is completed; a rejection is raised as `TerminalError`."""
        commands = self._commands
        attempt = commands.enter("promise")
        completion_id = attempt.machine.new_completion_id()
        attempt.issue(
            MessageType.GET_PROMISE_COMMAND, GetPromiseCommandMessage(self.name, completion_id).encode()
        )
        return commands.future(completion_id, commands.decode_with(self._serde))

    def peek(self) -> DurableFuture[T | None]:
        """Its value if it is completed, else None, without waiting for it."""
        commands = self._commands
        attempt = commands.enter("promise")
        completion_id = attempt.machine.new_completion_id()
        attempt.issue(
            MessageType.PEEK_PROMISE_COMMAND, PeekPromiseCommandMessage(self.name, completion_id).encode()
        )
        return commands.future(completion_id, commands.decode_with(self._serde))

    def resolve(self, value: T) -> DurableFuture[None]:
        """Complete it. Awaited, it tells: code 409 when it was completed before."""
        serde = serde_of_value(value, self._annotation)
        return self._complete(Value(self._commands.payloads.encode(serde, value, f"promise {self.name}")))

    def reject(self, message: str, code: int = 500) -> DurableFuture[None]:
        """Complete it with a failure; otherwise as `resolve`."""
        return self._complete(Failure(code, message))

    def _complete(self, completion: Value | Failure) -> DurableFuture[None]:
        commands = self._commands
        attempt = commands.enter("promise")
        completion_id = attempt.machine.new_completion_id()
        command = CompletePromiseCommandMessage(self.name, completion, completion_id)
        attempt.issue(MessageType.COMPLETE_PROMISE_COMMAND, command.encode())
        return commands.future(completion_id, no_value)
