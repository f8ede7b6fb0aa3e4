"""Services, virtual objects and workflows, and the decorators that give them handlers.

    greeter = Service("Greeter")

    @greeter.handler
    async def greet(ctx: Context, name: str) -> str: ...

A decorator checks all it can where it stands, so that a mistake is reported with the line it is on, and
answers with the `Handler`. What needs the whole service, or names defined later, is checked by
`check_services`, when the endpoint is made.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

from holdfast.protocol.manifest import HANDLER_NAME, SERVICE_NAME, HandlerType, ServiceType, is_reserved
from holdfast.sdk.errors import UsageError
from holdfast.sdk.handlers import Handler, ServiceDefinition
from holdfast.sdk.options import HandlerKeywords, HandlerOptions, ServiceKeywords, ServiceOptions
from holdfast.sdk.signatures import FunctionSite, UnknownName, local_names_of_caller, source_of

if TYPE_CHECKING:
    from holdfast.sdk.context import (
        Context,
        ObjectContext,
        SharedObjectContext,
        SharedWorkflowContext,
        WorkflowContext,
    )

C = TypeVar("C", contravariant=True)
I = TypeVar("I")  # noqa: E741 - input and output, as in Handler[I, O]
O = TypeVar("O")  # noqa: E741


class HandlerDecorator(Generic[C]):
    """Makes handlers of one kind for one service: `@service.handler` or `@service.handler(name=..., ...)`.

    `C` is the context its functions may ask for.
    """

    __slots__ = ("_name", "_options", "_service", "_type")

    def __init__(
        self,
        service: ServiceDefinition,
        type_: HandlerType | None,
        name: str | None = None,
        options: HandlerOptions | None = None,
    ) -> None:
        self._service = service
        self._type = type_
        self._name = name
        self._options = options or HandlerOptions()

    @overload
    def __call__(self, function: Callable[[C, I], Coroutine[Any, Any, O]], /) -> Handler[I, O]: ...
    @overload
    def __call__(self, function: Callable[[C], Coroutine[Any, Any, O]], /) -> Handler[None, O]: ...
    @overload
    def __call__(self, function: Callable[[I], Coroutine[Any, Any, O]], /) -> Handler[I, O]: ...
    @overload
    def __call__(self, function: Callable[[], Coroutine[Any, Any, O]], /) -> Handler[None, O]: ...
    @overload
    def __call__(
        self, /, *, name: str | None = None, **options: Unpack[HandlerKeywords]
    ) -> HandlerDecorator[C]: ...
    def __call__(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]] | None = None,
        /,
        *,
        name: str | None = None,
        **options: Unpack[HandlerKeywords],
    ) -> Any:
        """Defines a handler, or answers with this decorator with options.

        Args:
            name: the function's name when not given.
            options: see `HandlerOptions`.
        Raises:
            UsageError: names the handler, its source line, what is wrong and what to write.
        """
        if function is None:
            kept = _handler_options(self._service, options)
            return HandlerDecorator[Any](self._service, self._type, name, kept)
        return _define(self._service, self._type, self._name, self._options, function)


class Service(ServiceDefinition):
    """A plain service: handlers without key or state, run concurrently.

    Args:
        name: letters, digits and `._-`, a letter first; what callers name.
        options: see `ServiceOptions`.
    """

    __slots__ = ()

    def __init__(self, name: str, **options: Unpack[ServiceKeywords]) -> None:
        super().__init__(_service_name(name), ServiceType.SERVICE, _service_options(name, options))
        _check_service_options(self)

    @property
    def handler(self) -> HandlerDecorator[Context]:
        """Decorator of its handlers."""
        return HandlerDecorator(self, None)


class VirtualObject(ServiceDefinition):
    """A virtual object: each key has its own state, and one exclusive handler at a time.

    Args:
        name, options: as for `Service`.
    """

    __slots__ = ()

    def __init__(self, name: str, **options: Unpack[ServiceKeywords]) -> None:
        super().__init__(_service_name(name), ServiceType.VIRTUAL_OBJECT, _service_options(name, options))
        _check_service_options(self)

    @property
    def handler(self) -> HandlerDecorator[ObjectContext]:
        """Decorator of exclusive handlers: one at a time for each key, state can be written."""
        return HandlerDecorator(self, HandlerType.EXCLUSIVE)

    @property
    def shared(self) -> HandlerDecorator[SharedObjectContext]:
        """Decorator of shared handlers: concurrent with all others, state can only be read."""
        return HandlerDecorator(self, HandlerType.SHARED)


class Workflow(ServiceDefinition):
    """A workflow: its main handler runs once for each key; shared handlers talk to it.

    Args:
        name, options: as for `Service`; `workflow_retention` may be set here, too.
    """

    __slots__ = ()

    def __init__(self, name: str, **options: Unpack[ServiceKeywords]) -> None:
        super().__init__(_service_name(name), ServiceType.WORKFLOW, _service_options(name, options))
        _check_service_options(self)

    @property
    def main(self) -> HandlerDecorator[WorkflowContext]:
        """Decorator of the one handler that is the workflow."""
        return HandlerDecorator(self, HandlerType.WORKFLOW)

    @property
    def shared(self) -> HandlerDecorator[SharedWorkflowContext]:
        """Decorator of handlers that run beside it: queries, and promises to resolve."""
        return HandlerDecorator(self, HandlerType.SHARED)


def check_services(services: Iterable[object]) -> dict[str, ServiceDefinition]:
    """Checks what could not be checked one by one; the services by name, in order.

    Raises:
        UsageError: two services of one name, one without handlers, a workflow without main handler, an
            annotation whose names are still unknown, a handler option without effect.
    """
    found: dict[str, ServiceDefinition] = {}
    for service in services:
        if not isinstance(service, ServiceDefinition):
            raise UsageError(
                "not_a_service",
                f"{service!r} is not a Service, VirtualObject or Workflow; pass services, not handlers",
            )
        if found.setdefault(service.name, service) is not service:
            raise UsageError("duplicate_service", f"two services are named {service.name!r}; rename one")
        if not service.handlers:
            raise UsageError(
                "no_handlers",
                f"service {service.name} has no handlers; import the module that defines them before the app",
            )
        mains = [h for h in service.handlers.values() if h.type is HandlerType.WORKFLOW]
        if service.type is ServiceType.WORKFLOW and not mains:
            raise UsageError(
                "workflow_without_main",
                f"workflow {service.name} has no main handler; decorate the function that is the "
                "workflow with @<workflow>.main",
            )
        for handler in service.handlers.values():
            handler.resolve()
    return found


def _define(
    service: ServiceDefinition,
    type_: HandlerType | None,
    name: str | None,
    options: HandlerOptions,
    function: Callable[..., Coroutine[Any, Any, Any]],
) -> Handler[Any, Any]:
    if name is None:
        name = str(getattr(function, "__name__", repr(function)))
    site = FunctionSite(
        function,
        f"{service.name}/{name}",
        service.type,
        type_,
        own_input=options.input_serde is not None,
        own_output=options.output_serde is not None,
    )
    if not HANDLER_NAME.fullmatch(name):
        raise site.error(
            "bad_name",
            "has a name that is not letters, digits and '_' with a letter first; give another: name=...",
        )
    earlier = service.handlers.get(name)
    if earlier is not None:
        raise site.error(
            "duplicate_handler", f"has the name of the handler at {earlier.source}; give another: name=..."
        )
    if type_ is HandlerType.WORKFLOW:
        for other in service.handlers.values():
            if other.type is HandlerType.WORKFLOW:
                raise site.error(
                    "two_mains",
                    f"is a second main handler, beside {other.name} at {other.source}; a workflow has one: "
                    "make the others shared",
                )
    _check_handler_options(site, service, type_, options)
    documentation = options.documentation or (cleandoc(function.__doc__) if function.__doc__ else None)
    handler: Handler[Any, Any] = Handler(service, name, type_, function, options, documentation, site)
    with suppress(UnknownName):  # it may be defined by the time the endpoint is made, which asks again
        handler.resolve(local_names_of_caller())
    service.handlers[name] = handler
    return handler


def _service_name(name: object) -> str:
    if not isinstance(name, str):
        where = f" at {source_of(name)}" if callable(name) else ""
        raise UsageError("bad_name", f'a service is named {name!r}{where}; expected text: Service("Greeter")')
    if not SERVICE_NAME.fullmatch(name):
        raise UsageError(
            "bad_name",
            f"a service is named {name!r}; expected letters, digits and ._- with a letter first",
        )
    if is_reserved(name):
        raise UsageError(
            "reserved_name", f"service name {name!r} is reserved: 'openapi' and 'restate...'; choose another"
        )
    return name


def _service_options(name: object, options: ServiceKeywords) -> ServiceOptions:
    try:
        return ServiceOptions(**options)
    except (TypeError, ValueError) as error:
        raise UsageError("bad_option", f"service {name}: {_reason(error)}") from None


def _handler_options(service: ServiceDefinition, options: HandlerKeywords) -> HandlerOptions:
    try:
        return HandlerOptions(**options)
    except (TypeError, ValueError) as error:
        raise UsageError("bad_option", f"a handler of {service.name}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(error).removeprefix("HandlerOptions.__init__() ").removeprefix("ServiceOptions.__init__() ")


def _check_service_options(service: ServiceDefinition) -> None:
    options = service.options
    if options.workflow_retention is not None and service.type is not ServiceType.WORKFLOW:
        raise UsageError(
            "option_without_effect",
            f"service {service.name}: workflow_retention applies to workflows only; "
            "use idempotency_retention",
        )
    if options.lazy_state is not None and service.type is ServiceType.SERVICE:
        raise UsageError(
            "option_without_effect",
            f"service {service.name}: lazy_state is set, but a plain service has no state",
        )


def _check_handler_options(
    site: FunctionSite, service: ServiceDefinition, type_: HandlerType | None, options: HandlerOptions
) -> None:
    code = "option_without_effect"
    if type_ is HandlerType.WORKFLOW:
        if options.idempotency_retention is not None:
            raise site.error(
                code,
                "sets idempotency_retention, but a workflow's key is its idempotency; use workflow_retention",
            )
    elif options.workflow_retention is not None:
        raise site.error(
            code, "sets workflow_retention, which applies to the main handler of a workflow only"
        )
    if options.lazy_state is not None and service.type is ServiceType.SERVICE:
        raise site.error(code, "sets lazy_state, but a plain service has no state")
    if options.private is False and service.options.private:
        raise site.error(
            code, f"is public in a private service; make {service.name} public, its handlers private"
        )
    if not site.parameters and (options.accept is not None or options.input_serde is not None):
        raise site.error(code, "sets how its input is read, but takes none; add a parameter")
