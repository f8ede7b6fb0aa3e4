"""Clients for programs outside of handlers: call, send, attach, complete awakeables.

Owns      the ingress seen from its callers (protocol, section 7): requests, answers, what may be sent twice.
Promises  typed results for typed handlers; a request is repeated only where that cannot start anything twice;
          a call waits for as long as its invocation takes, through restarts of the server if it has an
          idempotency key.
Never     imports the server, or httpx before a client is made.

    wire        requests and responses as values
    operations  what can be asked           answers   what comes back           errors   what is raised
    exchange    again or not                http      httpx, set up             client, sync_client  fronts
"""

from holdfast.client.answers import SendStatus
from holdfast.client.client import Client, InvocationHandle, SendHandle, WorkflowHandle
from holdfast.client.errors import (
    AnswerTimeout,
    ClientError,
    IngressError,
    InvocationFailed,
    NotReady,
    Unavailable,
    UnreadableAnswer,
)
from holdfast.client.sync_client import (
    SyncClient,
    SyncInvocationHandle,
    SyncSendHandle,
    SyncWorkflowHandle,
)

__all__ = [
    "AnswerTimeout",
    "Client",
    "ClientError",
    "IngressError",
    "InvocationFailed",
    "InvocationHandle",
    "NotReady",
    "SendHandle",
    "SendStatus",
    "SyncClient",
    "SyncInvocationHandle",
    "SyncSendHandle",
    "SyncWorkflowHandle",
    "Unavailable",
    "UnreadableAnswer",
    "WorkflowHandle",
]
