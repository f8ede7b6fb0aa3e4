"""The nouns of serialisation: `Serde`, for one type, and `Codec`, for all bytes that leave the process."""

from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Serde(Protocol[T]):
    """Writes and reads the values of one type.

    Give your own where the defaults do not fit: as `input_serde=` or `output_serde=` of a handler, or inside
    an annotation, `Annotated[Image, PNG]`. It must be a pure function of its argument: equal values give
    equal bytes, in every process.
    """

    @property
    def content_type(self) -> str | None:
        """Media type of the bytes; None when there are none."""
        ...

    def serialize(self, value: T, /) -> bytes:
        """The value as bytes. Raises SerializeError, or any exception, when it is no T."""
        ...

    def deserialize(self, data: bytes, /) -> T:
        """The value in these bytes. Raises DeserializeError, or any exception, when it is no T."""
        ...

    def schema(self) -> dict[str, object] | None:
        """JSON schema, holding all it refers to; None when there is none."""
        ...


class Reader(Protocol[T_co]):
    """The reading half of a `Serde`: whoever reads ints also reads objects.

    Without it `print(await ctx.call(add, 5))` would not type-check: `print` asks for an object.
    """

    @property
    def content_type(self) -> str | None:
        """As of `Serde`."""
        ...

    def deserialize(self, data: bytes, /) -> T_co:
        """As of `Serde`."""
        ...


class Codec(Protocol):
    """Transforms every payload on its way out of and into the process: encryption, compression.

    `decode(encode(data)) == data` must hold for codecs of all versions still deployed, since journals are
    read back later. It must be a pure function where replays compare what it wrote: a cipher that draws a
    nonce has to derive it from the data.
    """

    def encode(self, data: bytes, /) -> bytes:
        """What is sent for these bytes."""
        ...

    def decode(self, data: bytes, /) -> bytes:
        """The bytes that `encode` was given."""
        ...
