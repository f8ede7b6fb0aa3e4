"""From a handler and its app to an attempt ready to be fed."""

from collections.abc import Mapping
from typing import Any

from holdfast.protocol.framing import MESSAGE_BYTES_MAX
from holdfast.sdk.attempt import Attempt, HandlerMain
from holdfast.sdk.context.kinds import make_context
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.context.variable import enter
from holdfast.sdk.errors import DeserializeError, TerminalError
from holdfast.sdk.handlers import Handler
from holdfast.sdk.port import AttemptPort
from holdfast.sdk.strict import MakeLoop
from holdfast.sdk.vm.machine import Machine

BAD_INPUT = 400


def make_attempt(
    handler: Handler[Any, Any],
    version: int,
    payloads: Payloads,
    port: AttemptPort,
    attempt_headers: Mapping[str, str],
    max_message_bytes: int = MESSAGE_BYTES_MAX,
    make_loop: MakeLoop | None = None,
) -> Attempt:
    """An attempt of this handler; nothing runs before its replay has been fed.

    Args:
        make_loop: its loop where that is not the plain one (`strict.loop_maker`).
    """
    machine = Machine(version, payloads.raw, max_message_bytes, attempt_headers)
    attempt = Attempt(machine, port, _main(handler, payloads, attempt_headers))
    if make_loop is not None:
        attempt.loop = make_loop(attempt, handler.function)
    return attempt


def _main(handler: Handler[Any, Any], payloads: Payloads, attempt_headers: Mapping[str, str]) -> HandlerMain:
    name = f"{handler.service.name}/{handler.name}"

    async def main(attempt: Attempt) -> bytes:
        context = make_context(handler.service.type, handler.type, attempt, name, payloads, attempt_headers)
        enter(context)
        try:
            arguments = handler.arguments(context, payloads.raw(attempt.machine.input_content))
        except DeserializeError as error:
            raise TerminalError(f"the input of {name} does not fit: {error.message}", BAD_INPUT) from None
        result = await handler.function(*arguments)
        return payloads.encode(handler.output, result, f"the result of {name} ({handler.source})")

    return main
