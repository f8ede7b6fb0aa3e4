"""What an attempt says when something goes wrong: reports for the server, errors for the handler."""

import asyncio
import traceback
from typing import cast

from holdfast.protocol.control import ErrorBehavior, ErrorMessage
from holdfast.protocol.framing import MessageType
from holdfast.sdk.call_site import await_site, call_site
from holdfast.sdk.errors import PauseError, RetryableError, TerminalError, UsageError
from holdfast.sdk.steps import PendingStep
from holdfast.sdk.vm.machine import CODE_INTERNAL, CODE_JOURNAL_MISMATCH, MessageTooLarge

STACK_CHARS_MAX = 16 * 1024
"""A stack trace travels to the server and is stored with the failure."""

TEXT_CHARS_MAX = 16 * 1024
"""Likewise the text of an error, which may be a whole response somebody put into an exception."""


def terminal_of(error: BaseException) -> TerminalError | None:
    """The terminal error that an exception amounts to: itself, or a group with nothing but such."""
    if isinstance(error, TerminalError):
        return error
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        inner = [terminal_of(one) for one in group.exceptions]
        found = [one for one in inner if one is not None]
        if len(found) == len(inner):
            return found[0]
    return None


def exhausted(step: PendingStep, error: Exception) -> TerminalError:
    """What a step fails with when its retry policy is used up."""
    return TerminalError(f"step {step.name} failed for the last time: {_text(error)}", code=CODE_INTERNAL)


def report_of(error: BaseException, prefix: str = "") -> ErrorMessage:
    """The failed attempt as the server is told of it: text, stack, and when to try again."""
    stack = "".join(traceback.format_exception(error))
    delay_ms = None
    if isinstance(error, RetryableError) and error.retry_after is not None:
        delay_ms = round(error.retry_after * 1000)
    return ErrorMessage(
        CODE_INTERNAL,
        f"{prefix}{_text(error)}",
        stack[-STACK_CHARS_MAX:],
        next_retry_delay=delay_ms,
        behavior=ErrorBehavior.PAUSE if isinstance(error, PauseError) else ErrorBehavior.RETRY,
    )


def _text(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = f"{type(error).__name__} (its text cannot be had: its __str__ raises)"
    return text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX] + "..."


def unreadable(error: Exception, where: str) -> ErrorMessage:
    """A result that came cannot be read as the type it was asked for with.

    Args:
        where: the handler waits for it, in the user's code; may be empty.
    """
    at = f", awaited at {where}" if where else ""
    return report_of(error, f"a result in the journal cannot be read{at}: ")


def cancelled_itself() -> ErrorMessage:
    """The handler's own task was cancelled, by nobody but itself."""
    return ErrorMessage(
        CODE_INTERNAL,
        "the handler ended with asyncio.CancelledError, which it or a library raised itself; a cancelled "
        "invocation raises holdfast.InvocationCancelled instead",
    )


def deadlock(task: "asyncio.Task[bytes]") -> ErrorMessage:
    """Handler code waits, and not for anything durable."""
    return ErrorMessage(
        CODE_INTERNAL,
        "the handler waits for something that nothing can complete: every task waits for another one, or for "
        "an Event, Queue or Lock that no running task will touch (a deadlock). It waits at "
        f"{await_site(task)}",
    )


def mismatch(index: int, difference: str, where: str) -> ErrorMessage:
    """The handler asked for something else than its journal holds.

    Args:
        index: of the command.
        where: in the user's code; empty when it was no command that it asked for.
    """
    return ErrorMessage(
        CODE_JOURNAL_MISMATCH,
        f"the handler does not match its journal at command {index}:\n{difference}\n"
        + (f"  asked for at:   {where}\n" if where else "")
        + "The code changed while this invocation was running, or it is not deterministic. Either deploy the "
        "old code again under its own address so that the invocation can finish there, restart the "
        "invocation as new, or keep clocks, randomness and unrecorded I/O inside steps (ctx.run)",
        related_command_index=index,
    )


def misused(what: str, ended: bool) -> UsageError:
    """A context method where nothing can be journaled."""
    where = call_site()
    at = f" (at {where})" if where else ""
    if ended:
        return UsageError(
            "context_after_end",
            f"{what} was called after the handler had ended{at}; await everything a handler starts before it "
            "returns, and do not keep its context",
        )
    return UsageError(
        "context_in_step",
        f"{what} was called outside the handler's own code{at}: in a step, a thread or a task of another "
        "event loop, where nothing can be journaled. Call it in the handler and hand the step what it needs",
    )


def argument_too_large(error: MessageTooLarge) -> UsageError:
    """A command larger than one message may be."""
    return UsageError(
        "value_too_large",
        f"{error}. Pass a reference (a key, a URL) and keep the data elsewhere",
    )


def result_too_large(error: MessageTooLarge) -> ErrorMessage:
    """The handler's result, or the failure it ended with, is larger than one message may be."""
    return ErrorMessage(
        CODE_INTERNAL,
        f"the handler's result: {error}. Return a reference (a key, a URL) and keep the data elsewhere",
    )


def step_result_too_large(step: PendingStep, error: MessageTooLarge) -> ErrorMessage:
    """A result larger than one message may be."""
    return ErrorMessage(
        CODE_INTERNAL,
        f"step {step.name} returned {error.size} bytes; the limit is {error.limit}. Return a "
        "reference (a key, a URL) and keep the data elsewhere",
        related_command_index=step.command_index,
        related_command_name=step.name,
        related_command_type=int(MessageType.RUN_COMMAND),
    )


def step_undescribed(step: PendingStep, error: UsageError) -> ErrorMessage:
    """Its `describe` raised. Its result is journaled."""
    report = report_of(error)
    report.related_command_index = step.command_index
    report.related_command_name = step.name
    report.related_command_type = int(MessageType.RUN_COMMAND)
    return report
