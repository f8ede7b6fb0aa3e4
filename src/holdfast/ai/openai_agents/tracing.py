"""The SDK's traces, told once: ids that every attempt repeats, and silence while it replays.

A handler's code runs again in every attempt, and with it the code that opens and closes spans. Here a trace
or span made in a handler gets an id derived from the invocation and its place in the run, and its processors
hear of its start and end only where no earlier attempt has certainly come past. A span that an earlier
attempt began and this one ends is thus told whole, under one id. What came after the last command of an
attempt may be told twice, under the same id; nothing is lost. Spans made inside steps (the model request
itself) happen once and are left alone.

The traces go where they went before: to the processors that the application has set.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from agents.tracing import Span, Trace, TracingProcessor, get_trace_provider, set_trace_provider
from agents.tracing.provider import DefaultTraceProvider, TraceProvider

from holdfast.sdk.context.base import Context
from holdfast.sdk.context.variable import current_or_none
from holdfast.sdk.loop.durable_loop import DurableLoop, get_running_loop

T = TypeVar("T")

SHUTDOWN_S_MAX = 5.0
"""How long the end of the process may wait for traces; what the SDK gives its own provider."""

_made: WeakKeyDictionary[DurableLoop, int] = WeakKeyDictionary()
"""How many ids each attempt has derived, by its loop: one loop is one attempt."""


class DurableTraceProvider(TraceProvider):
    """Stands before the provider that was there; outside a handler it hands everything on as it is."""

    def __init__(self, inner: TraceProvider) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def register_processor(self, processor: TracingProcessor) -> None:
        """As of `TraceProvider`, like all that follow."""
        self.inner.register_processor(processor)

    def set_processors(self, processors: list[TracingProcessor]) -> None:
        self.inner.set_processors(processors)

    def get_current_trace(self) -> Trace | None:
        return self.inner.get_current_trace()

    def get_current_span(self) -> Span[Any] | None:
        return self.inner.get_current_span()

    def set_disabled(self, disabled: bool) -> None:
        self.inner.set_disabled(disabled)

    def time_iso(self) -> str:
        return self.inner.time_iso()

    def gen_trace_id(self) -> str:
        return _derived("trace", 32) or self.inner.gen_trace_id()

    def gen_span_id(self) -> str:
        return _derived("span", 24) or self.inner.gen_span_id()

    def gen_group_id(self) -> str:
        return _derived("group", 24) or self.inner.gen_group_id()

    def create_trace(self, name: str, trace_id: str | None = None, *args: Any, **kwargs: Any) -> Trace:
        return _quiet(self.inner.create_trace(name, trace_id or _derived("trace", 32), *args, **kwargs))

    def create_span(self, span_data: Any, span_id: str | None = None, *args: Any, **kwargs: Any) -> Span[Any]:
        if span_id is None and not getattr(self.inner, "_disabled", False):
            span_id = _derived("span", 24)
        return _quiet(self.inner.create_span(span_data, span_id, *args, **kwargs))

    def force_flush(self) -> None:
        self.inner.force_flush()

    def shutdown(self) -> None:
        if isinstance(self.inner, DefaultTraceProvider):
            self.inner.shutdown(timeout=SHUTDOWN_S_MAX)
        else:
            self.inner.shutdown()


class OncePerInvocation(TracingProcessor):
    """A processor that hears nothing while a handler replays, or is being taken down."""

    def __init__(self, inner: TracingProcessor) -> None:
        self._inner = inner

    def on_trace_start(self, trace: Trace) -> None:
        """As of `TracingProcessor`, like all that follow."""
        if _is_new():
            self._inner.on_trace_start(trace)

    def on_trace_end(self, trace: Trace) -> None:
        if _is_new():
            self._inner.on_trace_end(trace)

    def on_span_start(self, span: Span[Any]) -> None:
        if _is_new():
            self._inner.on_span_start(span)

    def on_span_end(self, span: Span[Any]) -> None:
        if _is_new():
            self._inner.on_span_end(span)

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self) -> None:
        self._inner.force_flush()


def install_tracing() -> None:
    """Put a `DurableTraceProvider` before the provider in use, once."""
    provider = get_trace_provider()
    if not isinstance(provider, DurableTraceProvider):
        set_trace_provider(DurableTraceProvider(provider))


def _quiet(made: T) -> T:
    """A trace or span of a handler, telling what is new only. Others' kinds, and the SDK's empty one for
    disabled tracing, have no processor to stand before."""
    if current_or_none() is not None:
        processor = getattr(made, "_processor", None)
        if processor is not None:
            cast(Any, made)._processor = OncePerInvocation(processor)
    return made


def _is_new() -> bool:
    loop = get_running_loop()
    if isinstance(loop, DurableLoop) and loop.ending:
        return False
    context = cast("Context | None", current_or_none())
    return context is None or not context.is_repeating


def _derived(kind: str, length: int) -> str | None:
    """The next id of this attempt, the same in all attempts; None outside a handler."""
    context = cast("Context | None", current_or_none())
    loop = get_running_loop()
    if context is None or not isinstance(loop, DurableLoop):
        return None
    number = _made[loop] = _made.get(loop, 0) + 1
    seed = f"{context.invocation_id} {kind} {number}".encode()
    return f"{kind}_{hashlib.sha256(seed).hexdigest()[:length]}"
