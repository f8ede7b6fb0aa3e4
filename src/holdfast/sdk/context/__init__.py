"""What handler code talks to: `Context` and its kinds, and the handles that its methods give.

Owns      the public methods of handlers; each is a command (or a few) and a future for its answer.
Promises  a method issues its command when it is called, not when its result is awaited, so two calls in a row
          run side by side; what it gives is awaitable, and a future of the handler's own `asyncio` loop.
Never     does I/O, and never blocks.
"""

from holdfast.sdk.context.ambient import current
from holdfast.sdk.context.base import Context
from holdfast.sdk.context.handles import (
    Awakeable,
    CallFuture,
    DurablePromise,
    InvocationHandle,
    SendHandle,
    SignalHandle,
)
from holdfast.sdk.context.kinds import (
    ObjectContext,
    SharedObjectContext,
    SharedWorkflowContext,
    WorkflowContext,
)
from holdfast.sdk.context.request import Request

__all__ = [
    "Awakeable",
    "CallFuture",
    "Context",
    "DurablePromise",
    "InvocationHandle",
    "ObjectContext",
    "Request",
    "SendHandle",
    "SharedObjectContext",
    "SharedWorkflowContext",
    "SignalHandle",
    "WorkflowContext",
    "current",
]
