"""One attempt at one invocation: handler code on its loop, between the machine and the steps' bodies.

    request bytes ──▶ Machine ──notifications, one at a time──▶ futures ──▶ DurableLoop: handler tasks
    response bytes ◀── Machine ◀──commands── context methods ◀──────────────────┘
                          ▲                      │ steps, once the replay is through
                          └──── proposals ◀── StepPort: bodies on the process's own loop

**The rule that makes replay exact.** The loop runs until it is quiet; then one notification is delivered;
then the loop runs until it is quiet; and so on. Nothing else ever wakes handler code: a step's body finishing
proposes its result, and the handler hears of it when the server has made it durable and says so, in its place
among all other notifications.

**Steps start late.** A body starts only when the loop is quiet, no notification is left and no stored command
is unmatched. Before that the journal may still say that the step is done, or was cancelled.

**Failing.** A step that fails for now ends the whole attempt, since the server decides about retries. Steps
running beside it get `STEP_GRACE_S` to finish, so that their work is journaled and not done again.

**Cancelling.** Signal 1 raises `InvocationCancelled` where the handler waits: `holdfast.sdk.cancelling`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context as Variables
from contextvars import copy_context
from itertools import chain
from typing import Any, cast

from holdfast.protocol.commands import SleepCommandMessage
from holdfast.protocol.control import ErrorMessage
from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.framing import MessageType
from holdfast.protocol.results import Failure, Value
from holdfast.protocol.state_commands import GetLazyStateCommandMessage
from holdfast.sdk.bodies import Bodies
from holdfast.sdk.call_site import await_site, call_site
from holdfast.sdk.cancelling import CallInFlight, Cancellation
from holdfast.sdk.errors import AttemptEnded, UsageError
from holdfast.sdk.gathers import gathered
from holdfast.sdk.loop.durable_loop import DurableLoop, DurableTimer, get_running_loop
from holdfast.sdk.port import NOBODY, AttemptPort
from holdfast.sdk.reports import (
    argument_too_large,
    cancelled_itself,
    deadlock,
    mismatch,
    misused,
    report_of,
    result_too_large,
    step_result_too_large,
    step_undescribed,
    terminal_of,
    unreadable,
)
from holdfast.sdk.steps import PendingStep
from holdfast.sdk.taking_down import take_down
from holdfast.sdk.vm.machine import (
    CANCEL_SIGNAL,
    CODE_PROTOCOL_VIOLATION,
    Machine,
    MessageTooLarge,
    Mismatch,
)
from holdfast.sdk.waiting import Waiting
from holdfast.sdk.waits import failure_of

STEP_GRACE_S = 5.0
PAST_EXCEPT = "the handler raised past `except Exception`: "


HandlerMain = Callable[["Attempt"], Coroutine[Any, Any, bytes]]
"""Decodes the input, runs the handler, encodes its result; raises what the handler raised."""


class Attempt(Waiting):
    """See the module's text. Feed it with `receive`, `close_input`, `abandon` and the steps' reports.

    Args:
        main: started once the replay is here.
        variables: the context variables handler code starts with.
    """

    def __init__(
        self,
        machine: Machine,
        port: AttemptPort,
        main: HandlerMain,
        variables: Variables | None = None,
    ) -> None:
        super().__init__()
        self.machine = machine
        # typeshed calls every method abstract that a loop may lack; those that it lacks refuse, by name.
        self.loop = DurableLoop(self)  # type: ignore[abstract]
        self._port = port
        self._main = main
        self._variables = variables
        self._task: asyncio.Task[bytes] | None = None
        self._cancellation = Cancellation()
        self._bodies = Bodies(machine, port)
        self._failing: ErrorMessage | None = None
        self._told_awaited: tuple[tuple[int, ...], tuple[str, ...]] = (), ()

    # From outside.

    @property
    def failure(self) -> ErrorMessage | None:
        """What the server is told of a failed attempt; None when it did not fail."""
        return self._failing

    @property
    def ended(self) -> bool:
        """Whether the last frame has been written (or nobody reads any more)."""
        return self.machine.ended

    @property
    def steps_running(self) -> int:
        """Bodies under way."""
        return len(self._bodies.running)

    def receive(self, data: bytes) -> None:
        """A piece of the request body."""
        machine = self.machine
        if machine.ended:
            return
        try:
            machine.receive(data)
        except ProtocolError as error:
            self._protocol_error(error)
            return
        if machine.ready:
            self._pump()

    def close_input(self) -> None:
        """The request body ended: from here on a wait is a suspension."""
        machine = self.machine
        if machine.ended:
            return
        try:
            machine.close_input()
        except ProtocolError as error:
            self._protocol_error(error)
            return
        self._pump()

    def abandon(self) -> None:
        """The connection is gone: stop everything, write nothing."""
        self.machine.ended = True
        self._take_down()

    def give_up(self, report: ErrorMessage) -> None:
        """The process cannot go on with it: stop everything, send what it has journaled and the report."""
        if self._failing is None:
            self._failing = report
        self._fail_now()

    def release(self) -> None:
        """Nothing more comes or goes: let go of what refers back to this attempt. Without cycles it is freed
        at once, and the garbage collector has nothing to look through."""
        self._task = None
        self._port = self._bodies.port = NOBODY
        self.loop.release()

    def step_returned(
        self, step: PendingStep, result: bytes | Failure, metadata: bytes | UsageError | None = None
    ) -> None:
        """A body finished, with its result or for good without one.

        Args:
            metadata: what the result tells about the step. An error instead fails the attempt, after the
                result, which is kept: what was done and paid for is not done again over a few words about it.
        """
        if not self._bodies.reported(step) or self.machine.ended:
            return
        told = None if isinstance(metadata, UsageError) else metadata
        try:
            self.machine.propose(step.completion_id, result, told)
        except MessageTooLarge as error:
            self._fail_attempt(step_result_too_large(step, error))
        if isinstance(metadata, UsageError):
            self._fail_attempt(step_undescribed(step, metadata))
        self._after_step()

    def step_raised(self, step: PendingStep, error: Exception) -> None:
        """A body failed for now."""
        if not self._bodies.reported(step) or self.machine.ended:
            return
        failure = self._bodies.failed(step, error)
        if isinstance(failure, ErrorMessage):
            self._fail_attempt(failure)
        else:
            self.machine.propose(step.completion_id, failure_of(failure))
        self._after_step()

    def _after_step(self) -> None:
        if self._failing is not None:
            self._settle_failure()
        elif self.machine.input_closed and not self._bodies.running:
            self._pump()
        self._port.flush()

    # The pump.

    def _pump(self) -> None:
        """Run the handler as far as it can go."""
        loop = self.loop
        loop.driven = True
        try:
            self._drive(self._task or self._start())
        except ProtocolError as error:
            self._protocol_error(error)
        except Mismatch as error:
            self._mismatch(error)
        except AttemptEnded as error:
            # From a callback outside any task. It has been failing already, unless handler code raised this.
            self._fail_attempt(report_of(error))
        except BaseException as error:
            # A callback of the user's may raise anything, and a task that raises SystemExit or
            # KeyboardInterrupt raises it here as well. The attempt fails, the process goes on.
            self._fail_attempt(report_of(error, PAST_EXCEPT if not isinstance(error, Exception) else ""))
        finally:
            loop.driven = False
        if self._failing is not None:
            self._settle_failure()
        self._port.flush()

    def _start(self) -> "asyncio.Task[bytes]":
        variables = copy_context() if self._variables is None else self._variables
        self._task = task = asyncio.Task(self._main(self), loop=self.loop, name="handler", context=variables)
        return task

    def _drive(self, task: "asyncio.Task[bytes]") -> None:
        machine, loop, bodies = self.machine, self.loop, self._bodies
        while True:
            loop.run_until_quiet()
            if self._failing is not None or machine.ended:
                return
            if task.done():
                self._finish(task)
                return
            if self._cancellation.active and self._cancellation.carry_out(
                machine, self.awaited(), (*reversed(loop.open_tasks()), task)
            ):
                self._bodies.drop_unwanted()
                continue
            notification = machine.next_notification()
            if notification is None:
                break
            if notification.signal_id == CANCEL_SIGNAL:
                self._cancellation.signalled()
                continue
            if (bodies.pending or bodies.running) and notification.completion_id is not None:
                bodies.drop(notification.completion_id)
            try:
                self.deliver(notification)
            except Exception as error:
                # A serde or a codec of the user's may raise anything.
                self._fail_attempt(unreadable(error, await_site(task)))
                return
        if machine.replaying:
            raise Mismatch(
                f"  in the journal: {machine.next_stored()}\n"
                f"  in the code:    waits for something that never came before this, at {await_site(task)}"
            )
        if bodies.pending:
            bodies.start()
        if machine.input_closed and not bodies.running:
            self._suspend()
        elif self.waits_for_signals:
            self._say_what_is_awaited()

    def _say_what_is_awaited(self) -> None:
        """An approval should be seen while the attempt still runs, not only once it has suspended."""
        _, signals, names = self.awaited_ids([])
        if (signals, names) != self._told_awaited:
            self._told_awaited = signals, names
            if signals or names:  # a tree of nothing is a violation of the protocol to other servers
                self.machine.await_on(signals, names)

    # For contexts: called by handler code, on the loop.

    def check_usable(self, what: str) -> None:
        """Refuse a context method called where it cannot be journaled.

        Raises:
            UsageError: `context_in_step`, `context_after_end`: called in a step's body, in another thread or
                task of the process's own loop, or when the handler has returned.
            AttemptEnded: the attempt is being taken down.
        """
        machine = self.machine
        if get_running_loop() is not self.loop and not machine.deaf:
            raise misused(what, machine.ended)
        if machine.ended or self._failing is not None or self.loop.ending:
            if not self.loop.refuses():
                machine.deaf = True
                return
            raise AttemptEnded

    def issue(self, type_: MessageType, body: bytes) -> bool:
        """`Machine.issue`, unwinding the handler when the journal holds something else."""
        try:
            return self.machine.issue(type_, body)
        except Mismatch as error:
            self._mismatch(error)
        except MessageTooLarge as error:
            raise argument_too_large(error) from None
        raise AttemptEnded

    def take_stored(self, types: frozenset[MessageType]) -> tuple[int, bytes] | None:
        """`Machine.take_stored`, likewise."""
        try:
            return self.machine.take_stored(types)
        except Mismatch as error:
            self._mismatch(error)
        raise AttemptEnded

    def unreadable(self, error: Exception) -> None:
        """As of `Waiting`."""
        self._fail_attempt(unreadable(error, call_site()))

    def add_call(self, call: CallInFlight) -> None:
        """Cancel it when this invocation is cancelled."""
        self._cancellation.add_call(call)

    def add_step(self, step: PendingStep) -> None:
        """A step was issued; its body starts when the replay is through."""
        self.wait(step.completion_id, step.future)  # type: ignore[arg-type]
        if not step.future.done():
            self._bodies.pending[step.completion_id] = step

    def start_timer(self, timer: DurableTimer, delay_s: float) -> None:
        """`DurableTimers`: what `call_later` of the loop comes to."""
        self.check_usable("asyncio.sleep or timeout")
        self.wait_timer(self.issue_sleep(delay_s, ""), timer)

    def issue_sleep(self, delay_s: float, name: str) -> int:
        """A sleep command; answers its completion id."""
        completion_id = self.machine.new_completion_id()
        wake_up_ms = self._port.now_ms() + max(round(delay_s * 1000), 0)
        self.issue(MessageType.SLEEP_COMMAND, SleepCommandMessage(wake_up_ms, completion_id, name).encode())
        return completion_id

    def check_state_key(self, stored: tuple[int, bytes], key: bytes) -> None:
        """A stored state read must be of the same key."""
        read = GetLazyStateCommandMessage.decode(stored[1])
        if read.key != key:
            self._mismatch(
                Mismatch(
                    f"  in the journal: reads state {read.key.decode('utf-8', 'replace')!r}\n"
                    f"  in the code:    reads state {key.decode('utf-8', 'replace')!r}"
                )
            )
            raise AttemptEnded

    def now_ms(self) -> int:
        """The wall clock, epoch ms: for times the server is told, which replays do not compare."""
        return self._port.now_ms()

    def run_step(self, name: str, metadata: bytes | None = None) -> int:
        """A run command; answers its completion id."""
        try:
            return self.machine.run(name, metadata)
        except Mismatch as error:
            self._mismatch(error)
        except MessageTooLarge as error:
            raise argument_too_large(error) from None
        raise AttemptEnded

    def cancel_step(self, completion_id: int) -> None:
        """The handler no longer wants this step's result."""
        self._bodies.drop(completion_id)

    # Ends.

    def _finish(self, task: "asyncio.Task[bytes]") -> None:
        """The handler's main task is done: its result is the invocation's."""
        if task.cancelled():
            self._fail_attempt(cancelled_itself())
            return
        error = task.exception()
        if error is None:
            self._end(Value(task.result()))
        elif (terminal := terminal_of(error)) is not None:
            self._end(failure_of(terminal))
        elif isinstance(error, Exception):
            report = report_of(error)
            if self.machine.command_index:
                index, name, type_ = self.machine.related_command()
                report.related_command_index = index
                report.related_command_name = name
                report.related_command_type = type_
            self._fail_attempt(report)
        else:
            self._fail_attempt(report_of(error, PAST_EXCEPT))

    def _end(self, result: Value | Failure) -> None:
        try:
            self.machine.finish(result)
        except MessageTooLarge as error:
            self._fail_attempt(result_too_large(error))
            return
        self._take_down()

    def _suspend(self) -> None:
        """Nothing can go on before something comes: name what, and end the attempt."""
        completions, signals, names = self.awaited_ids(self._cancellation.ids_missing())
        if not (completions or signals or names):
            self._fail_attempt(deadlock(cast("asyncio.Task[bytes]", self._task)))
            return
        groups = self.ids_of(gathered(self._open_tasks()))
        grouped = set(chain.from_iterable(groups))
        single = tuple([completion_id for completion_id in completions if completion_id not in grouped])
        self.machine.suspend(single, (*signals, CANCEL_SIGNAL), names, groups)
        self._take_down()

    def _open_tasks(self) -> "list[asyncio.Task[Any]]":
        return self.loop.open_tasks() if self._task is None else [self._task, *self.loop.open_tasks()]

    def _fail_attempt(self, report: ErrorMessage) -> None:
        """Stop driving the handler; the report goes out when steps under way had their grace."""
        if self._failing is not None or self.machine.ended:
            return
        self._failing = report
        self._bodies.drop_unwanted()
        if self._bodies.running:
            self._port.call_later(STEP_GRACE_S, self._fail_now)

    def _settle_failure(self) -> None:
        if not self._bodies.running:
            self._fail_now()

    def _fail_now(self) -> None:
        if self._failing is not None and not self.machine.ended:
            self.machine.fail(self._failing)
            self._take_down()
            self._port.flush()

    def _protocol_error(self, error: ProtocolError) -> None:
        self._failing = ErrorMessage(CODE_PROTOCOL_VIOLATION, f"{error.message} [{error.code}]")
        self._fail_now()

    def _mismatch(self, error: Mismatch) -> None:
        if self._failing is not None:
            return
        where = call_site() if get_running_loop() is self.loop else ""
        self._failing = mismatch(self.machine.command_index, error.text, where)

    def _take_down(self) -> None:
        self._bodies.drop_all()
        take_down(self.loop, self._task)
        self._waits.clear()
        self._cancellation.forget()
