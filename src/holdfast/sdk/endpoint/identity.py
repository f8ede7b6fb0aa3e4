"""Whether a request comes from a server whose work this deployment runs (protocol, "Request identity")."""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from holdfast.protocol.errors import IdentityError
from holdfast.sdk.endpoint.answers import Answer, problem
from holdfast.sdk.errors import UsageError

if TYPE_CHECKING:
    from holdfast.protocol.identity import RequestVerifier as Verifier


log = logging.getLogger("holdfast.endpoint")


class IdentityCheck:
    """Refuses what no configured key has signed; without keys it lets everything pass.

    Raises:
        UsageError: a key that is none, or the library for signatures is not installed.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        wanted = list(keys)
        self._verifier: Verifier | None = None
        if not wanted:
            return
        try:
            # The signature library is large and most deployments are reached over a private network.
            from holdfast.protocol.identity import RequestVerifier
        except ImportError:
            raise UsageError(
                "extra_missing", "identity_keys need a library: pip install 'holdfast[identity]'"
            ) from None
        try:
            self._verifier = RequestVerifier(wanted)
        except ValueError as error:
            raise UsageError("bad_identity_key", str(error)) from None

    def refusal(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        """The 401 to give, None when the request may pass."""
        if self._verifier is None:
            return None
        try:
            self._verifier.verify(headers.items(), path, int(time.time()))
        except IdentityError as error:
            log.warning("request refused: %s", error.message)
            return problem(401, "Unauthorized")
        return None
