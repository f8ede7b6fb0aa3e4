"""Values to bytes and back, chosen by type annotations.

Owns      which format an annotation means, and the errors about values that do not fit.
Promises  what is written is read back as an equal value, and equal values are written as equal bytes in
          every process: dicts and sets are written in order of their keys.
Never     imports pydantic unless an annotation needs it.
"""

from holdfast.sdk.serde.api import Codec, Reader, Serde
from holdfast.sdk.serde.choose import serde_for
from holdfast.sdk.serde.plain import BYTES, JSON, NO_INPUT, NOTHING
from holdfast.sdk.serde.types import UNKNOWN_ANNOTATION

__all__ = [
    "BYTES",
    "JSON",
    "NOTHING",
    "NO_INPUT",
    "UNKNOWN_ANNOTATION",
    "Codec",
    "Reader",
    "Serde",
    "serde_for",
]
