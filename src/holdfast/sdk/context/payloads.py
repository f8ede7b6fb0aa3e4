"""Values to payload bytes and back, with the app's codec around the serde.

An empty payload stays empty: it is what a handler without input is called with, and callers may not send such
a handler any body.
"""

from typing import Any

from holdfast.sdk.errors import SerdeError, UsageError
from holdfast.sdk.serde import JSON, Codec, Reader, Serde, serde_for
from holdfast.sdk.waits import Decode


class Payloads:
    """Serialisation as one app does it."""

    __slots__ = ("codec",)

    def __init__(self, codec: Codec | None) -> None:
        self.codec = codec

    def encode(self, serde: Serde[Any], value: object, what: str) -> bytes:
        """The payload.

        Args:
            what: names the value in an error: `the result of step charge`.
        Raises:
            SerdeError: it does not fit its type.
        """
        try:
            data = serde.serialize(value)
        except SerdeError as error:
            raise type(error)(error.code, f"{what}: {error.message}") from None
        except Exception as error:
            raise UsageError("serde_failed", f"{what}: {type(error).__name__}: {error}") from error
        return data if self.codec is None or not data else self.codec.encode(data)

    def decoder(self, serde: Reader[Any]) -> Decode:
        """Payload to value."""
        codec = self.codec
        if codec is None:
            return serde.deserialize
        return lambda data: serde.deserialize(codec.decode(data) if data else data)

    def raw(self, data: bytes) -> bytes:
        """The bytes under the codec."""
        return data if self.codec is None or not data else self.codec.decode(data)


def serde_of(annotation: object) -> Serde[Any]:
    """The serde of a type the user named, plain JSON when they named none."""
    if annotation is None:
        return JSON
    if isinstance(annotation, Serde) and not isinstance(annotation, type):
        return annotation  # pyright: ignore[reportUnknownVariableType]
    return serde_for(annotation)


def serde_of_value(value: object, annotation: object) -> Serde[Any]:
    """The serde for writing a value: by its annotation if the user gave one, else by its own class."""
    return serde_of(annotation) if annotation is not None else serde_for(type(value))
