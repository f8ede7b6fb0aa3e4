"""`Durable`: the capability that makes an agent's runs in a handler durable."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from pydantic_ai.agent import AbstractAgent, EventStreamHandler
from pydantic_ai.capabilities.abstract import WrapRunHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperationBackend,
    conversation_id_from_run_id,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models import Model, ModelResolutionContext, infer_model
from pydantic_ai.models.instrumented import InstrumentedModel
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import (
    AgentDepsT,
    DeferredToolRequests,
    DeferredToolResults,
    RunContext,
    ToolApproved,
    ToolDenied,
)

from holdfast.ai.approval import Decision, approval
from holdfast.ai.pydantic_ai.ending import for_good
from holdfast.ai.pydantic_ai.operations import StepBackend
from holdfast.ai.pydantic_ai.options import KEY, ToolOptions
from holdfast.ai.strict import in_handler
from holdfast.sdk.context.ambient import current
from holdfast.sdk.durations import Duration
from holdfast.sdk.errors import InvocationCancelled, SerializeError
from holdfast.sdk.loop.inline_executor import InlineExecutor
from holdfast.sdk.retry import Retry

DENIED = "A person was asked and denied this call."
EXPIRED = "Nobody who may approve this call answered in time."

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the handler's time begins, which has no date of its own."""

INFERRED_MAX = 64
"""Models kept that were named by a text, and as many of what is bound to a model."""

_resolving: ContextVar[bool] = ContextVar("holdfast_resolving_model", default=False)
"""Whether a step is looking for the model that it will ask."""


def _unwritable(error: Exception) -> SerializeError:
    return SerializeError("value_not_of_type", f"it cannot be written as JSON: {error}")


class Durable(BaseDurabilityCapability[AgentDepsT]):
    """Makes an agent's model requests and tools steps of the handler it runs in; see the package's text.

    Args:
        models: further models by name, for `agent.run(model="name")`. Instances need not be listed.
        event_stream_handler: sees the model's events live, in the step; in replays nothing.
        name: the agent's name in messages; taken from the agent.
        model_retry: how failed requests are retried, where the provider does not say when; the invocation's
            policy when None.
        tools: for tools that do not say in their metadata.
        approvals: tools with `requires_approval` wait for a person, by `holdfast.ai.approval`. False: the
            run ends with `DeferredToolRequests`, as without `Durable`.
        approval_timeout: how long, timedelta or seconds; then the model is told. None for ever.
        notify: called once for each approval, in a step, with the call and the id to answer under.
    """

    engine_spec: ClassVar[DurabilityEngineSpec] = DurabilityEngineSpec(
        engine_name="Holdfast",
        durable_unit_noun="step",
        durable_container_noun="handler",
        codec=JSON_CODEC,
        serialization_failure=_unwritable,
        # Connections belong to the process's loop, not to the handler's: who needs one, a step, opens it.
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-never", "dynamic": "enter-never"},
        tool_config_key=KEY,
        cancellation_error_types=(InvocationCancelled,),
    )

    def __init__(
        self,
        *,
        models: Mapping[str, Model] | None = None,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
        name: str | None = None,
        model_retry: Retry | None = None,
        tools: ToolOptions | None = None,
        approvals: bool = True,
        approval_timeout: Duration | None = None,
        notify: Callable[[ToolCallPart, str], Awaitable[object]] | None = None,
    ) -> None:
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        self._backend = StepBackend(model_retry, tools or ToolOptions())
        self._approvals = approvals
        self._approval_timeout = approval_timeout
        self._notify = notify
        self._inferred: dict[str, Model] = {}
        self._model_operations: dict[tuple[str | None, str], Any] = {}
        self._instances: WeakValueDictionary[str, Model] = WeakValueDictionary()

    # What the engine is, for the base.

    @property
    def in_durable_context(self) -> bool:
        """Whether this is a handler's own code. A step's body is not."""
        return in_handler()

    def get_durable_operation_backend(self) -> StepBackend:
        """Where operations become steps."""
        return self._backend

    def get_default_run_id(self) -> str | None:
        """One that replays repeat."""
        return str(current().uuid()) if self.in_durable_context else None

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """Likewise."""
        return conversation_id_from_run_id(run_id) if self.in_durable_context else None

    def get_run_clock(self) -> Callable[[], datetime] | None:
        """What `agent.run(timeout=...)` is measured by: the handler's time, which durable timers move."""
        if not self.in_durable_context:
            return None
        loop = asyncio.get_running_loop()
        return lambda: EPOCH + timedelta(seconds=loop.time())

    # Models. Steps run in the handler's process, so the base, which knows a model by name where it is sent
    # from, is handed the handler's own.

    def _bind_models(self, agent: AbstractAgent[AgentDepsT, Any]) -> None:
        if agent.model is None:
            # Each run brings its own.
            self._default_model_id = None
            self._models_by_id = dict(self._extra_models)
        else:
            super()._bind_models(agent)

    def _bind_to_agent(self, agent: AbstractAgent[AgentDepsT, Any]) -> None:
        self._model_operations = {}
        super()._bind_to_agent(agent)

    def _bind_model_operations(
        self, backend: DurableOperationBackend[Any], *, model_id: str | None, model_name: str
    ) -> Any:
        # The base makes them for every request.
        bound = self._model_operations.get((model_id, model_name))
        if bound is None:
            if len(self._model_operations) >= INFERRED_MAX:
                self._model_operations.clear()
            bound = super()._bind_model_operations(backend, model_id=model_id, model_name=model_name)
            self._model_operations[model_id, model_name] = bound
        return bound

    async def resolve_model_id(
        self, ctx: ModelResolutionContext[AgentDepsT], *, model_id: str
    ) -> Model | None:
        """The model of a name; in a handler and its steps, the same one each time, with its connections."""
        registered = await super().resolve_model_id(ctx, model_id=model_id)
        if registered is not None or not (_resolving.get() or self.in_durable_context):
            return registered
        inferred = self._inferred.get(model_id)
        if inferred is None:
            if len(self._inferred) >= INFERRED_MAX:
                self._inferred.clear()
            inferred = self._inferred[model_id] = infer_model(model_id)
        return inferred

    def _registered_model_id(self, model: Model) -> tuple[bool, str | None]:
        # What is registered is left open after a request: it is the handler's.
        for kept in (self._inferred, self._instances):
            for model_id, one in kept.items():
                if one is model:
                    return True, model_id
        return super()._registered_model_id(model)

    def _find_model_id(self, model: Model) -> str | None:
        try:
            return super()._find_model_id(model)
        except UserError:
            # Spans are made around what is found here, so not around a model that makes them, too.
            while isinstance(model, InstrumentedModel):
                model = model.wrapped
            model_id = f"instance {id(model)}"
            self._instances[model_id] = model
            return model_id

    async def _resolve_model_for_request(
        self, model_id: str | None, run_context: RunContext[AgentDepsT]
    ) -> Model:
        model = None if model_id is None else self._instances.get(model_id)
        if model is None:
            token = _resolving.set(True)
            try:
                model = await super()._resolve_model_for_request(model_id, run_context)
            finally:
                _resolving.reset(token)
        # As the agent does it before other runs: connections of a loop that has ended are of no use.
        refresh = getattr(model, "_refresh_http_client", None)
        if refresh is not None:
            refresh()
        return model

    # The run.

    async def wrap_run(self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Run the agent as a handler's code."""
        if not self.in_durable_context:
            return await super().wrap_run(ctx, handler=handler)
        with AbstractAgent.using_thread_executor(_INLINE):
            return await super().wrap_run(ctx, handler=handler)

    async def on_run_error(self, ctx: RunContext[AgentDepsT], *, error: BaseException) -> AgentRunResult[Any]:
        """Raise it; for good, if a replay would raise it again."""
        raise for_good(error) if self.in_durable_context else error

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[AgentDepsT], *, requests: DeferredToolRequests
    ) -> DeferredToolResults | None:
        """Ask for every approval at once, and wait for all of them."""
        if not (self._approvals and requests.approvals and self.in_durable_context):
            return None
        calls = requests.approvals
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(call, requests)) for call in calls]
        decided = {call.tool_call_id: task.result() for call, task in zip(calls, asked, strict=True)}
        return requests.build_results(
            approvals={call_id: _result(decision) for call_id, decision in decided.items()},
            metadata={id_: requests.metadata[id_] for id_ in decided if id_ in requests.metadata},
        )

    async def _ask(self, call: ToolCallPart, requests: DeferredToolRequests) -> Decision:
        details: dict[str, object] = {
            "tool": call.tool_name,
            "call_id": call.tool_call_id,
            "arguments": call.args_as_dict(),
        }
        if metadata := requests.metadata.get(call.tool_call_id):
            details["metadata"] = metadata
        notify = self._notify
        return await approval(
            call.tool_name,
            timeout=self._approval_timeout,
            details=details,
            notify=None if notify is None else lambda id_: notify(call, id_),
        )


def _result(decision: Decision) -> ToolApproved | ToolDenied:
    if decision:
        arguments = decision.arguments
        return ToolApproved(override_args=None if arguments is None else dict(arguments))
    if decision.outcome == "expired":
        return ToolDenied(EXPIRED)
    return ToolDenied(f"{DENIED} The reason: {decision.reason}" if decision.reason else DENIED)


_INLINE = InlineExecutor("holdfast-tool")
