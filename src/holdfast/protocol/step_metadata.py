"""Step metadata: what a step was about, for people to read; an extension of this project over the protocol.

A JSON object that belongs to a run command: kept beside the journal, never replayed, part of no replay check.
The frame stands directly in front of the frame it belongs to, a RunCommand or a ProposeRunCompletion of the
same completion id, and is made durable with it or not at all. So a step that is run again after a crash
replaces nothing and counts nothing twice.

Sent only where the server announces it: the request that opens an attempt carries `EXTENSIONS_HEADER`, tokens
with commas between, one of them `STEP_METADATA`. SDKs that do not know the header ignore it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from holdfast.protocol.wire import Fields, put_bytes, put_uint

EXTENSIONS_HEADER = "x-holdfast-extensions"
"""Of requests that open attempts: the extensions the server takes."""

STEP_METADATA = "step-metadata"
"""The extension's token."""

METADATA_BYTES_MAX = 64 * 1024
"""Of one step, all of its frames merged; a server refuses more."""


@dataclass(slots=True)
class StepMetadataMessage:
    """Frame 0xFC01. `json` is an object in UTF-8; keys of a later frame of the same step win."""

    result_completion_id: int = 0
    json: bytes = b""

    def encode(self) -> bytes:
        """The body."""
        return put_uint(1, self.result_completion_id) + put_bytes(2, self.json)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Reads the body; the JSON is not looked into."""
        fields = Fields(body)
        return cls(fields.uint32(1), fields.bytes_(2))


@dataclass(frozen=True, slots=True)
class Usage:
    """What an invocation's steps with models took together."""

    model_calls: int
    tokens_in: int
    tokens_out: int


def usage_of(metadata: Iterable[Mapping[str, object]]) -> Usage | None:
    """The sum over the steps of an invocation, by what adapters write there: `kind`, "model" of a call to a
    model, `tokens_in`, `tokens_out`. None when no step says anything of the sort.

    A step counts once however often it ran, since what its result tells is stored with the result.
    """
    calls = tokens_in = tokens_out = 0
    seen = False
    for one in metadata:
        is_model = one.get("kind") == "model"
        taken, given = _tokens(one.get("tokens_in")), _tokens(one.get("tokens_out"))
        seen = seen or is_model or taken > 0 or given > 0
        calls += is_model
        tokens_in += taken
        tokens_out += given
    return Usage(calls, tokens_in, tokens_out) if seen else None


def _tokens(value: object) -> int:
    """Whatever else a service has written there counts for nothing."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def announces(headers: Mapping[str, str], extension: str) -> bool:
    """Whether these request headers, names in lower case, announce an extension."""
    tokens = headers.get(EXTENSIONS_HEADER, "").split(",")
    return any(token.strip().lower() == extension for token in tokens)
