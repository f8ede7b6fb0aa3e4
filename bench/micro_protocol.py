"""How long the wire takes: microseconds per call for the messages that every invocation or step sends.

    python bench/micro_protocol.py

Best of several rounds, so that other work on the machine disturbs little. The bodies are the usual ones: a
Start without state, an input with the headers of a small HTTP request, a step with a short result.
"""

import os
from collections.abc import Callable
from timeit import Timer

from holdfast.protocol import ids, messages
from holdfast.protocol.framing import FrameDecoder, encode_frame
from holdfast.protocol.messages import (
    AwaitingOnMessage,
    CombinatorType,
    Failure,
    Future,
    InputCommandMessage,
    NotificationTemplate,
    OutputCommandMessage,
    ProposeRunCompletionMessage,
    RunCommandMessage,
    RunCompletionNotificationMessage,
    SleepCommandMessage,
    StartMessage,
    SuspensionMessage,
    Value,
)

ROUNDS = 7
CALLS = 20_000

RAW = bytes.fromhex("9ae08058f340dc65f2c83045a35cc0b0be85603c48cec3a4")
START = StartMessage(
    RAW, ids.encode_invocation_id(RAW), 1, partial_state=True, random_seed=5769321283493995358
)
HEADERS = (
    ("x-restate-ingress-path", "/Greeter/greet"),
    ("user-agent", "curl/7.88.1"),
    ("accept", "*/*"),
    ("content-type", "application/json"),
)
INPUT = InputCommandMessage(HEADERS, "", Value(b'"bob"'))
TREE = Future((1,), (1,), (), (), CombinatorType.FIRST_COMPLETED)
RUN = RunCommandMessage(1, "step")
PROPOSAL = ProposeRunCompletionMessage(1, Value(b'{"v":7}'))
FAILED = ProposeRunCompletionMessage(1, Failure(500, "no"))
OUTPUT = OutputCommandMessage("", Value(b'"hi bob"'))
COMPLETION = RunCompletionNotificationMessage(1, Value(b'{"v":7}'))
SLEEP = SleepCommandMessage(1795370550050, 1, "nap")

STEP_CHUNK = messages.frame(RUN) + messages.frame(AwaitingOnMessage(TREE)) + messages.frame(PROPOSAL, 0x8000)


def decoding(message: messages.Message) -> Callable[[], object]:
    """Reads this message's body again and again."""
    body, decode = message.encode(), type(message).decode
    return lambda: decode(body)


def main() -> None:
    """Prints one line per operation."""
    decoder = FrameDecoder(1 << 20)
    some_ids = [os.urandom(24) for _ in range(1000)]
    encode_id = ids.encode_invocation_id
    operations: dict[str, Callable[[], object]] = {
        "nothing (the call itself)": lambda: None,
        "Start encode": START.encode,
        "Input encode, no headers": InputCommandMessage((), "", Value(b'"bob"')).encode,
        "Input encode, 4 headers": INPUT.encode,
        "Input decode, 4 headers": decoding(INPUT),
        "Run decode": decoding(RUN),
        "Run decode, id 5000": decoding(RunCommandMessage(5000, "step")),
        "ProposeRunCompletion decode": decoding(PROPOSAL),
        "ProposeRunCompletion decode, failure": decoding(FAILED),
        "RunCompletion encode": COMPLETION.encode,
        "Run ack encode": messages.ProposeRunCompletionAckMessage(1).encode,
        "Output decode": decoding(OUTPUT),
        "AwaitingOn decode": decoding(AwaitingOnMessage(TREE)),
        "Suspension decode": decoding(SuspensionMessage(TREE)),
        "Sleep decode": decoding(SLEEP),
        "Notification decode, value": decoding(NotificationTemplate(1, None, None, Value(b"1"))),
        "Start decode": decoding(START),
        "frames: run, awaiting, proposal": lambda: decoder.feed(STEP_CHUNK),
        "frame encode": lambda: encode_frame(0x8011, b"123456789"),
        "invocation id encode, x1000": lambda: [encode_id(raw) for raw in some_ids],
    }
    for name, call in operations.items():
        calls_per_run = 1000 if name.endswith("x1000") else 1
        timer = Timer(call)
        number = CALLS // calls_per_run
        best = min(timer.repeat(ROUNDS, number)) / number / calls_per_run * 1e6
        print(f"{best:8.2f} us  {name}")


if __name__ == "__main__":
    main()
