"""Reading a handler's function: does it take a context, an input, and of which types?

Everything is decided by annotations. Under `from __future__ import annotations` they are text, and the names
in them may be defined later in the module, inside the function that defines the handler, or only for type
checkers. So each annotation is looked up by itself, first where the decorator stands; what is unknown then is
looked up again when the handler is first used, and only then an error. A context class that is imported for
type checkers only is known by its name.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from holdfast.protocol.manifest import HandlerType, ServiceType
from holdfast.sdk.context_kinds import ContextBase, ContextKind
from holdfast.sdk.errors import UsageError
from holdfast.sdk.serde import NO_INPUT, UNKNOWN_ANNOTATION, Serde, serde_for

_NOTHING = inspect.Parameter.empty

_KINDS: dict[tuple[ServiceType, HandlerType | None], tuple[ContextKind, ...]] = {
    (ServiceType.SERVICE, None): (ContextKind.SERVICE,),
    (ServiceType.VIRTUAL_OBJECT, HandlerType.EXCLUSIVE): (
        ContextKind.OBJECT,
        ContextKind.SHARED_OBJECT,
        ContextKind.SERVICE,
    ),
    (ServiceType.VIRTUAL_OBJECT, HandlerType.SHARED): (ContextKind.SHARED_OBJECT, ContextKind.SERVICE),
    (ServiceType.WORKFLOW, HandlerType.WORKFLOW): (
        ContextKind.WORKFLOW,
        ContextKind.SHARED_WORKFLOW,
        ContextKind.SHARED_OBJECT,
        ContextKind.SERVICE,
    ),
    (ServiceType.WORKFLOW, HandlerType.SHARED): (
        ContextKind.SHARED_WORKFLOW,
        ContextKind.SHARED_OBJECT,
        ContextKind.SERVICE,
    ),
}
"""The contexts a handler may ask for, the usual one first: a wider one would offer what it cannot do."""

_STARS: dict[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
    inspect.Parameter.KEYWORD_ONLY: "*, ",
}

_KIND_NAMES: dict[tuple[ServiceType, HandlerType | None], str] = {
    (ServiceType.SERVICE, None): "a handler of a plain service",
    (ServiceType.VIRTUAL_OBJECT, HandlerType.EXCLUSIVE): "an exclusive handler of a virtual object",
    (ServiceType.VIRTUAL_OBJECT, HandlerType.SHARED): "a shared handler of a virtual object",
    (ServiceType.WORKFLOW, HandlerType.WORKFLOW): "the main handler of a workflow",
    (ServiceType.WORKFLOW, HandlerType.SHARED): "a shared handler of a workflow",
}


class UnknownName(UsageError):
    """A name in an annotation that is not defined, or not yet."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler's function takes and gives; fields as in `Handler`."""

    takes_context: bool
    takes_input: bool
    input_required: bool
    input: Serde[Any]
    output: Serde[Any]


class FunctionSite:
    """A handler's function and where it stands, with what is known of its annotations so far.

    Raises:
        UsageError: not an `async def`, parameters no handler can have, a missing annotation.
    """

    __slots__ = (
        "_hints",
        "_raw",
        "function",
        "handler_type",
        "label",
        "parameters",
        "service_type",
        "source",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        label: str,
        service_type: ServiceType,
        handler_type: HandlerType | None,
        *,
        own_input: bool = False,
        own_output: bool = False,
    ) -> None:
        self.function = function
        self.label = label
        self.service_type = service_type
        self.handler_type = handler_type
        self.source = source_of(function)
        self._check_async()
        signature = inspect.signature(function)
        self.parameters = list(signature.parameters.values())
        self._raw: dict[str, object] = {p.name: p.annotation for p in self.parameters}
        self._raw["return"] = signature.return_annotation
        self._hints: dict[str, object] = {}
        self._check_parameters(own_input)
        if self._raw["return"] is _NOTHING:
            if not own_output:
                raise self.error(
                    "missing_annotation",
                    "has no return annotation; add one, such as `-> str` or `-> None`, or `-> Any` for JSON",
                )
            self._raw["return"] = object

    def error(self, code: str, problem: str) -> UsageError:
        """An error about this handler, to be raised."""
        return UsageError(code, f"handler {self.label} ({self.source}) {problem}")

    def hint(self, name: str, local_names: Mapping[str, object] | None = None) -> object:
        """The annotation of a parameter, or of "return", with all names in it looked up.

        Raises:
            UnknownName: some name is not defined (yet).
        """
        if name in self._hints:
            return self._hints[name]
        raw = self._raw[name]

        def holder() -> None: ...

        holder.__annotations__ = {name: raw}
        globals_ = _globals_of(self.function)
        try:
            hints = get_type_hints(holder, globals_, dict(local_names or {}), include_extras=True)
        except NameError as error:
            if isinstance(raw, str) and raw.rpartition(".")[2] in _BY_NAME:
                hint: object = _BY_NAME[raw.rpartition(".")[2]]
            else:
                where = "the return annotation" if name == "return" else f"the annotation of {name!r}"
                raise UnknownName(
                    UNKNOWN_ANNOTATION,
                    f"handler {self.label} ({self.source}): {where}, {raw!r}, names "
                    f"{error.name or 'something'!r}, which is not defined there; import it for real, not "
                    "only under TYPE_CHECKING, and define it at module level",
                ) from None
        except (SyntaxError, TypeError, AttributeError) as error:
            raise self.error(
                "bad_annotation", f"has an annotation that cannot be read, {raw!r}: {error}"
            ) from error
        else:
            hint = hints[name]
        self._hints[name] = hint
        return hint

    def _check_async(self) -> None:
        function: object = self.function
        if inspect.iscoroutinefunction(function):
            return
        if inspect.isasyncgenfunction(function):
            problem = "is an async generator; collect what it yields and return it"
        elif callable(function):
            problem = "is not an `async def` function; write `async def`, and call others with ctx.run(...)"
        else:
            problem = f"is {function!r}; expected an `async def` function"
        raise self.error("handler_not_async", problem)

    def _check_parameters(self, own_input: bool) -> None:
        for parameter in self.parameters:
            stars = _STARS.get(parameter.kind)
            if stars is not None:
                raise self.error(
                    "bad_parameter",
                    f"has the parameter {stars}{parameter.name}; a handler takes a context and one input",
                )
        if len(self.parameters) > 2:
            raise self._too_many(self.parameters[2].name)
        for index, parameter in enumerate(self.parameters):
            if parameter.annotation is not _NOTHING:
                continue
            if own_input and index == len(self.parameters) - 1 and parameter.name not in ("ctx", "context"):
                self._raw[parameter.name] = object
                continue
            usual = _KINDS[self.service_type, self.handler_type][0]
            advice = "its type, or `Any` for plain JSON"
            if index == 0:
                advice = f"`{usual}` if it is the context, else with {advice}"
            raise self.error(
                "missing_annotation", f"has the parameter {parameter.name!r}; annotate it with {advice}"
            )

    def _too_many(self, name: str) -> UsageError:
        return self.error(
            "too_many_inputs",
            f"has one input too many, {name!r}; a handler takes at most one: put them into a dataclass, "
            "a model or a TypedDict",
        )

    def context_parameter(self, local_names: Mapping[str, object] | None) -> bool:
        """Whether the first parameter receives the context, which then must be one that fits."""
        kinds = [self._context_kind(p.name, local_names) for p in self.parameters]
        if len(kinds) == 2 and kinds[0] is None:
            if kinds[1] is not None:
                raise self.error(
                    "context_not_first",
                    f"takes the context as its second parameter; put {self.parameters[1].name!r} first",
                )
            raise self._too_many(self.parameters[1].name)
        if len(kinds) == 2 and kinds[1] is not None:
            raise self.error(
                "two_contexts", f"takes two contexts; annotate {self.parameters[1].name!r} as the input"
            )
        if not kinds or kinds[0] is None:
            return False
        place = (self.service_type, self.handler_type)
        if kinds[0] not in _KINDS[place]:
            raise self.error(
                "wrong_context",
                f"takes `{kinds[0]}`, but it is {_KIND_NAMES[place]}; annotate {self.parameters[0].name!r} "
                f"with {_KINDS[place][0]}{_other_place(kinds[0], self.service_type)}",
            )
        return True

    def _context_kind(self, name: str, local_names: Mapping[str, object] | None) -> ContextKind | None:
        hint = self.hint(name, local_names)
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        if isinstance(hint, ContextKind):
            return hint
        cls = get_origin(hint) or hint
        if isinstance(cls, type) and issubclass(cls, ContextBase):
            return cls.kind
        return None


_BY_NAME: dict[str, ContextKind] = {str(kind): kind for kind in ContextKind}


def resolve_signature(site: FunctionSite, local_names: Mapping[str, object] | None = None) -> Signature:
    """Reads all annotations.

    Args:
        local_names: names known where the decorator stands, besides the module's.
    Raises:
        UnknownName: a name is not defined, or not yet.
        UsageError: a context that does not fit, a type that cannot be serialised.
    """
    takes_context = site.context_parameter(local_names)
    rest = site.parameters[1:] if takes_context else site.parameters
    input_: Serde[Any] = NO_INPUT
    required = False
    if rest:
        input_ = _serde(site, rest[0].name, local_names)
        required = rest[0].default is _NOTHING
    output = _serde(site, "return", local_names)
    return Signature(takes_context, bool(rest), required, input_, output)


def _serde(site: FunctionSite, name: str, local_names: Mapping[str, object] | None) -> Serde[Any]:
    hint = site.hint(name, local_names)
    try:
        return serde_for(hint)
    except UsageError as error:
        what = "its result" if name == "return" else f"its input {name!r}"
        refused = site.error(error.code, f"cannot have {what} of this type: {error.message}")
        if error.code == UNKNOWN_ANNOTATION:
            raise UnknownName(refused.code, refused.message) from error
        raise refused from error


def local_names_of_caller() -> dict[str, object]:
    """The local names where the SDK was called; for annotations that are text inside a function."""
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("holdfast.sdk."):
        frame = frame.f_back
    return {} if frame is None or frame.f_locals is frame.f_globals else dict(frame.f_locals)


def source_of(function: object) -> str:
    """`file.py:12` of a function, relative to the working directory where that is shorter."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    if code is None:
        return f"a {type(function).__name__}"
    file: str = code.co_filename
    here = os.getcwd() + os.sep
    return f"{file.removeprefix(here)}:{code.co_firstlineno}"


def _globals_of(function: Callable[..., Any]) -> dict[str, Any]:
    inner = inspect.unwrap(function)
    if not isinstance(inner, FunctionType):
        return {}
    if not inner.__closure__:
        return inner.__globals__
    names = dict(inner.__globals__)
    for name, cell in zip(inner.__code__.co_freevars, inner.__closure__, strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    return names


def _other_place(kind: ContextKind, service_type: ServiceType) -> str:
    """Where a handler with this context would belong."""
    match kind:
        case ContextKind.OBJECT if service_type is ServiceType.VIRTUAL_OBJECT:
            return ", or make it exclusive with @<object>.handler"
        case ContextKind.OBJECT | ContextKind.SHARED_OBJECT:
            return ", or define it on a VirtualObject"
        case ContextKind.WORKFLOW if service_type is ServiceType.WORKFLOW:
            return ", or make it the main handler with @<workflow>.main"
        case ContextKind.WORKFLOW | ContextKind.SHARED_WORKFLOW:
            return ", or define it on a Workflow"
        case ContextKind.SERVICE:
            return ""
