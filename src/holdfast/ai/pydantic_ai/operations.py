"""Pydantic AI's durable operations, each as one step of the running handler.

Pydantic AI says what is to be done once (an operation, its parameters, how its result is written); this says
under which name it is journaled and what the journal shows of it. **Names are compatibility data**: a replay
compares them, so changing one strands the invocations under way.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic_ai.durable_exec import (
    BoundDurableOperation,
    CapabilityOperationId,
    DurableOperation,
    DurableOperationBackend,
    DynamicToolsetCallToolParams,
    EventStreamHandlerId,
    ModelCancelSuspendedResponseId,
    ModelCompactMessagesId,
    ModelCompactMessagesParams,
    ModelRequestId,
    ModelRequestParams,
    ResultCodec,
    ToolsetCallToolId,
    ToolsetCallToolParams,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
    durable_unit_scope,
)
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.tools import RunContext
from pydantic_ai.toolsets import ToolsetTool

from holdfast.ai.errors import as_step_error
from holdfast.ai.pydantic_ai.options import ToolOptions, read_options
from holdfast.ai.pydantic_ai.shown import described, shown_messages
from holdfast.ai.steps import described_step, model_step, tool_step
from holdfast.sdk.context.ambient import current
from holdfast.sdk.errors import InvocationCancelled, TerminalError
from holdfast.sdk.retry import Retry
from holdfast.sdk.serde.api import Serde
from holdfast.sdk.serde.plain import JSON

ParamsT = TypeVar("ParamsT")
WireT = TypeVar("WireT")
ResultT = TypeVar("ResultT")

FRAMEWORK = "pydantic-ai"

NO_RETRIES = 0
"""Of the provider's client: the engine retries, and would multiply its attempts."""


def step_name(operation: object, tool: str = "") -> str:
    """What the journal calls a step.

    Args:
        operation: a `DurableOperationId`.
        tool: its name, where the operation is about one.
    """
    match operation:
        case ModelRequestId(model_name=model):
            return model
        case ModelCompactMessagesId(model_name=model):
            return f"compact with {model}"
        case ModelCancelSuspendedResponseId(model_name=model):
            return f"cancel {model}"
        case ToolsetCallToolId():
            return f"tool {tool}"
        case ToolsetValidateToolArgumentsId():
            return f"check arguments of {tool}"
        case ToolsetGetToolsId(toolset_id=toolset):
            return f"tools of {toolset}"
        case ToolsetGetInstructionsId(toolset_id=toolset):
            return f"instructions of {toolset}"
        case EventStreamHandlerId():
            return "event handler"
        case CapabilityOperationId(capability_id=capability, operation=done):
            return f"{capability} {done}"
        case _:  # a newer Pydantic AI may know more of them
            return type(operation).__name__


class StepBackend(DurableOperationBackend[ToolOptions]):
    """Runs operations as steps.

    Args:
        model_retry, tools: of steps that do not say; see `Durable`.
    """

    def __init__(self, model_retry: Retry | None, tools: ToolOptions) -> None:
        self.model_retry = model_retry
        self.tools = tools

    def bind(
        self, operation: DurableOperation[ParamsT, WireT, ResultT]
    ) -> BoundDurableOperation[ParamsT, WireT, ResultT]:
        """The operation, ready to be called with its parameters."""
        return _StepOperation(operation, self)

    def config_for_tool(
        self, operation: DurableOperation[ParamsT, WireT, ResultT], *, tool: object | None, tool_name: str
    ) -> ToolOptions | Literal[False]:
        """What a tool's metadata asks for; False for no step."""
        metadata = cast("ToolsetTool[Any]", tool).tool_def.metadata if tool is not None else None
        return read_options(tool_name, metadata, self.tools) or False

    def registrations(self) -> Sequence[Callable[..., object]]:
        """None: steps are made when they are called."""
        return ()


class _StepOperation(BoundDurableOperation[ParamsT, WireT, ResultT], Generic[ParamsT, WireT, ResultT]):
    """One operation; called in a handler, it is a step."""

    def __init__(self, operation: DurableOperation[ParamsT, WireT, ResultT], backend: StepBackend) -> None:
        self._operation = operation
        self._backend = backend
        self._serde: Serde[Any] = _Recorded(operation.result_codec)

    @property
    def operation(self) -> DurableOperation[ParamsT, WireT, ResultT]:
        """As it was bound."""
        return self._operation

    async def __call__(self, params: ParamsT, *, config: object | None = None) -> ResultT:
        """Do it once."""
        id_ = self._operation.operation_id
        result: Any
        if isinstance(params, ModelRequestParams):
            result = await self._model_step(params)
        elif isinstance(params, ToolsetCallToolParams | DynamicToolsetCallToolParams) and isinstance(
            id_, ToolsetCallToolId
        ):
            options = config if isinstance(config, ToolOptions) else self._backend.tools
            result = await self._tool_step(params, options)
        else:
            result = await self._other_step(params)
        return cast(ResultT, result)

    async def _model_step(self, params: ModelRequestParams) -> object:
        id_ = self._operation.operation_id
        request = cast(ParamsT, _without_client_retries(params))
        answer: ModelResponse = await model_step(
            step_name(id_),
            lambda: _as_one(cast("Awaitable[ModelResponse]", self._handle(request))),
            serde=self._serde,
            provider=_system(params.run_context),
            model=cast(ModelRequestId, id_).model_name,
            framework=FRAMEWORK,
            messages=shown_messages(params.messages),
            describe=described,
            retry=self._backend.model_retry,
        )
        return answer

    async def _tool_step(
        self, params: ToolsetCallToolParams | DynamicToolsetCallToolParams, options: ToolOptions
    ) -> object:
        try:
            return await tool_step(
                step_name(self._operation.operation_id, params.name),
                lambda: self._handle(cast(ParamsT, params)),
                serde=self._serde,
                tool=params.name,
                call_id=params.ctx.tool_call_id or "",
                arguments=params.tool_args,
                retry=options.retry,
                timeout=options.timeout,
            )
        except InvocationCancelled:
            raise
        except TerminalError as error:
            if options.tell_model:
                raise ToolFailed(error.message) from error
            raise

    async def _other_step(self, params: ParamsT) -> object:
        id_ = self._operation.operation_id
        tool = params.name if isinstance(params, ToolsetCallToolParams | DynamicToolsetCallToolParams) else ""

        async def body() -> object:
            try:
                return await self._handle(params)
            except Exception as error:
                found = as_step_error(error)
                if found is error:
                    raise
                raise found from error

        retry = self._backend.model_retry if isinstance(params, ModelCompactMessagesParams) else None
        return await current().run(described_step(step_name(id_, tool), body, self._serde, retry, {}))

    async def _handle(self, params: ParamsT) -> ResultT:
        with durable_unit_scope():
            return await self._operation.handler(params)


class _Recorded:
    """A `Serde` of what an operation's codec makes of its result."""

    content_type = JSON.content_type

    def __init__(self, codec: ResultCodec[Any]) -> None:
        self._codec = codec

    def serialize(self, value: object, /) -> bytes:
        """As JSON."""
        return JSON.serialize(self._codec.dump(value))

    def deserialize(self, data: bytes, /) -> object:
        """The result."""
        return self._codec.load(JSON.deserialize(data))

    def schema(self) -> None:
        """None: it is Pydantic AI's."""


async def _as_one(answer: Awaitable[ResultT]) -> ResultT:
    """Await it; the errors of all candidates of a fallback become the one that decides what is next."""
    try:
        return await answer
    except ExceptionGroup as group:
        errors = [as_step_error(one) for one in group.exceptions]
        # One that may pass is worth another try of all.
        worth = [error for error in errors if not isinstance(error, TerminalError)]
        raise (worth or errors)[0] from group


def _without_client_retries(params: ModelRequestParams) -> ModelRequestParams:
    model: object = params.run_context.model
    while (inner := vars(model).get("wrapped")) is not None:
        model = inner
    if isinstance(model, Model) and "max_retries" in model.unsupported_settings:
        # It has none, and would warn of a setting it does not know.
        return params
    settings = {**(params.model_settings or {}), "max_retries": NO_RETRIES}
    return replace(params, model_settings=cast(Any, settings))


def _system(context: RunContext[Any]) -> str:
    return str(getattr(context.model, "system", ""))
