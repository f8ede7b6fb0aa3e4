"""The suite's services as a process: `python -m sdk_suite.services.serve`.

One app per protocol version, mounted at `/v5`, `/v6` and `/v7`; `/codec` has one whose payloads are encoded.

PORT                where to listen
PREFIX              of the service names, V by default; the version follows
REQUEST_RESPONSE    set: uvicorn, HTTP/1.1, which reads requests whole; else Granian, HTTP/2, full duplex
SIDE_EFFECTS_FILE   see `effects`
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sdk_suite.services.calls import calls, leaf
from sdk_suite.services.ends import ends
from sdk_suite.services.flows import flow
from sdk_suite.services.objects import store
from sdk_suite.services.payloads import Reversed, described, payloads, secret
from sdk_suite.services.steps import steps
from sdk_suite.services.tangles import tangles
from sdk_suite.services.waits import waits

import holdfast
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.handlers import ServiceDefinition

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

REQUEST_RESPONSE = bool(os.environ.get("REQUEST_RESPONSE"))
PREFIX = os.environ.get("PREFIX", "V")
VERSIONS = (5, 6, 7)
STRICT_VERSION = 6
"""Its apps watch handler code, so that the whole suite also shows what strict mode lets pass."""


def family(prefix: str, inactivity_timeout: float) -> list[ServiceDefinition]:
    """All services under one prefix."""
    timeout = inactivity_timeout
    leaves = leaf(prefix, inactivity_timeout=timeout)
    return [
        leaves,
        steps(prefix, inactivity_timeout=timeout),
        waits(prefix, inactivity_timeout=timeout),
        calls(prefix, leaves, inactivity_timeout=timeout),
        ends(prefix, leaves, inactivity_timeout=timeout),
        tangles(prefix, leaves, inactivity_timeout=timeout),
        store(f"{prefix}Store", inactivity_timeout=timeout),
        store(f"{prefix}LazyStore", inactivity_timeout=timeout, lazy_state=True),
        flow(prefix, inactivity_timeout=timeout),
        payloads(prefix, inactivity_timeout=timeout),
        described(prefix),
        secret(prefix),
    ]


def app_of(version: int) -> App:
    """The services of one version; where attempts can outlive a wait, also a family that suspends at once."""
    if REQUEST_RESPONSE:
        services = family(f"{PREFIX}{version}Rr", 60)
    else:
        services = [*family(f"{PREFIX}{version}", 60), *family(f"{PREFIX}{version}Idle", 0)]
    return holdfast.app(*services, max_protocol_version=version, strict=version == STRICT_VERSION)


MOUNTS = {f"v{version}": app_of(version) for version in VERSIONS}
# Keys of the codec's services do not depend on PREFIX: only one process of a session has them.
MOUNTS["codec"] = holdfast.app(*family("CodecRr" if REQUEST_RESPONSE else "Codec", 60), codec=Reversed())


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """The mounts as one ASGI application; what has no mount (health) is any app's."""
    first = scope.get("path", "/").split("/")[1]
    await MOUNTS.get(first, MOUNTS["v7"])(scope, receive, send)


def main() -> None:
    port = int(os.environ["PORT"])
    if REQUEST_RESPONSE:
        import uvicorn

        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
        return
    from granian.constants import HTTPModes, Interfaces
    from granian.server import Server

    Server(
        f"{__spec__.name}:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http2,
        websockets=False,
        log_access=False,
    ).serve()


if __name__ == "__main__":
    main()
