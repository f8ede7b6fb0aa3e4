"""`App`: the services of one deployment as an application for HTTP servers.

The connection decides the mode. Where the request body stays open while the response is written (HTTP/2), the
attempt is full duplex: a step's result is acknowledged on the stream and the handler goes on. Where the body
has ended (HTTP/1.1 servers that read it whole, Lambda), every wait suspends. Neither needs a setting.

It speaks ASGI, which every Python server does, and RSGI, which Granian does and which costs half as much.
"""

from collections.abc import Iterable, Mapping

from holdfast.protocol.framing import MESSAGE_BYTES_MAX
from holdfast.protocol.versions import VERSION_MAX
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.asgi import Receive, Scope, Send, run_asgi
from holdfast.sdk.endpoint.routes import Invoke, Routes
from holdfast.sdk.endpoint.rsgi import Protocol as RsgiProtocol
from holdfast.sdk.endpoint.rsgi import Scope as RsgiScope
from holdfast.sdk.endpoint.rsgi import run_rsgi
from holdfast.sdk.endpoint.running import make_attempt
from holdfast.sdk.endpoint.step_runner import StepRunner
from holdfast.sdk.handlers import ServiceDefinition
from holdfast.sdk.serde import Codec
from holdfast.sdk.strict import loop_maker, setting


class App:
    """An ASGI application: `granian`, `hypercorn`, `uvicorn` and FastAPI's `mount` take it as it is.

    Args:
        services: what it serves.
        identity_keys: `publickeyv1_...` of the servers it runs work for; others get 401. Empty: anybody.
        codec: transforms every payload, for encryption or compression.
        bidirectional: what discovery says about the mode. None: full duplex where the discovery request came
            over HTTP/2.
        max_message_bytes: largest single message, in and out.
        max_protocol_version: the newest version discovery offers, 5 to 7. Lower it where this code and older
            code of yours serve the same invocations, until the older is gone.
        strict: whether handler code that does I/O or takes clocks and chance outside steps fails. None: as
            `HOLDFAST_STRICT` says, else in tests only (`holdfast.sdk.strict`).
    Raises:
        UsageError: two services of one name, a workflow without a main handler, types that nothing can read,
            a protocol version that is none of ours.
    """

    def __init__(
        self,
        services: Iterable[ServiceDefinition],
        *,
        identity_keys: Iterable[str] = (),
        codec: Codec | None = None,
        bidirectional: bool | None = None,
        max_message_bytes: int = MESSAGE_BYTES_MAX,
        max_protocol_version: int = VERSION_MAX,
        strict: bool | None = None,
    ) -> None:
        self.routes = Routes(services, identity_keys, bidirectional, max_protocol_version)
        self.payloads = Payloads(codec)
        self.max_message_bytes = max_message_bytes
        self.strict = setting(strict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        await run_asgi(self, scope, receive, send)

    async def __rsgi__(self, scope: RsgiScope, protocol: RsgiProtocol) -> None:
        """RSGI 1."""
        await run_rsgi(self, scope, protocol)

    def make_attempt(self, invoke: Invoke, runner: StepRunner, headers: Mapping[str, str]) -> Attempt:
        """An attempt for a request; the runner is told of it."""
        attempt = make_attempt(
            invoke.handler,
            invoke.version,
            self.payloads,
            runner,
            headers,
            self.max_message_bytes,
            loop_maker(self.strict),
        )
        runner.attempt = attempt
        return attempt
