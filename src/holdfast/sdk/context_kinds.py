"""What the decorators know about contexts: that a class is one, and what it allows.

The context classes themselves are built on handlers, so handlers know them only by this mark:

    class ObjectContext(SharedObjectContext):
        kind = ContextKind.OBJECT
"""

from enum import StrEnum
from typing import ClassVar


class ContextKind(StrEnum):
    """What a handler may do with its context; the values are the public class names."""

    SERVICE = "Context"
    OBJECT = "ObjectContext"
    SHARED_OBJECT = "SharedObjectContext"
    WORKFLOW = "WorkflowContext"
    SHARED_WORKFLOW = "SharedWorkflowContext"


class ContextBase:
    """Mark of every context class; a first parameter annotated with one receives the context."""

    __slots__ = ()
    kind: ClassVar[ContextKind]
