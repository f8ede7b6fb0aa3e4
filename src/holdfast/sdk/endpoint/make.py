"""`holdfast.app`: the front door of the endpoint."""

from collections.abc import Iterable

from holdfast.protocol.framing import MESSAGE_BYTES_MAX
from holdfast.protocol.versions import VERSION_MAX
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.handlers import ServiceDefinition
from holdfast.sdk.serde import Codec


def app(
    *services: ServiceDefinition,
    identity_keys: Iterable[str] = (),
    codec: Codec | None = None,
    bidirectional: bool | None = None,
    max_message_bytes: int = MESSAGE_BYTES_MAX,
    max_protocol_version: int = VERSION_MAX,
    strict: bool | None = None,
) -> App:
    """The services as one ASGI application; arguments as for `App`."""
    return App(
        services,
        identity_keys=identity_keys,
        codec=codec,
        bidirectional=bidirectional,
        max_message_bytes=max_message_bytes,
        max_protocol_version=max_protocol_version,
        strict=strict,
    )
