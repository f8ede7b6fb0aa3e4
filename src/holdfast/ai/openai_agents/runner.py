"""The SDK's own runner, told to take durable models while it runs in a handler.

`Runner.run` hands every run to the default agent runner; this one stands before the one that was there. It
changes the run's configuration (the provider and the model in it), and what a run raises: an error that
would be the same after every retry, since it follows from the journal, ends the invocation. It is still the
class it was, so `except MaxTurnsExceeded` keeps working.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, cast

from agents import Agent, Model, RunConfig, RunResult, RunResultStreaming
from agents.exceptions import AgentsException, ModelBehaviorError
from agents.models.multi_provider import MultiProvider
from agents.run import AgentRunner, get_default_agent_runner, set_default_agent_runner
from agents.stream_events import StreamEvent

from holdfast.ai.openai_agents.graph import instrument, is_durable
from holdfast.ai.openai_agents.models import durable_model, durable_provider
from holdfast.ai.openai_agents.sessions import durable_session
from holdfast.ai.openai_agents.tracing import install_tracing
from holdfast.ai.strict import in_handler, refuse_unjournaled
from holdfast.sdk.errors import InvocationCancelled, TerminalError

CAUSES_MAX = 8
"""How far a chain of wrapped errors is followed."""

_inside: ContextVar[bool] = ContextVar("holdfast_openai_agents_run", default=False)
"""Set within a durable run: agents met there, as tools or made on the way, are durable too."""


class DurableRunner(AgentRunner):
    """Stands before another runner; outside a handler it hands everything on as it is."""

    def __init__(self, inner: AgentRunner) -> None:
        self.inner = inner

    async def run(self, starting_agent: Agent[Any], input: Any, **kwargs: Any) -> RunResult:  # noqa: A002
        """As of `Runner.run`."""
        if not _takes_part(starting_agent):
            return await self.inner.run(starting_agent, input, **kwargs)
        token = _inside.set(True)
        try:
            return await self.inner.run(starting_agent, input, **_prepared(kwargs))
        except Exception as error:
            found = final(error)
            if found is error:
                raise
            raise found from error
        finally:
            _inside.reset(token)

    def run_sync(self, starting_agent: Agent[Any], input: Any, **kwargs: Any) -> RunResult:  # noqa: A002
        """As of `Runner.run_sync`, which refuses to run where a loop runs."""
        return self.inner.run_sync(starting_agent, input, **kwargs)

    def run_streamed(self, starting_agent: Agent[Any], input: Any, **kwargs: Any) -> RunResultStreaming:  # noqa: A002
        """As of `Runner.run_streamed`."""
        if not _takes_part(starting_agent):
            return self.inner.run_streamed(starting_agent, input, **kwargs)
        token = _inside.set(True)
        try:
            result = self.inner.run_streamed(starting_agent, input, **_prepared(kwargs))
        finally:
            _inside.reset(token)
        # Of this one result: its class is the vendor's.
        result.stream_events = _ending_well(result.stream_events)  # type: ignore[method-assign]
        return result


def install() -> None:
    """Put a `DurableRunner` before the default runner, once."""
    runner = get_default_agent_runner()
    if not isinstance(runner, DurableRunner):
        set_default_agent_runner(DurableRunner(runner))


def _takes_part(agent: Agent[Any]) -> bool:
    if not in_handler():
        return False
    if not is_durable(agent) and not _inside.get():
        refuse_unjournaled(
            f"Runner was called with the agent {getattr(agent, 'name', agent)!r}",
            "make the agent durable where it is defined: agent = durable(agent)",
        )
        return False
    instrument(agent)
    install_tracing()
    return True


def _prepared(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The options of a run, with durable models in its configuration, and a durable session."""
    if kwargs.get("session") is not None:
        kwargs = {**kwargs, "session": durable_session(kwargs["session"])}
    given: object = kwargs.get("run_config")
    if isinstance(given, Mapping):
        fields = dict(cast("Mapping[str, Any]", given))
        changed = _models(fields.get("model"), fields.get("model_provider"))
        return {**kwargs, "run_config": {**fields, **changed}}
    config = cast("RunConfig | None", given)
    if config is None:
        return {**kwargs, "run_config": RunConfig(model_provider=durable_provider(MultiProvider()))}
    return {
        **kwargs,
        "run_config": dataclasses.replace(config, **_models(config.model, config.model_provider)),
    }


def _models(model: Any, provider: Any) -> dict[str, Any]:
    changed = {"model_provider": durable_provider(MultiProvider() if provider is None else provider)}
    if isinstance(model, Model):
        changed["model"] = cast(Any, durable_model(model))
    return changed


def _ending_well(
    stream: Callable[[], AsyncIterator[StreamEvent]],
) -> Callable[[], AsyncIterator[StreamEvent]]:
    async def events() -> AsyncIterator[StreamEvent]:
        try:
            async with aclosing(cast(Any, stream())) as inner:
                async for event in inner:
                    yield event
        except Exception as error:
            found = final(error)
            if found is error:
                raise
            raise found from error

    return events


def final(error: Exception) -> Exception:
    """The error a run in a handler ends with.

    An error of the SDK's that follows from the journal (too many turns, a tripwire, an answer that is not
    what was asked for) and one that wraps a `TerminalError` become terminal. One that wraps an error of the
    user's code stays as it is, and is retried.
    """
    if isinstance(error, TerminalError) or not isinstance(error, AgentsException):
        return error
    cause = error.__cause__
    for _ in range(CAUSES_MAX):
        if cause is None:
            return _terminal(error, None)
        if isinstance(cause, InvocationCancelled):
            return cause
        if isinstance(cause, TerminalError):
            return _terminal(error, cause)
        # What the model wrote and pydantic could not read stays as it is written.
        unreadable = isinstance(error, ModelBehaviorError) and isinstance(cause, ValueError)
        if not isinstance(cause, AgentsException) and not unreadable:
            return error
        cause = cause.__cause__
    return error


_terminal_classes: dict[type[Exception], type[Exception]] = {}


def _terminal(error: AgentsException, cause: TerminalError | None) -> Exception:
    kind = type(error)
    made = _terminal_classes.get(kind)
    if made is None:
        made = _terminal_classes[kind] = type(kind.__name__, (kind, TerminalError), {})
    terminal: Any = made.__new__(made, *error.args)
    if cause is None:
        TerminalError.__init__(terminal, f"{kind.__name__}: {error}")
    else:
        TerminalError.__init__(terminal, cause.message, cause.code, cause.metadata)
    terminal.__dict__.update({k: v for k, v in error.__dict__.items() if k not in terminal.__dict__})
    return cast(Exception, terminal)
