"""One of everything: an invocation in every status, an object with state and inbox, a workflow's promise."""

from __future__ import annotations

from dataclasses import dataclass

from query.world import DAY_MS, World, text_of

from holdfast.core.commands import (
    AttemptError,
    Call,
    CompletePromise,
    Described,
    End,
    GetPromise,
    Output,
    Plain,
    RunProposal,
    SetState,
    Sleep,
    Suspend,
)
from holdfast.core.model import (
    AttemptFailure,
    Await,
    Failure,
    InvocationId,
    Origin,
    OriginKind,
    RetryPolicy,
    Success,
    TargetKind,
)
from holdfast.core.records import Pause
from holdfast.protocol.messages import (
    CallCommandMessage,
    CompletePromiseCommandMessage,
    GetPromiseCommandMessage,
    InputCommandMessage,
    OutputCommandMessage,
    RunCommandMessage,
    SetStateCommandMessage,
    SleepCommandMessage,
    Value,
)
from holdfast.protocol.messages import Failure as WireFailure
from holdfast.query.runner import LiveAttempt

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
INPUT = InputCommandMessage((("accept", "*/*"),), "", Value(b'"hi"')).encode()


@dataclass(frozen=True)
class Story:
    """Ids by what became of the invocation."""

    deployment: str
    done: InvocationId
    failed: InvocationId
    suspended: InvocationId
    running: InvocationId
    ready: InvocationId
    backing_off: InvocationId
    paused: InvocationId
    scheduled: InvocationId
    holder: InvocationId
    pending: InvocationId
    run: InvocationId
    derived: InvocationId
    caller: InvocationId
    callee: InvocationId

    @property
    def texts(self) -> dict[str, str]:
        """The printable ids by name."""
        ids = {name: getattr(self, name) for name in self.__slots_names() if name != "deployment"}
        return {name: text_of(id_) for name, id_ in ids.items()}

    def __slots_names(self) -> list[str]:
        return list(self.__dataclass_fields__)


def _output(value: bytes) -> Output:
    return Output(0x401, OutputCommandMessage("", Value(value)).encode(), Success(value))


def _failure(code: int, message: str) -> Output:
    raw = OutputCommandMessage("", WireFailure(code, message)).encode()
    return Output(0x401, raw, Failure(code, message))


def _sleep(at: int, completion: int) -> Sleep:
    return Sleep(0x40C, SleepCommandMessage(at, completion).encode(), at, completion)


def _boom(world: World) -> AttemptError:
    failure = AttemptFailure(500, "boom", "RT0007", "at line 1", 1, "step", "Run")
    return AttemptError(failure, RetryPolicy(initial_ms=60_000), 0.0)


def tell(world: World) -> Story:
    """Let it all happen."""
    deployment = world.register("Greeter", "Counter", "Flow")

    def greeter(handler: str, **options: object) -> object:
        return world.request(f"Greeter/{handler}", input_raw=INPUT, **options)  # type: ignore[arg-type]

    def started(handler: str, *items: object, **options: object) -> InvocationId:
        request = greeter(handler, **options)
        world.start(request)  # type: ignore[arg-type]
        if items:
            world.report(request, *items, deployment=deployment)  # type: ignore[arg-type]
        return request.id  # type: ignore[attr-defined, no-any-return]

    step = Plain(0x411, RunCommandMessage(1, "step").encode(), 1)
    ran = RunProposal(1, Success(b'{"v":1}'), True)

    def about(item: Plain | RunProposal, metadata: bytes) -> Described:
        return Described(item, 1, metadata, RetryPolicy(), 0.0)

    asked = about(step, b'{"kind":"model","model":"m-1","tokens_in":"many"}')
    answered = about(ran, b'{"tokens_in":7,"tokens_out":3}')
    done = started("greet", asked, answered, _output(b'"hi"'), End(), trace_parent=TRACE)
    failed = started("fail", _failure(409, "Cancelled"), End())
    asleep = Suspend(Await((1,), (1, 17), ("mysig",)), 2)
    suspended = started("awk", _sleep(world.now_ms + DAY_MS, 1), asleep)
    running = started("busy", step)
    ready = started("new")
    backing_off = started("throws", step, _boom(world))
    paused = started("stuck", step, _boom(world))
    world.apply(paused, Pause(world.tick(), paused))
    scheduled = started("later", start_at=world.now_ms + DAY_MS)
    derived = started("once", _output(b"1"), End(), derived=b"idempotent-once!", idempotency_key="k-1")

    add = [world.request("Counter/k2/add", input_raw=INPUT) for _ in range(2)]
    for request in add:
        world.start(request)
    states = [
        SetState(0x403, SetStateCommandMessage(key, Value(value)).encode(), key, value)
        for key, value in ((b"c", b"1"), (b"bin", b"\xff\x00"))
    ]
    world.report(add[0], *states, deployment=deployment)

    run = world.request("Flow/w1/run", input_raw=INPUT, kind=TargetKind.WORKFLOW_RUN)
    world.start(run)
    promise = CompletePromiseCommandMessage("p", Value(b'{"z":1}'), 1)
    later = GetPromiseCommandMessage("q", 2)
    world.report(
        run,
        CompletePromise(0x40B, promise.encode(), "p", Success(b'{"z":1}'), 1),
        GetPromise(0x409, later.encode(), "q", 2),
        Suspend(Await((2,)), 3),
        deployment=deployment,
    )

    caller = world.request("Greeter/calls", input_raw=INPUT)
    world.start(caller)
    callee = world.request(
        "Greeter/greet", input_raw=INPUT, origin=Origin(OriginKind.SERVICE, caller.id, "Greeter/calls")
    )
    call = CallCommandMessage("Greeter", "greet", b'"hi"', (), "", None, None, None, 1, 2)
    id_text = text_of(callee.id)
    world.report(
        caller,
        Call(0x40D, call.encode(), callee, id_text, 1, 2),
        Suspend(Await((2,)), 3),
        deployment=deployment,
    )
    world.live = [
        LiveAttempt(running, True, 0, world.now_ms, None, deployment, "restate-sdk-x/1", '{"x":1}'),
    ]
    return Story(
        deployment, done, failed, suspended, running, ready, backing_off, paused, scheduled,
        add[0].id, add[1].id, run.id, derived, caller.id, callee.id,
    )  # fmt: skip
