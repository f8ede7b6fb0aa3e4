"""Comparing what the handler asks for with what the journal holds at that place.

The bytes are equal nearly always, so this runs only when they are not: either the difference does not matter
(a wake-up time, a payload that a codec wrote with another nonce, another encoder's field order), or the
handler's code changed under its journal, and then the text must let its author see what changed.
"""

from collections.abc import Callable
from dataclasses import fields

from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.framing import MessageType, type_name
from holdfast.protocol.messages import MESSAGE_TYPES, Message
from holdfast.protocol.results import Failure, Value

SHOWN_CHARS_MAX = 200

STATE_READS = frozenset({MessageType.GET_EAGER_STATE_COMMAND, MessageType.GET_LAZY_STATE_COMMAND})
KEY_LISTS = frozenset({MessageType.GET_EAGER_STATE_KEYS_COMMAND, MessageType.GET_LAZY_STATE_KEYS_COMMAND})

_TIMES = frozenset({"wake_up_time", "invoke_time"})
"""Computed from the clock of the attempt that issued the command; later attempts keep what is stored."""

_PAYLOADS = frozenset({"parameter", "value", "result", "completion"})


class CommandDiffers(Exception):
    """The command is not the one in the journal; `text` is the readable difference."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def check_same(
    stored_type: int, stored_body: bytes, type_: int, body: bytes, decode_payload: Callable[[bytes], bytes]
) -> None:
    """Returns when the command may stand for the stored one.

    Args:
        decode_payload: undoes the payload codec, so that payloads are compared as the user knows them.
    Raises:
        CommandDiffers: it may not; the text is `expected` and `found`, one per line, with the fields that
            differ.
    """
    found, expected = _decoded(type_, body), _decoded(stored_type, stored_body)
    if stored_type != type_ or expected is None or found is None:
        raise CommandDiffers(
            f"  in the journal: {_shown(stored_type, expected)}\n  in the code:    {_shown(type_, found)}"
        )
    differing = [
        (name, mine, theirs)
        for name, mine, theirs in _field_pairs(found, expected)
        if mine != theirs and name not in _TIMES and not _same_payload(name, mine, theirs, decode_payload)
    ]
    if not differing:
        return
    lines = [
        f"  in the journal: {_shown(stored_type, expected)}",
        f"  in the code:    {_shown(type_, found)}",
    ]
    lines += [
        f"  {name}: {_value_shown(theirs, decode_payload)} became {_value_shown(mine, decode_payload)}"
        for name, mine, theirs in differing
    ]
    raise CommandDiffers("\n".join(lines))


def describe_command(type_: int, body: bytes) -> str:
    """One line about a command: `Call "Greeter/greet"`, `Run "charge"`."""
    return _shown(type_, _decoded(type_, body))


def name_of(type_: int, body: bytes) -> str:
    """The label of a command, empty when it has none."""
    message = _decoded(type_, body)
    return "" if message is None else str(getattr(message, "name", ""))


def _decoded(type_: int, body: bytes) -> Message | None:
    message = MESSAGE_TYPES.get(type_)
    if message is None:
        return None
    try:
        return message.decode(body)
    except ProtocolError:
        return None


def _field_pairs(found: Message, expected: Message) -> list[tuple[str, object, object]]:
    names = [field.name for field in fields(found)]  # type: ignore[arg-type] # every message is a dataclass
    return [(name, getattr(found, name), getattr(expected, name)) for name in names]


def _same_payload(name: str, mine: object, theirs: object, decode_payload: Callable[[bytes], bytes]) -> bool:
    if name not in _PAYLOADS:
        return False
    left, right = _content(mine), _content(theirs)
    if left is None or right is None:
        return False
    return decode_payload(left) == decode_payload(right)


def _content(value: object) -> bytes | None:
    if isinstance(value, Value):
        return value.content
    return value if isinstance(value, bytes) else None


def _shown(type_: int, message: Message | None) -> str:
    if message is None:
        return f"{type_name(type_)} (unreadable)"
    target = ""
    service = getattr(message, "service_name", "")
    if service:
        key = getattr(message, "key", "")
        target = f"{service}/{key}/{message.handler_name}" if key else f"{service}/{message.handler_name}"  # type: ignore[attr-defined]
    elif isinstance(key := getattr(message, "key", None), bytes):
        target = key.decode("utf-8", "replace")
    elif isinstance(key, str):
        target = key
    name = getattr(message, "name", "") or target
    return f'{type_name(type_)} "{name}"' if name else type_name(type_)


def _value_shown(value: object, decode_payload: Callable[[bytes], bytes]) -> str:
    content = _content(value)
    if content is not None:
        shown = decode_payload(content).decode("utf-8", "replace")
    elif isinstance(value, Failure):
        shown = f"failure {value.code} {value.message}"
    else:
        shown = repr(value)
    return shown if len(shown) <= SHOWN_CHARS_MAX else shown[:SHOWN_CHARS_MAX] + "..."
