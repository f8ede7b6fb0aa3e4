"""What can be wrong with bytes from the other side, each with a stable code.

Every class carries `code`, the text operators see and `docs/errors.md` explains. Codes that begin with RT and
META are shared with other servers of this protocol, so that existing runbooks keep their meaning.

A value of ours that cannot be encoded (a negative completion id, a lone surrogate in a service name) is not
in this hierarchy: it is a bug on this side of the wire and raises `ValueError`.
"""


class ProtocolError(Exception):
    """Bytes from the other side that break the protocol; the connection or attempt ends.

    Attributes:
        code: stable identifier, for example "RT0012".
        message: what was wrong, what was expected, and what to do next.
    """

    code = "RT0012"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class MalformedMessage(ProtocolError):
    """A body that is not the protobuf message its frame type announces."""


class UnknownMessageType(ProtocolError):
    """A frame type this protocol does not have (protocol, "Type ids")."""


class FrameTooLarge(ProtocolError):
    """A frame, or a list inside one, above its limit. Raised before the excess is buffered."""

    code = "RT0003"


class AwaitTreeTooDeep(ProtocolError):
    """An await tree nested deeper than both sides agreed to follow."""

    code = "RT0025"


class UnsupportedVersion(ProtocolError):
    """No protocol version that both sides speak, or a content type that names none."""

    code = "RT0013"


class InvalidId(ProtocolError):
    """Text that is not an identifier of the expected kind; `message` is the reason alone."""

    code = "bad_id"


class ManifestError(ProtocolError):
    """A discovery answer that cannot be registered (META0005, META0012, META0013 ...)."""

    code = "META0013"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, code)


class IdentityError(ProtocolError):
    """A request whose signature is missing, expired, or made with a key that is not ours to trust."""

    code = "unauthorized"
