"""A handler as the SDK knows it, and the service it belongs to.

Both are plain nouns: the decorators in `services` make them, `signatures` reads the function, discovery
and endpoint use them, and `ctx.call` takes them as targets, which is why the types of input and output are
part of the handler's type.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from holdfast.protocol.manifest import HandlerType, ServiceType
from holdfast.sdk.options import HandlerOptions, ServiceOptions
from holdfast.sdk.serde.api import Serde
from holdfast.sdk.signatures import FunctionSite, resolve_signature

I = TypeVar("I")  # noqa: E741 - input and output, as everywhere in the SDK
O = TypeVar("O")  # noqa: E741


_RESOLVED = frozenset({"takes_context", "takes_input", "input_required", "input", "output"})


class ServiceDefinition:
    """A service with its handlers; made by `Service`, `VirtualObject` and `Workflow`.

    Attributes:
        name: unique in a deployment, what callers name.
        type: service, virtual object or workflow.
        options: of the service; handlers come before it.
        documentation: of the service, None when it has none.
        handlers: by name, in the order of definition. Decorators add to it, nobody else.
    """

    __slots__ = ("handlers", "name", "options", "type")

    def __init__(self, name: str, type_: ServiceType, options: ServiceOptions) -> None:
        self.name = name
        self.type = type_
        self.options = options
        self.handlers: dict[str, Handler[Any, Any]] = {}

    @property
    def documentation(self) -> str | None:
        """What the service says about itself."""
        return self.options.documentation

    @property
    def keyed(self) -> bool:
        """Whether its handlers are called with a key."""
        return self.type is not ServiceType.SERVICE

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(self.handlers) or 'no handlers'}>"


class Handler(Generic[I, O]):
    """One handler. Calling it calls the function itself, without durability, for unit tests.

    What depends on annotations (`takes_context` to `output`) is read when the handler is made if all names in
    them are known by then, else on first use or when the endpoint is made, whichever is first.

    Attributes:
        service: where it belongs.
        name: unique in its service.
        type: EXCLUSIVE, SHARED or WORKFLOW; None in plain services.
        function: the user's.
        options: of the handler alone, without those of its service.
        documentation: from the option, else the docstring.
        source: "file.py:12", for error messages.
        takes_context: the first parameter is annotated with a context class.
        takes_input: there is a parameter for the input.
        input_required: the input's parameter has no default.
        input: NO_INPUT when it takes none.
        output: NOTHING when it returns None.
    """

    __slots__ = (
        "__weakref__",
        "_resolved",
        "_site",
        "documentation",
        "function",
        "input",
        "input_required",
        "name",
        "options",
        "output",
        "service",
        "source",
        "takes_context",
        "takes_input",
        "type",
    )

    takes_context: bool
    takes_input: bool
    input_required: bool
    input: Serde[I]
    output: Serde[O]

    def __init__(
        self,
        service: ServiceDefinition,
        name: str,
        type_: HandlerType | None,
        function: Callable[..., Coroutine[Any, Any, O]],
        options: HandlerOptions,
        documentation: str | None,
        site: FunctionSite,
    ) -> None:
        self.service = service
        self.name = name
        self.type = type_
        self.function = function
        self.options = options
        self.documentation = documentation
        self.source = site.source
        self._site = site
        self._resolved = False

    def resolve(self, local_names: Mapping[str, object] | None = None) -> None:
        """Reads the annotations now, unless they have been read.

        Args:
            local_names: where the decorator stands, besides the module's names.
        Raises:
            UsageError: a name that is still unknown, a context that does not fit, or a type that cannot be
                serialised.
        """
        if self._resolved:
            return
        signature = resolve_signature(self._site, local_names)
        self.takes_context = signature.takes_context
        self.takes_input = signature.takes_input
        self.input_required = signature.input_required
        self.input = self.options.input_serde or signature.input
        self.output = self.options.output_serde or signature.output
        self._resolved = True

    def __getattr__(self, name: str) -> Any:
        # Only reached while a slot is empty: from then on, reading it costs what any attribute costs.
        if name in _RESOLVED:
            self.resolve()
            return object.__getattribute__(self, name)
        raise AttributeError(f"Handler {self.service.name}/{self.name} has no attribute {name!r}")

    def arguments(self, context: object, data: bytes) -> tuple[object, ...]:
        """What to call `function` with, for an invocation whose input is `data`.

        Raises:
            DeserializeError: the input is not what the handler expects.
        """
        if not self.takes_input:
            self.input.deserialize(data)
            return (context,) if self.takes_context else ()
        if not data and not self.input_required:
            return (context,) if self.takes_context else ()
        value = self.input.deserialize(data)
        return (context, value) if self.takes_context else (value,)

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, O]:
        return self.function(*args, **kwargs)

    @property
    def keyed(self) -> bool:
        """Whether calls name a key."""
        return self.service.keyed

    def __repr__(self) -> str:
        return f"<Handler {self.service.name}/{self.name} at {self.source}>"
