"""The serdes that need no type description: nothing, bytes, and JSON of undeclared type."""

from typing import Final

from holdfast.sdk.errors import DeserializeError, SerializeError
from holdfast.sdk.serde.api import Serde
from holdfast.sdk.serde.json_serde import JsonSerde


class NothingSerde:
    """`None`: no bytes at all. JSON `null` is read as None too, since other SDKs write it."""

    __slots__ = ()

    @property
    def content_type(self) -> None:
        """None: no bytes, no type."""

    def serialize(self, value: None, /) -> bytes:
        """No bytes; anything but None is refused."""
        if value is not None:
            raise SerializeError(
                "value_not_of_type",
                f"a value of type {type(value).__qualname__} where None is declared; declare that type",
            )
        return b""

    def deserialize(self, data: bytes, /) -> None:
        """None, if there are no bytes."""
        if data and data != b"null":
            raise DeserializeError("not_decodable", f"{len(data)} bytes where nothing is expected")

    def schema(self) -> None:
        """None: there is nothing to describe."""


class BytesSerde:
    """`bytes` as they are."""

    __slots__ = ()

    @property
    def content_type(self) -> str:
        """The type of bytes that nothing else is known of."""
        return "application/octet-stream"

    def serialize(self, value: object, /) -> bytes:
        """The bytes; a bytearray is copied."""
        if isinstance(value, bytes):
            return value
        if isinstance(value, bytearray):
            return bytes(value)
        raise SerializeError(
            "value_not_of_type",
            f"a value of type {type(value).__qualname__} where bytes are declared; encode it first",
        )

    def deserialize(self, data: bytes, /) -> bytes:
        """The bytes."""
        return bytes(data)

    def schema(self) -> None:
        """None: bytes have no JSON schema."""


NOTHING: Final[Serde[None]] = NothingSerde()
"""For None: what a handler without output gives."""

NO_INPUT: Final[Serde[None]] = NothingSerde()
"""For handlers that take no input."""

BYTES: Final[Serde[bytes]] = BytesSerde()
"""For bytes."""

JSON: Final[Serde[object]] = JsonSerde(object)
"""For `Any`: plain JSON data, where only what comes back as it was is accepted."""
