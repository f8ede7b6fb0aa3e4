"""State of objects and workflows: what handlers read and write.

Eager reads are Plain commands: the SDK has answered them itself.
"""

from __future__ import annotations

from holdfast.core.commands import ClearAllState, ClearState, GetLazyState, GetLazyStateKeys, SetState
from holdfast.core.journal import notify, store
from holdfast.core.model import VOID, Invocation, Notification, NotificationKind, StateKeys, Success
from holdfast.core.step import Step


def apply_set(step: Step, invocation: Invocation, command: SetState) -> None:
    store(step, invocation, command)
    step.tables.state.set(invocation.target.object, command.key, command.value)


def apply_clear(step: Step, invocation: Invocation, command: ClearState) -> None:
    store(step, invocation, command)
    step.tables.state.clear(invocation.target.object, command.key)


def apply_clear_all(step: Step, invocation: Invocation, command: ClearAllState) -> None:
    store(step, invocation, command)
    step.tables.state.clear_all(invocation.target.object)


def apply_get(step: Step, invocation: Invocation, command: GetLazyState) -> None:
    store(step, invocation, command, command.completion_id)
    value = step.tables.state.get(invocation.target.object, command.key)
    result = VOID if value is None else Success(value)
    notify(step, invocation, Notification(NotificationKind.GET_LAZY_STATE, command.completion_id, result))


def apply_get_keys(step: Step, invocation: Invocation, command: GetLazyStateKeys) -> None:
    store(step, invocation, command, command.completion_id)
    keys = StateKeys(step.tables.state.keys(invocation.target.object))
    notify(step, invocation, Notification(NotificationKind.GET_LAZY_STATE_KEYS, command.completion_id, keys))
