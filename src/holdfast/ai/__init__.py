"""Agents: model calls and tools as journaled steps, for the frameworks' own runners and for loops by hand.

Owns      what every framework needs (`model_step`, `tool_step`, `approval`, `tool`, `Toolbox`) and one module
          for each framework: `holdfast.ai.pydantic_ai`, `holdfast.ai.openai_agents`, `holdfast.ai.litellm`,
          which are optional extras of the same name.
Promises  outside a handler everything here is the plain call it wraps; importing this package imports no
          framework.
Never     talks to a model itself, keeps keys, or changes what a framework sends.
"""

from holdfast.ai.approval import Decision, approval
from holdfast.ai.errors import as_step_error
from holdfast.ai.steps import model_step, tool_step
from holdfast.ai.strict import UnjournaledCall, is_strict
from holdfast.ai.tools import Toolbox, tool

__all__ = [
    "Decision",
    "Toolbox",
    "UnjournaledCall",
    "approval",
    "as_step_error",
    "is_strict",
    "model_step",
    "tool",
    "tool_step",
]
