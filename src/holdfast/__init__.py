"""Holdfast: durable execution for AI agents and services.

The public names, each loaded when it is first used: importing `holdfast` alone costs next to nothing, a
client does not load what handlers need, and the server loads neither.
"""

from typing import TYPE_CHECKING

from holdfast.sdk.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from holdfast.client import Client as Client
    from holdfast.client import SyncClient as SyncClient
    from holdfast.client.errors import InvocationFailed as InvocationFailed
    from holdfast.sdk.allowing import allow_unrecorded as allow_unrecorded
    from holdfast.sdk.context import Awakeable as Awakeable
    from holdfast.sdk.context import CallFuture as CallFuture
    from holdfast.sdk.context import Context as Context
    from holdfast.sdk.context import DurablePromise as DurablePromise
    from holdfast.sdk.context import InvocationHandle as InvocationHandle
    from holdfast.sdk.context import ObjectContext as ObjectContext
    from holdfast.sdk.context import Request as Request
    from holdfast.sdk.context import SendHandle as SendHandle
    from holdfast.sdk.context import SharedObjectContext as SharedObjectContext
    from holdfast.sdk.context import SharedWorkflowContext as SharedWorkflowContext
    from holdfast.sdk.context import WorkflowContext as WorkflowContext
    from holdfast.sdk.context import current as current
    from holdfast.sdk.endpoint.lambda_handler import lambda_handler as lambda_handler
    from holdfast.sdk.endpoint.make import app as app
    from holdfast.sdk.errors import InvocationCancelled as InvocationCancelled
    from holdfast.sdk.errors import PauseError as PauseError
    from holdfast.sdk.errors import RetryableError as RetryableError
    from holdfast.sdk.errors import SerdeError as SerdeError
    from holdfast.sdk.errors import TerminalError as TerminalError
    from holdfast.sdk.errors import UsageError as UsageError
    from holdfast.sdk.handlers import Handler as Handler
    from holdfast.sdk.logs import ReplayFilter as ReplayFilter
    from holdfast.sdk.options import InvocationRetry as InvocationRetry
    from holdfast.sdk.remote import remote as remote
    from holdfast.sdk.retry import Retry as Retry
    from holdfast.sdk.saga import Saga as Saga
    from holdfast.sdk.saga import saga as saga
    from holdfast.sdk.serde.api import Codec as Codec
    from holdfast.sdk.serde.api import Serde as Serde
    from holdfast.sdk.services import Service as Service
    from holdfast.sdk.services import VirtualObject as VirtualObject
    from holdfast.sdk.services import Workflow as Workflow
    from holdfast.sdk.steps import Step as Step
    from holdfast.sdk.steps import step as step

_HOMES = {
    "Awakeable": "holdfast.sdk.context",
    "CallFuture": "holdfast.sdk.context",
    "Client": "holdfast.client",
    "Codec": "holdfast.sdk.serde.api",
    "Context": "holdfast.sdk.context",
    "DurablePromise": "holdfast.sdk.context",
    "Handler": "holdfast.sdk.handlers",
    "InvocationCancelled": "holdfast.sdk.errors",
    "InvocationFailed": "holdfast.client.errors",
    "InvocationHandle": "holdfast.sdk.context",
    "InvocationRetry": "holdfast.sdk.options",
    "ObjectContext": "holdfast.sdk.context",
    "PauseError": "holdfast.sdk.errors",
    "ReplayFilter": "holdfast.sdk.logs",
    "Request": "holdfast.sdk.context",
    "Retry": "holdfast.sdk.retry",
    "RetryableError": "holdfast.sdk.errors",
    "Saga": "holdfast.sdk.saga",
    "SendHandle": "holdfast.sdk.context",
    "Serde": "holdfast.sdk.serde.api",
    "SerdeError": "holdfast.sdk.errors",
    "Service": "holdfast.sdk.services",
    "SharedObjectContext": "holdfast.sdk.context",
    "SharedWorkflowContext": "holdfast.sdk.context",
    "Step": "holdfast.sdk.steps",
    "SyncClient": "holdfast.client",
    "TerminalError": "holdfast.sdk.errors",
    "UsageError": "holdfast.sdk.errors",
    "VirtualObject": "holdfast.sdk.services",
    "Workflow": "holdfast.sdk.services",
    "WorkflowContext": "holdfast.sdk.context",
    "allow_unrecorded": "holdfast.sdk.allowing",
    "app": "holdfast.sdk.endpoint.make",
    "current": "holdfast.sdk.context",
    "lambda_handler": "holdfast.sdk.endpoint.lambda_handler",
    "remote": "holdfast.sdk.remote",
    "saga": "holdfast.sdk.saga",
    "step": "holdfast.sdk.steps",
}
"""Public name to the module that defines it; the block above says the same to type checkers."""


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
