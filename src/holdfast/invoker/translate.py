"""From wire frames to core's items, with the checks that need the catalog.

Preconditions (an unknown callee, state in a plain service, a key where none belongs) are refused here: the
command is not stored and the attempt fails, to be retried, since a new deployment may make it right.

`TRANSLATIONS`, at the end, is the door: each type's function takes the attempt, message type, flags and body,
gives the item that the frame means (None for hints), and raises

    Refusal         a precondition failed
    ProtocolError   the body cannot be read
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from holdfast.catalog.model import Handler
from holdfast.core import commands as core
from holdfast.core import model
from holdfast.core.model import InvocationId, Origin, OriginKind, TargetKind
from holdfast.invoker import failures
from holdfast.invoker.failures import Refusal
from holdfast.invoker.step_metadata import Holder, hold, refuse_held, with_metadata
from holdfast.partition.placement import idempotent_id, workflow_id
from holdfast.protocol import messages as wire
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.framing import ACK_REQUESTED, MessageType
from holdfast.protocol.ids import decode_invocation_id, encode_invocation_id, parse_awakeable_id
from holdfast.protocol.wire import last_chunk

_VERSION_WITH_TREES = 7


class CallMaker(Protocol):
    """Makes complete requests for callees; `holdfast.partition.engine.LocalEngine` is one."""

    def make_request(
        self,
        handler: Handler,
        key: str | None,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        *,
        idempotency_key: str | None = None,
        start_at: int = 0,
        origin: Origin = model.FROM_INGRESS,
        scope: str | None = None,
        limit_key: str | None = None,
        trace_parent: str | None = None,
        caller: int | None = None,
    ) -> core.StartRequest: ...


class HandlerLookup(Protocol):
    def handler(self, service: str, handler: str) -> Handler | None: ...


@dataclass(frozen=True, slots=True)
class Callees:
    """Whom commands may name, and who makes the requests for them. Shared by all attempts."""

    catalog: HandlerLookup
    maker: CallMaker


class Numbered(Protocol):
    @property
    def index(self) -> int: ...


class Speaker(Holder, Protocol):
    """The attempt whose frames are translated."""

    @property
    def callees(self) -> Callees: ...
    @property
    def partition(self) -> Numbered:
        """The one that owns the invocation."""
        ...

    @property
    def invocation(self) -> model.Invocation: ...
    @property
    def version(self) -> int:
        """The protocol version it speaks."""
        ...

    @property
    def known(self) -> int:
        """Journal entries it has been told of."""
        ...


def unexpected(type_: int) -> Refusal:
    """What to raise for a frame that nobody translates."""
    return Refusal(
        failures.PROTOCOL, f"unexpected message type {type_:#06x}: only the server sends it, or nobody"
    )


# ------------------------------------------------------------ plain and control


def _run(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    # The usual run is 58 id 62 length name; a name beyond ASCII is left to the decoder, which checks it.
    size = len(body)
    if size >= 4 and body[0] == 0x58 and body[2] == 0x62 and body[3] == size - 4 and body.isascii():
        completion_id = body[1]
    else:
        completion_id = wire.RunCommandMessage.decode(body).result_completion_id
    item = core.Plain(type_, body, completion_id)
    return item if of.held is None else with_metadata(of, item, completion_id)


def _eager_state(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_state(of)
    wire.decode(type_, body)
    return core.Plain(type_, body)


def _proposal(of: Speaker, _: int, flags: int, body: bytes) -> core.Item:
    ack = flags & ACK_REQUESTED != 0 and of.version >= _VERSION_WITH_TREES
    # The usual proposal is 08 id 72 length content.
    usual = len(body) > 3 and body[0] == 0x08 and body[1] < 128 and body[2] == 0x72
    if usual and (begin := 4 if body[3] == len(body) - 4 < 128 else last_chunk(body, 3)):
        item = core.RunProposal(body[1], model.Success(body[begin:]), ack)
    else:
        message = wire.ProposeRunCompletionMessage.decode(body)
        outcome = _result(message.result, "a run proposal")
        item = core.RunProposal(message.result_completion_id, outcome, ack)
    return item if of.held is None else with_metadata(of, item, item.completion_id)


def _output(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    # The usual output, a value and nothing else, is 72 length 0a length content; mostly a short one.
    size = len(body)
    if 4 <= size < 130 and body[3] == size - 4 and body[1] == size - 2 and body[:3:2] == b"\x72\x0a":
        return core.Output(type_, body, model.Success(body[4:]))
    if body[:1] == b"\x72" and (inner := last_chunk(body, 1)) and body[inner : inner + 1] == b"\x0a":
        begin = last_chunk(body, inner + 1)
        if begin:
            return core.Output(type_, body, model.Success(body[begin:]))
    return core.Output(type_, body, _result(wire.OutputCommandMessage.decode(body).result, "an output"))


def _end(of: Speaker, _: int, __: int, ___: bytes) -> core.Item:
    refuse_held(of, "the attempt's end")
    return _END


def _suspension(of: Speaker, _: int, __: int, body: bytes) -> core.Item:
    refuse_held(of, "a suspension")
    if of.version >= _VERSION_WITH_TREES:
        tree = wire.SuspensionMessage.decode(body).awaiting_on
        if tree is None or tree.is_leafless():
            raise Refusal(failures.PROTOCOL, "a suspension must name what it waits for")
        return core.Suspend(await_tree(tree), of.known)
    flat = wire.SuspensionMessageV6.decode(body)
    awaiting = model.Await(flat.waiting_completions, flat.waiting_signals, flat.waiting_named_signals)
    if not (awaiting.completions or awaiting.signals or awaiting.names):
        raise Refusal(failures.PROTOCOL, "a suspension must name what it waits for")
    return core.Suspend(awaiting, of.known)


def _hint(of: Speaker, _: int, __: int, ___: bytes) -> None:
    return None


# ------------------------------------------------------------ state


def _check_state(of: Speaker, *, write: bool = False) -> None:
    target = of.invocation.target
    if target.kind is TargetKind.SERVICE:
        raise Refusal(
            failures.PRECONDITION,
            f"{target.service} is a plain service and has no state; make it a virtual object",
        )
    if write and target.kind not in (TargetKind.OBJECT_EXCLUSIVE, TargetKind.WORKFLOW_RUN):
        raise Refusal(
            failures.PRECONDITION,
            f"{target.service}/{target.handler} is a shared handler and cannot write state",
        )


def _set_state(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_state(of, write=True)
    message = wire.SetStateCommandMessage.decode(body)
    value = b"" if message.value is None else message.value.content
    return core.SetState(type_, body, message.key, value)


def _clear_state(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_state(of, write=True)
    return core.ClearState(type_, body, wire.ClearStateCommandMessage.decode(body).key)


def _clear_all_state(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_state(of, write=True)
    wire.decode(type_, body)  # a journal that no SDK can read would fail every later attempt
    return core.ClearAllState(type_, body)


def _lazy_state(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_state(of)
    message = wire.GetLazyStateCommandMessage.decode(body)
    return core.GetLazyState(type_, body, message.key, message.result_completion_id)


def _lazy_state_keys(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_state(of)
    message = wire.GetLazyStateKeysCommandMessage.decode(body)
    return core.GetLazyStateKeys(type_, body, message.result_completion_id)


# ------------------------------------------------------------ promises, sleep


def _check_workflow(of: Speaker) -> None:
    if of.invocation.target.kind not in (TargetKind.WORKFLOW_RUN, TargetKind.WORKFLOW_SHARED):
        raise Refusal(failures.PRECONDITION, f"{of.invocation.target.service} is no workflow: no promises")


def _get_promise(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_workflow(of)
    message = wire.GetPromiseCommandMessage.decode(body)
    return core.GetPromise(type_, body, message.key, message.result_completion_id)


def _peek_promise(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_workflow(of)
    message = wire.PeekPromiseCommandMessage.decode(body)
    return core.PeekPromise(type_, body, message.key, message.result_completion_id)


def _complete_promise(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    _check_workflow(of)
    message = wire.CompletePromiseCommandMessage.decode(body)
    result = _result(message.completion, "a promise completion")
    return core.CompletePromise(type_, body, message.key, result, message.result_completion_id)


def _sleep(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    message = wire.SleepCommandMessage.decode(body)
    return core.Sleep(type_, body, _instant(message.wake_up_time), message.result_completion_id)


# ------------------------------------------------------------ other invocations


def _call(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    m = wire.CallCommandMessage.decode(body)
    request = _request(of, m, 0)
    return core.Call(
        type_,
        body,
        request,
        encode_invocation_id(request.id),
        m.invocation_id_notification_idx,
        m.result_completion_id,
    )


def _send(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    m = wire.OneWayCallCommandMessage.decode(body)
    request = _request(of, m, _instant(m.invoke_time))
    return core.Send(type_, body, request, encode_invocation_id(request.id), m.invocation_id_notification_idx)


def _request(
    of: Speaker, m: wire.CallCommandMessage | wire.OneWayCallCommandMessage, start_at: int
) -> core.StartRequest:
    handler = of.callees.catalog.handler(m.service_name, m.handler_name)
    if handler is None:
        raise Refusal(
            failures.UNKNOWN_CALLEE,
            f"no handler {m.service_name}/{m.handler_name} is registered; register its deployment",
        )
    keyed = handler.kind is not TargetKind.SERVICE
    if m.key and not keyed:
        raise Refusal(failures.PRECONDITION, f"{m.service_name} is a plain service: it takes no key")
    if m.idempotency_key == "":
        raise Refusal(failures.PRECONDITION, "the idempotency key is empty; leave it out or give one")
    if m.idempotency_key is not None and handler.kind is TargetKind.WORKFLOW_RUN:
        raise Refusal(failures.PRECONDITION, "a workflow run is idempotent by its key: no idempotency key")
    if m.scope is not None or m.limit_key is not None:
        raise Refusal(failures.FLOW_CONTROL, "scopes and limit keys are not enabled on this server")
    return of.callees.maker.make_request(
        handler,
        m.key if keyed else None,
        m.headers,
        m.parameter,
        idempotency_key=m.idempotency_key,
        start_at=start_at,
        origin=Origin(OriginKind.SERVICE, of.invocation.id, str(of.invocation.target)),
        trace_parent=of.invocation.trace_parent,
        caller=of.partition.index,
    )


def _send_signal(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    m = wire.SendSignalCommandMessage.decode(body)
    signal = m.idx if m.name is None else m.name
    if signal is None:
        raise Refusal(failures.PROTOCOL, "a signal needs an index or a name")
    return core.SendSignal(type_, body, _invocation(m.target_invocation_id), signal, _signal_result(m.result))


def _complete_awakeable(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    m = wire.CompleteAwakeableCommandMessage.decode(body)
    try:
        raw, signal = parse_awakeable_id(m.awakeable_id)
    except InvalidId as error:
        raise Refusal(failures.PRECONDITION, f"{m.awakeable_id!r} is no awakeable id: {error}") from error
    return core.SendSignal(type_, body, InvocationId(raw), signal, _result(m.result, "an awakeable"))


def _attach(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    m = wire.AttachInvocationCommandMessage.decode(body)
    return core.Attach(type_, body, _target_id(m.target), m.result_completion_id)


def _get_output(of: Speaker, type_: int, _: int, body: bytes) -> core.Item:
    m = wire.GetInvocationOutputCommandMessage.decode(body)
    return core.GetOutput(type_, body, _target_id(m.target), m.result_completion_id)


def await_tree(tree: wire.Future) -> model.Await:
    """Core's form of a wire await tree. Its depth is bounded by the codec."""
    return model.Await(
        tree.waiting_completions,
        tree.waiting_signals,
        tree.waiting_named_signals,
        tuple([await_tree(child) for child in tree.nested_futures]),
        model.Combinator(int(tree.combinator_type)),
    )


def _result(result: wire.Value | wire.Failure | None, what: str) -> model.Result:
    if isinstance(result, wire.Value):
        return model.Success(result.content)
    if isinstance(result, wire.Failure):
        return model.Failure(result.code, result.message, result.metadata)
    raise Refusal(failures.PROTOCOL, f"{what} needs a value or a failure")


def _signal_result(result: wire.Void | wire.Value | wire.Failure | None) -> model.SignalResult:
    if result is None or isinstance(result, wire.Void):
        return model.VOID
    return _result(result, "a signal")


_INSTANT_MS_MAX = 1 << 62


def _instant(epoch_ms: int) -> int:
    """A wire instant as stored: SQLite integers are signed, and anything near the bound is for ever."""
    return min(epoch_ms, _INSTANT_MS_MAX)


def _invocation(text: str) -> InvocationId:
    try:
        return InvocationId(decode_invocation_id(text))
    except InvalidId as error:
        raise Refusal(failures.PRECONDITION, f"{text!r} is no invocation id: {error}") from error


def _target_id(target: wire.InvocationTarget | None) -> InvocationId:
    match target:
        case str():
            return _invocation(target)
        case wire.WorkflowTarget(name, key, None):
            return workflow_id(name, key)
        case wire.IdempotentRequestTarget(service, key, handler, idempotency_key, None):
            return idempotent_id(service, key, handler, idempotency_key)
        case None:
            raise Refusal(failures.PROTOCOL, "the command names no invocation")
        case _:
            raise Refusal(failures.FLOW_CONTROL, "scopes are not enabled on this server")


_END = core.End()

_Translation: TypeAlias = Callable[[Speaker, int, int, bytes], core.Item | None]
_OF_TYPE: dict[MessageType, _Translation] = {
    MessageType.SUSPENSION: _suspension,
    MessageType.END: _end,
    MessageType.PROPOSE_RUN_COMPLETION: _proposal,
    MessageType.STEP_METADATA: hold,
    MessageType.AWAITING_ON: _hint,
    MessageType.OUTPUT_COMMAND: _output,
    MessageType.GET_LAZY_STATE_COMMAND: _lazy_state,
    MessageType.SET_STATE_COMMAND: _set_state,
    MessageType.CLEAR_STATE_COMMAND: _clear_state,
    MessageType.CLEAR_ALL_STATE_COMMAND: _clear_all_state,
    MessageType.GET_LAZY_STATE_KEYS_COMMAND: _lazy_state_keys,
    MessageType.GET_EAGER_STATE_COMMAND: _eager_state,
    MessageType.GET_EAGER_STATE_KEYS_COMMAND: _eager_state,
    MessageType.GET_PROMISE_COMMAND: _get_promise,
    MessageType.PEEK_PROMISE_COMMAND: _peek_promise,
    MessageType.COMPLETE_PROMISE_COMMAND: _complete_promise,
    MessageType.SLEEP_COMMAND: _sleep,
    MessageType.CALL_COMMAND: _call,
    MessageType.ONE_WAY_CALL_COMMAND: _send,
    MessageType.SEND_SIGNAL_COMMAND: _send_signal,
    MessageType.RUN_COMMAND: _run,
    MessageType.ATTACH_INVOCATION_COMMAND: _attach,
    MessageType.GET_INVOCATION_OUTPUT_COMMAND: _get_output,
    MessageType.COMPLETE_AWAKEABLE_COMMAND: _complete_awakeable,
}
TRANSLATIONS: dict[int, _Translation] = {type_.value: translate for type_, translate in _OF_TYPE.items()}
"""By plain number, since it is asked for every frame."""
