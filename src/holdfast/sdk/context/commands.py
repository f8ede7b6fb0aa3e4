"""What contexts and their handles share: issuing commands of one attempt, futures for the answers."""

from typing import Any

from holdfast.protocol.commands import SendSignalCommandMessage
from holdfast.protocol.framing import MessageType
from holdfast.protocol.results import VOID
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.serde import Reader
from holdfast.sdk.vm.machine import CANCEL_SIGNAL
from holdfast.sdk.waits import Decode, DurableFuture, IdFuture


class Commands:
    """The attempt as handler code uses it."""

    __slots__ = ("attempt", "payloads")

    def __init__(self, attempt: Attempt, payloads: Payloads) -> None:
        self.attempt = attempt
        self.payloads = payloads

    def enter(self, what: str) -> Attempt:
        """The attempt, if handler code of it is running right now; errors as in `Attempt.check_usable`."""
        attempt = self.attempt
        attempt.check_usable(what)
        return attempt

    def future(self, completion_id: int, decode: Decode, void: Any = None) -> DurableFuture[Any]:
        """A future for the answer with this id; `void` is what an answer without a value means."""
        future: DurableFuture[Any] = DurableFuture(self.attempt.loop, decode, void)
        self.attempt.wait(completion_id, future)
        return future

    def decode_with(self, serde: Reader[Any]) -> Decode:
        """Payload to value."""
        return self.payloads.decoder(serde)

    def id_future(self, completion_id: int) -> IdFuture:
        """A future for the id of an invocation."""
        future = IdFuture(self.attempt.loop)
        self.attempt.wait(completion_id, future)
        return future

    def cancel(self, invocation_id: str) -> None:
        """Cancel another invocation."""
        message = SendSignalCommandMessage(invocation_id, idx=CANCEL_SIGNAL, result=VOID)
        self.enter("cancel").issue(MessageType.SEND_SIGNAL_COMMAND, message.encode())
