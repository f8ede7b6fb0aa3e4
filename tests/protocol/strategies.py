"""Any message at all: hypothesis strategies made from the dataclasses' own annotations."""

import types
from dataclasses import fields
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from holdfast.protocol import messages
from holdfast.protocol.control import ErrorBehavior
from holdfast.protocol.messages import CombinatorType, Future, Void

U64_FIELDS = {
    "wake_up_time",
    "invoke_time",
    "duration_since_last_stored_entry",
    "random_seed",
    "next_retry_delay",
}
ONE_ID_ONLY = [("idx", "name"), ("completion_id", "signal_id", "signal_name")]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
edges_u32 = st.sampled_from([0, 1, 127, 128, 16383, 16384, 2**28, 2**32 - 1])
u32 = edges_u32 | st.integers(0, 2**32 - 1)
u64 = edges_u32 | st.sampled_from([2**56 - 1, 2**56, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)

futures = st.recursive(
    st.builds(
        Future,
        st.lists(u32, max_size=3).map(tuple),
        st.lists(u32, max_size=2).map(tuple),
        st.lists(texts, max_size=2).map(tuple),
        st.just(()),
        st.sampled_from(CombinatorType),
    ),
    lambda inner: st.builds(
        Future,
        st.lists(u32, max_size=3).map(tuple),
        st.lists(u32, max_size=2).map(tuple),
        st.lists(texts, max_size=2).map(tuple),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
        st.sampled_from(CombinatorType),
    ),
    max_leaves=8,
)

MESSAGE_CLASSES = [*messages.TYPE_OF_MESSAGE, messages.NotificationTemplate]


@cache
def message_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Any value of a message class, each oneof set or not."""
    hints = get_type_hints(cls)
    built = st.builds(cls, **{f.name: _value(hints[f.name], f.name) for f in fields(cls)})
    return built.map(_with_one_id)


def _value(hint: Any, name: str) -> st.SearchStrategy[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([_value(member, name) for member in get_args(hint)])
    if get_origin(hint) is tuple:
        member, *rest = get_args(hint)
        if rest == [...]:
            return st.lists(_value(member, name), max_size=4).map(tuple)
        return st.tuples(*[_value(part, name) for part in get_args(hint)])
    simple: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        bool: st.booleans(),
        int: u64 if name in U64_FIELDS else u32,
        str: texts,
        bytes: st.binary(max_size=20) | st.integers(126, 130).map(bytes),
        Future: futures,
        ErrorBehavior: st.sampled_from(ErrorBehavior),
        Void: st.just(Void()),
    }
    return simple[hint] if hint in simple else message_of(hint)


def _with_one_id(message: Any) -> Any:
    """Keeps the first id that is set where the wire has room for one only."""
    for names in ONE_ID_ONLY:
        if all(hasattr(message, name) for name in names) and type(message).__name__ != "CallCommandMessage":
            chosen = [name for name in names if getattr(message, name) is not None][:1]
            for name in names:
                if name not in chosen:
                    setattr(message, name, None)
    return message


any_message = st.one_of([message_of(cls) for cls in MESSAGE_CLASSES])
"""One of any class; a flat choice, which hypothesis draws from several times faster than a dependent one."""
