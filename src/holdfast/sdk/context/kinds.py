"""The kinds of context beside the plain one: with a key and state, with durable promises.

Context
└─ SharedObjectContext    key, reading state
   ├─ ObjectContext          writing state
   └─ SharedWorkflowContext  durable promises
      └─ WorkflowContext        both
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, overload

from holdfast.protocol.framing import MessageType
from holdfast.protocol.manifest import HandlerType, ServiceType
from holdfast.protocol.results import VOID, StateKeys, Value
from holdfast.protocol.state_commands import (
    ClearAllStateCommandMessage,
    ClearStateCommandMessage,
    GetEagerStateCommandMessage,
    GetEagerStateKeysCommandMessage,
    GetLazyStateCommandMessage,
    GetLazyStateKeysCommandMessage,
    SetStateCommandMessage,
)
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.context.base import Context
from holdfast.sdk.context.handles import DurablePromise
from holdfast.sdk.context.payloads import Payloads, serde_of, serde_of_value
from holdfast.sdk.context_kinds import ContextKind
from holdfast.sdk.vm.mismatch import KEY_LISTS, STATE_READS
from holdfast.sdk.waits import DurableFuture, no_value

T = TypeVar("T")


class SharedObjectContext(Context):
    """A shared handler of a virtual object: reads state, runs beside others of the same key."""

    kind: ClassVar[ContextKind] = ContextKind.SHARED_OBJECT

    @property
    def key(self) -> str:
        """The key of this object or workflow."""
        return self._commands.attempt.machine.start.key

    @overload
    def get(self, name: str, /) -> DurableFuture[Any]: ...
    @overload
    def get(self, name: str, type: type[T], /) -> DurableFuture[T | None]: ...
    @overload
    def get(self, name: str, type: type[T], /, default: T) -> DurableFuture[T]: ...
    def get(self, name: str, type: object = None, /, default: Any = None) -> DurableFuture[Any]:  # noqa: A002
        """A value of the state; `default` when it is not set. `type` is that of the value."""
        attempt = self._commands.enter("ctx.get")
        machine, key = attempt.machine, name.encode()
        completion_id = machine.new_completion_id()
        future: DurableFuture[Any] = DurableFuture(
            attempt.loop, self._commands.decode_with(serde_of(type)), default
        )
        stored = attempt.take_stored(STATE_READS)
        if stored is not None:
            attempt.check_state_key(stored, key)
            if stored[0] == MessageType.GET_EAGER_STATE_COMMAND:
                future.deliver(GetEagerStateCommandMessage.decode(stored[1]).result or VOID)
                return future
        elif machine.state.knows(key):
            value = machine.state.get(key)
            result = VOID if value is None else Value(value)
            command = GetEagerStateCommandMessage(key, "", result)
            attempt.issue(MessageType.GET_EAGER_STATE_COMMAND, command.encode())
            future.deliver(result)
            return future
        else:
            lazy = GetLazyStateCommandMessage(key, completion_id)
            attempt.issue(MessageType.GET_LAZY_STATE_COMMAND, lazy.encode())
        attempt.wait(completion_id, future)
        return future

    def state_keys(self) -> DurableFuture[list[str]]:
        """The names of all values that are set, sorted."""
        attempt = self._commands.enter("ctx.state_keys")
        machine = attempt.machine
        completion_id = machine.new_completion_id()
        future: DurableFuture[list[str]] = DurableFuture(attempt.loop, no_value)
        stored = attempt.take_stored(KEY_LISTS)
        if stored is not None:
            if stored[0] == MessageType.GET_EAGER_STATE_KEYS_COMMAND:
                future.deliver(GetEagerStateKeysCommandMessage.decode(stored[1]).value or StateKeys())
                return future
        elif (keys := machine.state.keys()) is not None:
            command = GetEagerStateKeysCommandMessage("", StateKeys(keys))
            attempt.issue(MessageType.GET_EAGER_STATE_KEYS_COMMAND, command.encode())
            future.deliver(StateKeys(keys))
            return future
        else:
            lazy = GetLazyStateKeysCommandMessage(completion_id)
            attempt.issue(MessageType.GET_LAZY_STATE_KEYS_COMMAND, lazy.encode())
        attempt.wait(completion_id, future)
        return future


class StateWrites(SharedObjectContext):
    """Writing state: for handlers that run alone on their key."""

    def set(self, name: str, value: object, /, *, type: object = None) -> None:  # noqa: A002
        """Set a value of the state. `type` is needed where the value's own class does not say how it is
        written (a list of models)."""
        attempt = self._commands.enter("ctx.set")
        payload = self._commands.payloads.encode(serde_of_value(value, type), value, f"state {name!r}")
        key = name.encode()
        attempt.issue(MessageType.SET_STATE_COMMAND, SetStateCommandMessage(key, Value(payload)).encode())
        attempt.machine.state.set(key, payload)

    def clear(self, name: str, /) -> None:
        """Unset a value of the state."""
        attempt = self._commands.enter("ctx.clear")
        key = name.encode()
        attempt.issue(MessageType.CLEAR_STATE_COMMAND, ClearStateCommandMessage(key).encode())
        attempt.machine.state.clear(key)

    def clear_all(self) -> None:
        """Unset the whole state of this key."""
        attempt = self._commands.enter("ctx.clear_all")
        attempt.issue(MessageType.CLEAR_ALL_STATE_COMMAND, ClearAllStateCommandMessage().encode())
        attempt.machine.state.clear_all()


class ObjectContext(StateWrites):
    """An exclusive handler of a virtual object: the only one at work on its key."""

    kind: ClassVar[ContextKind] = ContextKind.OBJECT


class SharedWorkflowContext(SharedObjectContext):
    """A shared handler of a workflow: runs beside its main handler."""

    kind: ClassVar[ContextKind] = ContextKind.SHARED_WORKFLOW

    @overload
    def promise(self, name: str, /) -> DurablePromise[Any]: ...
    @overload
    def promise(self, name: str, type: type[T], /) -> DurablePromise[T]: ...
    def promise(self, name: str, type: object = None, /) -> DurablePromise[Any]:  # noqa: A002
        """A durable promise of this workflow. `type` is that of its value."""
        return DurablePromise(self._commands, name, type)


class WorkflowContext(SharedWorkflowContext, StateWrites):
    """The main handler of a workflow, which runs once per key."""

    kind: ClassVar[ContextKind] = ContextKind.WORKFLOW


_OF_OBJECT = {HandlerType.EXCLUSIVE: ObjectContext, HandlerType.SHARED: SharedObjectContext}
_OF_WORKFLOW = {HandlerType.WORKFLOW: WorkflowContext, HandlerType.SHARED: SharedWorkflowContext}


def make_context(
    service: ServiceType,
    handler: HandlerType | None,
    attempt: Attempt,
    handler_name: str,
    payloads: Payloads,
    attempt_headers: Mapping[str, str],
) -> Context:
    """The context that a handler of this kind gets."""
    kind: type[Context] = Context
    if service is ServiceType.VIRTUAL_OBJECT:
        kind = _OF_OBJECT[handler or HandlerType.EXCLUSIVE]
    elif service is ServiceType.WORKFLOW:
        kind = _OF_WORKFLOW[handler or HandlerType.WORKFLOW]
    return kind(attempt, handler_name, payloads, attempt_headers)
