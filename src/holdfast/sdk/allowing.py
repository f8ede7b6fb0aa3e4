"""`allow_unrecorded`: the user's word that something outside the journal is meant to be there.

A context variable carries it, so it holds across awaits, and in tasks started inside it, and nowhere else.
"""

from contextvars import ContextVar, Token
from types import TracebackType

from holdfast.sdk.errors import UsageError

_allowed: ContextVar[str | None] = ContextVar("holdfast_allow_unrecorded", default=None)


def allowed_because() -> str | None:
    """The reason given by the innermost `allow_unrecorded` around the running code, None outside of any."""
    return _allowed.get()


class allow_unrecorded:
    """Lets a block of handler code do what strict mode refuses.

    `with holdfast.allow_unrecorded("feature flags may differ between replays"): ...`. What happens inside is
    not journaled: it happens again on every replay and may come out differently. What the loop itself cannot
    do (sockets of `asyncio`, executors) stays refused, since there is nothing to run it on.

    Args:
        why: for the reader; must say something.
    Raises:
        UsageError: `reason_missing`.
    """

    __slots__ = ("_tokens", "_why")

    def __init__(self, why: str) -> None:
        if not why.strip():
            raise UsageError(
                "reason_missing",
                "holdfast.allow_unrecorded needs the reason why this may differ between replays, such as "
                '`with holdfast.allow_unrecorded("only logged"):`',
            )
        self._why = why
        self._tokens: list[Token[str | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(_allowed.set(self._why))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _allowed.reset(self._tokens.pop())
