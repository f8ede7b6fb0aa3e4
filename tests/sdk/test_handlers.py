"""Handlers as users define them: what the decorators read from a function, and what they make of it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from holdfast import (
    Context,
    ObjectContext,
    Service,
    SharedObjectContext,
    SharedWorkflowContext,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
)
from holdfast.protocol.manifest import HandlerType, ServiceType
from holdfast.sdk.errors import DeserializeError
from holdfast.sdk.serde import BYTES, NO_INPUT, NOTHING
from holdfast.sdk.services import check_services

if TYPE_CHECKING:
    DefinedBelow = int


@dataclass
class Order:
    number: int


def test_the_decorator_answers_with_the_handler() -> None:
    service = Service("Greeter")

    @service.handler
    async def greet(ctx: Context, name: str) -> str:
        """Says hello.

        More about it.
        """
        return name

    assert service.handlers == {"greet": greet}
    assert (greet.service, greet.name, greet.type) == (service, "greet", None)
    assert (greet.takes_context, greet.takes_input, greet.input_required) == (True, True, True)
    assert greet.documentation == "Says hello.\n\nMore about it."
    assert greet.source.endswith(f"test_handlers.py:{greet.function.__code__.co_firstlineno}")
    assert not greet.keyed
    assert "Greeter/greet" in repr(greet)


def test_the_same_with_options() -> None:
    service = Service("Greeter")

    @service.handler(name="hello", private=True, documentation="Not the docstring.")
    async def greet(ctx: Context, name: str) -> str:
        """The docstring."""
        return name

    assert service.handlers == {"hello": greet}
    assert greet.options.private is True
    assert greet.documentation == "Not the docstring."


def test_every_shape_of_function() -> None:
    """Goal: context and input are both optional; without input nothing is expected."""
    service = Service("Shapes")

    @service.handler
    async def both(ctx: Context, order: Order) -> Order:
        return order

    @service.handler
    async def context_only(ctx: Context) -> None: ...

    @service.handler
    async def input_only(data: bytes) -> bytes:
        return data

    @service.handler
    async def nothing() -> None: ...

    @service.handler
    async def with_default(ctx: Context, name: str = "you") -> str:
        return name

    shapes = {
        handler.name: (handler.takes_context, handler.takes_input, handler.input_required)
        for handler in service.handlers.values()
    }
    assert shapes == {
        "both": (True, True, True),
        "context_only": (True, False, False),
        "input_only": (False, True, True),
        "nothing": (False, False, False),
        "with_default": (True, True, False),
    }
    assert context_only.input is NO_INPUT
    assert context_only.output is NOTHING
    assert input_only.input is BYTES


def test_what_a_function_is_called_with() -> None:
    service = Service("Arguments")
    context = object()

    @service.handler
    async def both(ctx: Context, order: Order) -> None: ...

    @service.handler
    async def nothing() -> None: ...

    @service.handler
    async def with_default(ctx: Context, name: str = "you") -> None: ...

    assert both.arguments(context, b'{"number":7}') == (context, Order(7))
    assert nothing.arguments(context, b"") == ()
    assert with_default.arguments(context, b"") == (context,)
    assert with_default.arguments(context, b'"Ada"') == (context, "Ada")
    with pytest.raises(DeserializeError, match=r"expected Order: Expected `int`, got `str` - at `\$.number`"):
        both.arguments(context, b'{"number":"7"}')
    with pytest.raises(DeserializeError, match="nothing is expected"):
        nothing.arguments(context, b'"Ada"')


def test_a_handler_called_directly_is_its_function() -> None:
    service = Service("Direct")

    @service.handler
    async def double(number: int) -> int:
        return number * 2

    assert asyncio.run(double(21)) == 42
    assert asyncio.run(double(number=21)) == 42


def test_objects_and_workflows_have_kinds_of_handlers() -> None:
    counter = VirtualObject("Counter")
    signup = Workflow("Signup")

    @counter.handler
    async def add(ctx: ObjectContext, by: int) -> int:
        return by

    @counter.shared
    async def value(ctx: SharedObjectContext) -> int:
        return 1

    @signup.main
    async def run(ctx: WorkflowContext) -> bool:
        return True

    @signup.shared
    async def approve(ctx: SharedWorkflowContext, ok: bool) -> None: ...

    kinds = [handler.type for handler in (add, value, run, approve)]
    assert kinds == [HandlerType.EXCLUSIVE, HandlerType.SHARED, HandlerType.WORKFLOW, HandlerType.SHARED]
    assert (counter.type, signup.type) == (ServiceType.VIRTUAL_OBJECT, ServiceType.WORKFLOW)
    assert add.keyed
    assert run.keyed


def test_narrower_contexts_are_allowed() -> None:
    """Goal: a handler may ask for less than it could have."""
    counter = VirtualObject("Counter")

    @counter.handler
    async def reads(ctx: SharedObjectContext) -> None: ...

    @counter.handler
    async def only_calls(ctx: Context) -> None: ...

    assert reads.takes_context
    assert only_calls.takes_context


def test_names_defined_later_are_looked_up_later() -> None:
    service = Service("Later")

    @service.handler
    async def place(ctx: Context, order: DefinedBelow) -> list[DefinedBelow]:
        return [order]

    with pytest.raises(UsageError) as unknown:
        place.input  # noqa: B018
    assert unknown.value.code == "unknown_annotation"
    for part in ("Later/place", "test_handlers.py:", "'order'", "'DefinedBelow'"):
        assert part in unknown.value.message
    try:
        globals()["DefinedBelow"] = Order
        assert place.input.deserialize(b'{"number":1}') == Order(1)
        assert place.output.serialize([Order(1)]) == b'[{"number":1}]'
    finally:
        del globals()["DefinedBelow"]


def test_classes_may_name_what_is_defined_later() -> None:
    """Goal: a forward reference inside a dataclass or a model waits as one in the signature does."""
    for base, made in (("", "@dataclass\n"), ("(BaseModel)", "")):
        service = Service("Later")
        module: dict[str, Any] = {"service": service, "__name__": f"later_module_{len(base)}"}
        sys.modules[module["__name__"]] = ModuleType(module["__name__"])
        sys.modules[module["__name__"]].__dict__.update(module)
        module = sys.modules[module["__name__"]].__dict__
        try:
            exec(
                "from dataclasses import dataclass\n"
                "from pydantic import BaseModel\n"
                f"{made}class Tree{base}:\n    leaf: 'Leaf'\n"
                "@service.handler\n"
                "async def grow(tree: Tree) -> int: return tree.leaf.size\n",
                module,
            )
            with pytest.raises(UsageError, match="unknown_annotation"):
                check_services([service])
            exec(f"{made}class Leaf{base}:\n    size: int\n", module)
            check_services([service])
            (tree,) = service.handlers["grow"].arguments(None, b'{"leaf":{"size":3}}')
            assert asyncio.run(service.handlers["grow"](tree)) == 3
        finally:
            del sys.modules[module["__name__"]]


def test_a_context_imported_for_type_checkers_only_is_known_by_its_name() -> None:
    flow = Workflow("Flow")
    module = {
        "flow": flow,
        "__name__": "user_module",
    }
    exec(
        "from __future__ import annotations\n"
        "@flow.main\n"
        "async def run(ctx: holdfast.WorkflowContext, text: str) -> str: return text\n",
        module,
    )
    assert flow.handlers["run"].takes_context


def test_local_classes_are_found_where_the_decorator_stands() -> None:
    @dataclass
    class Local:
        text: str

    service = Service("Local")

    @service.handler
    async def use(ctx: Context, value: Local) -> Annotated[Local, "as it came"]:
        return value

    assert use.input.deserialize(b'{"text":"x"}') == Local("x")


def test_wrapped_functions_are_read_through() -> None:
    """Goal: a decorator of one's own that uses `functools.wraps` keeps the types."""

    def logged(function: Any) -> Any:
        @wraps(function)
        async def wrapper(*args: Any) -> Any:
            return await function(*args)

        return wrapper

    service = Service("Wrapped")

    @service.handler
    @logged
    async def place(ctx: Context, order: Order) -> int:
        return order.number

    assert place.input.deserialize(b'{"number":1}') == Order(1)
    assert asyncio.run(place(None, Order(3))) == 3


class Reversed:
    """A serde of one's own."""

    content_type = "text/plain"

    def serialize(self, value: str, /) -> bytes:
        return value[::-1].encode()

    def deserialize(self, data: bytes, /) -> str:
        return data.decode()[::-1]

    def schema(self) -> dict[str, object] | None:
        return None


def test_serdes_can_be_given() -> None:
    service = Service("Own")
    reverse = Reversed()

    @service.handler(input_serde=reverse, output_serde=reverse)
    async def unannotated(ctx: Context, text):  # type: ignore[no-untyped-def]
        return text

    globals()["REVERSE"] = reverse
    try:

        @service.handler
        async def annotated(ctx: Context, text: Annotated[str, REVERSE]) -> Annotated[str, REVERSE]:  # noqa: F821
            return text
    finally:
        del globals()["REVERSE"]

    for handler in (unannotated, annotated):
        assert handler.input is reverse
        assert handler.output.serialize("abc") == b"cba"


def test_check_services_reads_what_was_left() -> None:
    service = Service("Greeter")

    @service.handler
    async def greet(ctx: Context, name: str) -> str:
        return name

    assert check_services([service]) == {"Greeter": service}
