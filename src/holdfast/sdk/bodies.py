"""The bodies of one attempt's steps: those that may have to start, those under way, what a failure means."""

from holdfast.protocol.control import ErrorMessage
from holdfast.protocol.framing import MessageType
from holdfast.sdk.errors import RetryableError, TerminalError
from holdfast.sdk.port import AttemptPort
from holdfast.sdk.reports import exhausted, report_of
from holdfast.sdk.steps import PendingStep
from holdfast.sdk.vm.machine import Machine


class Bodies:
    """Steps by completion id.

    Attributes:
        pending: issued; their results may yet be in the journal.
        running: under way in the process.
        port: who runs them.
    """

    __slots__ = ("_any_started", "_machine", "pending", "port", "running")

    def __init__(self, machine: Machine, port: AttemptPort) -> None:
        self.port = port
        self.pending: dict[int, PendingStep] = {}
        self.running: dict[int, PendingStep] = {}
        self._machine = machine
        self._any_started = False

    def start(self) -> None:
        """The replay is through: what is still pending has no result yet."""
        pending, self.pending = self.pending, {}
        for completion_id, step in pending.items():
            if step.future.done():
                continue
            if step.spec.retry is not None:
                self._count_retries(step)
            self._any_started = True
            self.running[completion_id] = step
            self.port.start_step(step)

    def drop(self, completion_id: int) -> None:
        """Nobody needs this body: its result is here, or no longer wanted. Unknown ids are ignored.

        A result can be here although the body runs: an earlier attempt was cut off while its proposal was
        under way.
        """
        self.pending.pop(completion_id, None)
        step = self.running.pop(completion_id, None)
        if step is not None:
            self.port.stop_step(step)

    def drop_unwanted(self) -> None:
        """Stop bodies whose futures were completed otherwise."""
        for completion_id in [key for key, step in self.running.items() if step.future.done()]:
            self.drop(completion_id)

    def drop_all(self) -> None:
        """The attempt is over."""
        self.pending.clear()
        running, self.running = self.running, {}
        for step in running.values():
            self.port.stop_step(step)

    def reported(self, step: PendingStep) -> bool:
        """A body has ended; answers whether it is still of interest."""
        return self.running.pop(step.completion_id, None) is not None

    def failed(self, step: PendingStep, error: Exception) -> ErrorMessage | TerminalError:
        """What a body that failed for now comes to: the attempt's failure, or the step's, for good, when its
        retry policy is used up."""
        delay_ms = None
        if step.spec.retry is not None:
            elapsed_ms = self.port.now_ms() - step.started_ms
            if step.retry_count:
                elapsed_ms += self._machine.start.duration_since_last_stored_entry
            delay_ms = step.spec.retry.next_delay_ms(step.retry_count + 1, elapsed_ms)
            if delay_ms is None:
                return exhausted(step, error)
        if isinstance(error, RetryableError) and error.retry_after is not None:
            delay_ms = round(error.retry_after * 1000)
        report = report_of(error, f"step {step.name}: ")
        report.related_command_index = step.command_index
        report.related_command_name = step.name
        report.related_command_type = int(MessageType.RUN_COMMAND)
        report.next_retry_delay = delay_ms
        return report

    def _count_retries(self, step: PendingStep) -> None:
        """How often it was started before, as far as Start tells.

        Every failed attempt since the last command was stored has started every stored step that is open, so
        the server's count is each one's. If none is open, it is the first new command's, which may have been
        lost on its way.
        """
        machine = self._machine
        first_new = machine.command_index - machine.new_commands + 1
        if step.command_index < first_new or (step.command_index == first_new and not self._any_started):
            step.retry_count = machine.start.retry_count_since_last_stored_entry
        step.started_ms = self.port.now_ms()
