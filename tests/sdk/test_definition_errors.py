"""Mistakes in definitions: each is refused where it is made; the error says where, what and what to do.

Goal: no mistake waits for production. Method: every wrong definition, with its error code and the words that
a reader needs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Any

import pytest

from holdfast import (
    Context,
    InvocationRetry,
    ObjectContext,
    Service,
    SharedObjectContext,
    SharedWorkflowContext,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
)
from holdfast.sdk.services import check_services


def plain(ctx: Context) -> None: ...


async def generator(ctx: Context) -> AsyncIterator[int]:
    yield 1


async def no_input_type(ctx: Context, name) -> None: ...  # type: ignore[no-untyped-def]


async def no_output_type(ctx: Context, name: str): ...  # type: ignore[no-untyped-def]


async def context_without_type(ctx) -> None: ...  # type: ignore[no-untyped-def]


async def two_inputs(ctx: Context, first: str, second: str) -> None: ...


async def two_inputs_no_context(first: str, second: str) -> None: ...


async def context_last(name: str, ctx: Context) -> None: ...


async def two_contexts(ctx: Context, other: ObjectContext) -> None: ...


async def keyword_only(ctx: Context, *, name: str) -> None: ...


async def any_number(*names: str) -> None: ...


async def unserialisable(ctx: Context, value: range) -> None: ...


async def unserialisable_output(ctx: Context) -> Callable[[], int]:
    return lambda: 1


async def _hidden(ctx: Context) -> None: ...


async def good(ctx: Context) -> None: ...


async def with_object(ctx: ObjectContext) -> None: ...


async def with_shared_object(ctx: SharedObjectContext) -> None: ...


async def with_workflow(ctx: WorkflowContext) -> None: ...


async def with_shared_workflow(ctx: SharedWorkflowContext) -> None: ...


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        (plain, "handler_not_async", "async def"),
        (generator, "handler_not_async", "async generator"),
        (5, "handler_not_async", "is 5; expected an `async def` function"),
        (no_input_type, "missing_annotation", "'name'; annotate it with its type, or `Any`"),
        (no_output_type, "missing_annotation", "return annotation"),
        (context_without_type, "missing_annotation", "`Context` if it is the context"),
        (two_inputs, "too_many_inputs", "'second'; a handler takes at most one"),
        (two_inputs_no_context, "too_many_inputs", "'second'"),
        (context_last, "context_not_first", "'ctx' first"),
        (two_contexts, "two_contexts", "'other'"),
        (keyword_only, "bad_parameter", "*, name;"),
        (any_number, "bad_parameter", "*names;"),
        (unserialisable, "type_not_serialisable", "its input 'value'"),
        (unserialisable_output, "type_not_serialisable", "its result"),
        (with_object, "wrong_context", "annotate 'ctx' with Context, or define it on a VirtualObject"),
        (with_shared_workflow, "wrong_context", "or define it on a Workflow"),
    ],
)
def test_functions_no_handler_can_be(function: Any, code: str, words: str) -> None:
    service = Service("Wrong")
    with pytest.raises(UsageError) as refused:
        service.handler(function)
    assert refused.value.code == code
    assert words in refused.value.message
    assert f"Wrong/{getattr(function, '__name__', function)}" in refused.value.message
    if callable(function):
        line = function.__code__.co_firstlineno
        assert f"{PurePath(__file__).name}:{line}" in refused.value.message
    assert service.handlers == {}


@pytest.mark.parametrize(
    ("decorator", "function", "words"),
    [
        (VirtualObject("V").shared, with_object, "make it exclusive with @<object>.handler"),
        (VirtualObject("V").handler, with_workflow, "define it on a Workflow"),
        (VirtualObject("V").shared, with_shared_workflow, "annotate 'ctx' with SharedObjectContext"),
        (Workflow("W").shared, with_workflow, "make it the main handler with @<workflow>.main"),
        (Workflow("W").main, with_object, "annotate 'ctx' with WorkflowContext, or define it on a Virtual"),
    ],
)
def test_contexts_that_offer_more_than_the_handler_has(decorator: Any, function: Any, words: str) -> None:
    with pytest.raises(UsageError, match="wrong_context") as refused:
        decorator(function)
    assert words in refused.value.message


def test_names() -> None:
    for name in ("1st", "", "a b", "-x", "_", "ä", "restateThing", "RESTATE", "OpenAPI", 5, good):
        with pytest.raises(UsageError) as refused:
            Service(name)  # type: ignore[arg-type]
        assert refused.value.code in ("bad_name", "reserved_name")
    service = Service("A.b-c_1")
    for name in ("1st", "", "a.b", "a-b", "_", "é"):
        with pytest.raises(UsageError, match="bad_name"):
            service.handler(name=name)(good)
    assert service.handler(name="_a1")(good).name == "_a1"
    assert service.handler(_hidden).name == "_hidden"


def test_a_name_is_used_once() -> None:
    service = Service("Twice")
    first = service.handler(good)
    with pytest.raises(UsageError, match="duplicate_handler") as refused:
        service.handler(name="good")(_hidden)
    assert first.source in refused.value.message


def test_a_workflow_has_one_main() -> None:
    flow = Workflow("Flow")
    with pytest.raises(UsageError, match="no_handlers"):
        check_services([flow])
    flow.shared(good)
    with pytest.raises(UsageError, match="workflow_without_main"):
        check_services([flow])
    flow.main(with_workflow)
    check_services([flow])
    with pytest.raises(UsageError, match="two_mains"):
        flow.main(with_shared_workflow)


def test_services_that_do_not_fit_together() -> None:
    one, other = Service("Same"), Service("Same")
    handler = one.handler(good)
    other.handler(good)
    with pytest.raises(UsageError, match="duplicate_service"):
        check_services([one, other])
    with pytest.raises(UsageError, match="not_a_service"):
        check_services([handler])
    assert list(check_services([one, one])) == ["Same"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Service("S", workflow_retention=1), "workflow_retention applies to workflows"),
        (lambda: Service("S", lazy_state=True), "has no state"),
        (lambda: Service("S").handler(lazy_state=True)(good), "has no state"),
        (lambda: Service("S").handler(workflow_retention=1)(good), "main handler of a workflow only"),
        (lambda: Workflow("W").shared(workflow_retention=1)(good), "main handler of a workflow only"),
        (lambda: Workflow("W").main(idempotency_retention=1)(good), "use workflow_retention"),
        (lambda: Service("S", private=True).handler(private=False)(good), "private service"),
        (lambda: Service("S").handler(accept="a/b")(_no_parameters), "takes none"),
    ],
)
def test_options_without_effect(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match="option_without_effect") as refused:
        make()
    assert words in refused.value.message


async def _no_parameters() -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {"inactivity_timeout": -1},
        {"inactivity_timeout": "1m"},
        {"abort_timeout": True},
        {"journal_retention": float("nan")},
        {"idempotency_retention": timedelta(seconds=-1)},
        {"private": "yes"},
        {"lazy_state": 1},
        {"retry": {"max_attempts": 3}},
        {"metadata": {"team": 5}},
        {"metadata": ["team"]},
        {"documentation": 5},
        {"privat": True},
    ],
)
def test_options_of_the_wrong_kind_are_named(options: dict[str, Any]) -> None:
    for make in (lambda: VirtualObject("V", **options), lambda: VirtualObject("V").handler(**options)):
        with pytest.raises(UsageError, match="bad_option") as refused:
            make()
        assert next(iter(options)) in refused.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"factor": 0.5},
        {"factor": float("inf")},
        {"initial_interval": -1},
        {"max_interval": "long"},
        {"on_max_attempts": "explode"},
    ],
)
def test_retry_policies_check_themselves(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        InvocationRetry(**wrong)


def test_every_code_is_documented() -> None:
    """Goal: who searches for a code finds it. Method: the codes in the modules that raise them."""
    root = Path(__file__).resolve().parents[2]
    source = root / "src" / "holdfast" / "sdk"
    files = [source / f"{name}.py" for name in ("errors", "signatures", "services", "discovery")]
    text = "".join(file.read_text() for file in [*files, *(source / "serde").glob("*.py")])
    codes = set(re.findall(r"(?:error|Error)\(\s*\"([a-z]+_[a-z_]+)\"", text))
    documented = (root / "docs" / "errors.md").read_text()
    assert len(codes) > 20
    assert not {code for code in codes if f"`{code}`" not in documented}
