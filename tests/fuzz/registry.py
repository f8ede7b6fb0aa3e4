"""Every target with its seeds."""

from collections.abc import Sequence

from . import seeds
from .admin import admin, requests
from .h1_client import h1_client
from .ingress import ingress
from .invoker import invoker
from .mutation import Target
from .serving import http1, http2, serving
from .sql import queries, sql
from .targets import attempt, h2_client, protocol

TARGETS: dict[str, tuple[Target, Sequence[bytes]]] = {
    "protocol": (protocol, seeds.protocol() + seeds.protocol_bodies()),
    "attempt": (attempt, seeds.attempts()),
    "invoker": (invoker, seeds.deployments()),
    "h2-client": (h2_client, seeds.h2_server()),
    "h1-client": (h1_client, seeds.h1_server()),
    "admin": (admin, requests()),
    "ingress-http1": (ingress, seeds.http1_requests()),
    "ingress-http2": (ingress, seeds.http2_requests()),
    "serving-http1": (serving, http1()),
    "serving-http2": (serving, http2()),
    "sql": (sql, queries()),
}
