"""How one tool's step is run: what its metadata says under the key `holdfast`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from holdfast.sdk.durations import Duration, seconds_of
from holdfast.sdk.errors import UsageError
from holdfast.sdk.retry import Retry

KEY = "holdfast"

_RETRY = tuple(field.name for field in fields(Retry))


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """Of one tool.

    Attributes:
        retry: None for the invocation's policy.
        timeout: of one try, timedelta or seconds; None for none.
        tell_model: a failure for good is the tool's answer to the model, and does not end the run.
    """

    retry: Retry | None = None
    timeout: Duration | None = None
    tell_model: bool = False


def read_options(tool: str, metadata: Mapping[str, Any] | None, default: ToolOptions) -> ToolOptions | None:
    """What a tool's metadata asks for; None when it is no step.

    Raises:
        UsageError: `bad_tool_options`.
    """
    said: object = (metadata or {}).get(KEY)
    if said is None or said is True:
        return default
    if said is False:
        return None
    if not isinstance(said, dict):
        raise _bad(tool, f"it is {said!r}, expected False or a dict")
    left = dict(cast(dict[str, Any], said))
    timeout = left.pop("timeout", default.timeout)
    tell_model = left.pop("tell_model", default.tell_model)
    if not isinstance(tell_model, bool):
        raise _bad(tool, f"tell_model is {tell_model!r}, expected True or False")
    if unknown := sorted(left.keys() - set(_RETRY)):
        raise _bad(tool, f"it has {unknown}, expected some of {sorted([*_RETRY, 'tell_model', 'timeout'])}")
    try:
        if timeout is not None:
            seconds_of(timeout, "timeout")
        retry = Retry(**left) if left else default.retry
    except (TypeError, ValueError) as error:
        raise _bad(tool, str(error)) from error
    return ToolOptions(retry, timeout, tell_model)


def _bad(tool: str, what: str) -> UsageError:
    return UsageError("bad_tool_options", f"the metadata {KEY!r} of tool {tool!r}: {what}")
