"""What can be called: a handler of this program, or one that lives somewhere else.

Owns `Target`, the few facts a call needs (two names, two serdes, whether a key is due), and `remote`, which
states them for a handler whose code is not here: another team's service, or one in another language. Every
way to call (a handler's context, the clients) takes a `Target` and never asks which of the two it is.
Never checks that a service exists: only the server knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from holdfast.sdk.serde import NOTHING, Reader, Serde, serde_for

I = TypeVar("I")  # noqa: E741 - input and output, as in Handler[I, O]
O = TypeVar("O")  # noqa: E741
O_co = TypeVar("O_co", covariant=True)


class Named(Protocol):
    """A service, of which a caller needs the name alone."""

    @property
    def name(self) -> str: ...


class Target(Protocol[I, O_co]):
    """A handler as a caller sees it; `Handler` and `RemoteHandler` both are one."""

    @property
    def service(self) -> Named: ...

    @property
    def name(self) -> str: ...

    @property
    def keyed(self) -> bool | None:
        """Whether calls name a key (virtual objects, workflows). None: not known here, the server decides."""
        ...

    @property
    def input(self) -> Serde[I]: ...

    @property
    def output(self) -> Reader[O_co]: ...


@dataclass(frozen=True, slots=True)
class RemoteService:
    """A service known by its name."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class RemoteHandler(Generic[I, O]):
    """A handler defined elsewhere; made by `remote`."""

    service: RemoteService
    name: str
    keyed: bool | None
    input: Serde[I]
    output: Serde[O]

    def __repr__(self) -> str:
        return f"remote({self.service.name!r}, {self.name!r})"


@overload
def remote(service: str, handler: str, *, keyed: bool | None = None) -> RemoteHandler[None, None]: ...
@overload
def remote(
    service: str, handler: str, *, input: type[I] | Serde[I], keyed: bool | None = None
) -> RemoteHandler[I, None]: ...
@overload
def remote(
    service: str, handler: str, *, output: type[O] | Serde[O], keyed: bool | None = None
) -> RemoteHandler[None, O]: ...
@overload
def remote(
    service: str,
    handler: str,
    *,
    input: type[I] | Serde[I],
    output: type[O] | Serde[O],
    keyed: bool | None = None,
) -> RemoteHandler[I, O]: ...
def remote(
    service: str,
    handler: str,
    *,
    input: object = None,  # noqa: A002 - the word a handler's own definition uses
    output: object = None,
    keyed: bool | None = None,
) -> RemoteHandler[Any, Any]:
    """A target for a handler that is not defined in this program.

    Args:
        service: the name it is registered under.
        handler: the handler's name.
        input: the argument's type, or a `Serde`. Left out: the handler takes none. `object` is plain JSON,
            `bytes` goes as it is.
        output: the result's type, or a `Serde`, likewise.
        keyed: True for virtual objects and workflows, False for plain services: a call without a key, or
            with one too many, is then refused here. None leaves it to the server.
    Raises:
        UsageError: a type that nothing can serialise.
    """
    return RemoteHandler(RemoteService(service), handler, keyed, _serde(input), _serde(output))


def _serde(given: object) -> Serde[object]:
    if given is None:
        return cast("Serde[object]", NOTHING)
    if isinstance(given, Serde) and not isinstance(given, type):
        return cast("Serde[object]", given)
    return serde_for(given)
