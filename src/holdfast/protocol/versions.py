"""Protocol versions: which we speak, how they are named on the wire, and which one an invocation gets.

The version is chosen once, on the first attempt, and kept with the invocation: its journal is only valid in
the version it was written in (protocol, "Versions and negotiation").

5   the base: immutable journal, completions and signals as notifications
6   adds Start.random_seed and Failure.metadata
7   adds await trees, run acks, scope, limit key, idempotency key, error behaviour
"""

from holdfast.protocol.errors import UnsupportedVersion

VERSION_MIN = 5
VERSION_MAX = 7

CONTENT_TYPES = {
    version: f"application/vnd.restate.invocation.v{version}"
    for version in range(VERSION_MIN, VERSION_MAX + 1)
}
"""Version to content type, which requests and responses must carry to the byte."""

_VERSIONS = {content_type: version for version, content_type in CONTENT_TYPES.items()}


def content_type_of(version: int) -> str:
    """The content type of an invocation stream.

    Raises:
        UnsupportedVersion: not one of ours.
    """
    content_type = CONTENT_TYPES.get(version)
    if content_type is None:
        raise UnsupportedVersion(f"protocol version {version} is not one of {VERSION_MIN} to {VERSION_MAX}")
    return content_type


def version_of(content_type: str) -> int:
    """The version that a stream's content type names.

    Raises:
        UnsupportedVersion: anything but one of `CONTENT_TYPES`, parameters included. An endpoint answers 415.
    """
    version = _VERSIONS.get(content_type)
    if version is None:
        raise UnsupportedVersion(
            f"content type {content_type[:200]!r} names no supported protocol version; "
            f"expected one of {', '.join(_VERSIONS)}"
        )
    return version


def negotiate(server_min: int, server_max: int, deployment_min: int, deployment_max: int) -> int:
    """The newest version that both speak.

    Raises:
        UnsupportedVersion: the ranges do not overlap, or one of them is empty.
    """
    version = min(server_max, deployment_max)
    if version < server_min or version < deployment_min:
        raise UnsupportedVersion(
            f"the deployment speaks protocol versions {deployment_min} to {deployment_max}, this server "
            f"{server_min} to {server_max}; upgrade the older of the two"
        )
    return version
