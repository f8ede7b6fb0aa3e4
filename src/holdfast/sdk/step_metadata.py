"""What a step was about, in a few words of JSON: `holdfast.step(metadata=..., describe=...)`.

The server keeps it beside the step and shows it to people; nothing ever reads it back into a handler. It is
sent to servers that announce the extension, and to no other (`holdfast.protocol.step_metadata`).

It is for reading, so what is too large is cut instead of refused: the largest values go first, and
`LEFT_OUT` names them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from holdfast.protocol.step_metadata import METADATA_BYTES_MAX
from holdfast.sdk.errors import UsageError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Metadata: TypeAlias = Mapping[str, Json]
Describe: TypeAlias = Callable[[Any], Metadata]
"""From a step's result, as the handler sees it, to metadata."""

PART_BYTES_MAX: Final = METADATA_BYTES_MAX // 2
"""Of what is known at the start, and of what the result tells: together they fit the server's bound."""

LEFT_OUT: Final = "left_out"
"""The key that names what was too large to be sent."""

_NAMES_MAX = 16
_NAME_CHARS_MAX = 64
_LEFT_OUT_BYTES_MAX = 8 * 1024
_encode = msgspec.json.Encoder().encode


def encode_metadata(metadata: Metadata) -> bytes:
    """The JSON, at most `PART_BYTES_MAX` bytes of it.

    Raises:
        TypeError, ValueError: it is no mapping, or holds what JSON cannot say.
    """
    if not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - users without types
        raise TypeError(f"expected a mapping of names to JSON values, not {type(metadata).__name__}")
    try:
        data = _encode(dict(metadata))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return data if len(data) <= PART_BYTES_MAX else _cut(metadata)


def _cut(metadata: Metadata) -> bytes:
    values = {str(name): msgspec.Raw(_encode(value)) for name, value in metadata.items()}
    sizes = {name: len(_encode(name)) + len(bytes(value)) + 2 for name, value in values.items()}
    left, dropped = sum(sizes.values()), list[str]()
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        if left <= PART_BYTES_MAX - _LEFT_OUT_BYTES_MAX:
            break
        left -= sizes[name]
        del values[name]
        dropped.append(name[:_NAME_CHARS_MAX])
    values[LEFT_OUT] = msgspec.Raw(_encode(dropped[:_NAMES_MAX]))
    return _encode(values)


def fixed_metadata(metadata: Metadata | None, step: str) -> bytes | None:
    """What `holdfast.step(metadata=...)` was given, as bytes.

    Raises:
        UsageError: `bad_step_metadata`.
    """
    if metadata is None:
        return None
    try:
        return encode_metadata(metadata)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "bad_step_metadata",
            f"the metadata of step {step} cannot be written as a JSON object: {error}. Give names to texts, "
            "numbers, lists and objects",
        ) from error


def described(describe: Describe, result: object, step: str) -> bytes | UsageError:
    """What `describe` makes of a result, or why it makes nothing: `describe_failed`."""
    try:
        return encode_metadata(describe(result))
    except Exception as error:
        made = UsageError(
            "describe_failed",
            f"`describe` of step {step} raised {type(error).__name__}: {error}. The step's result is "
            "journaled, so the step does not run again; correct `describe`, which gets that result and "
            "returns a JSON object",
        )
        made.__cause__ = error
        return made
