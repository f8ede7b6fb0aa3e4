"""Why the catalog refuses: its file, or a registration. Each has a stable code (docs/errors.md)."""


class CatalogError(Exception):
    """Attributes: `code`, stable; `message`, what was wrong, what was expected, what to do next."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class CatalogFileError(CatalogError):
    """`meta.sqlite` cannot be used: not ours, from a newer release, or made for other settings."""


class DiscoveryError(CatalogError):
    """A deployment did not answer discovery in a usable way: META0003 unreachable or a bad status, META0014
    it speaks HTTP/1.1 only."""


class RegistrationRefused(CatalogError):
    """A registration or change that would break what is there: META0004, META0006, META0016."""
