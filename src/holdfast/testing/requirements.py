"""Says what to install when the server's packages are missing, before an import deep inside fails."""

from importlib.util import find_spec

PACKAGES = ("apsw", "cryptography", "hpack", "httptools", "msgspec", "structlog", "xxhash")
"""What the engine imports; the rest of the extra is the admin interface's."""


def require_server() -> None:
    """Raise ImportError, with the command that helps, unless the engine can be imported."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"holdfast.testing runs the real engine, for which {', '.join(missing)} must be installed: "
            "pip install 'holdfast[server]'"
        )
