"""Says what to install when the server's packages are missing, before an import deep inside fails."""

from importlib.util import find_spec

_PACKAGES = ("apsw", "cryptography", "hpack", "httptools", "msgspec", "structlog", "xxhash")


def require_server() -> None:
    """Raise ImportError, with the command that helps, unless the engine can be imported."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"holdfast.testing runs the real engine, and {', '.join(missing)} is not installed: "
            "pip install 'holdfast[server]'"
        )
