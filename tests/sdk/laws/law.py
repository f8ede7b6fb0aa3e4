"""The laws, and how a seed is checked against them."""

from __future__ import annotations

from random import Random

from holdfast.protocol import messages as m
from holdfast.protocol.framing import MessageType, is_command
from tests.sdk.laws import programs, reference
from tests.sdk.laws.programs import SIZE_MAX, Program
from tests.sdk.laws.server import Broken, Server, State, frame_of, frames_of, opened, start_frames, timeless


def check(seed: int, size: int | None = None) -> Server:
    """One program, run by chance to its end and, from a point on the way, to another; then replayed from
    every prefix of both journals.

    Raises:
        Broken: a law does not hold.
    """
    program = programs.program(seed, size)
    server = Server(seed * 7 + 1, program).run()
    hold(server, program, seed)
    other = server.otherwise()
    if other is not None:
        hold(other, program, seed)
    return server


def hold(server: Server, program: Program, seed: int) -> None:
    """The laws, for one invocation that has ended.

    Raises:
        Broken: one does not.
    """
    agree(server, program)
    entries = [(frame, *frame_of(frame)) for frame in server.journal]
    rng = Random(seed)
    for cut in range(1, len(entries) + 1):
        try:
            replay(server, program, entries, cut, one_by_one=rng.random() < 0.5)
        except Broken as broken:
            raise Broken(f"replayed from {cut} of {len(entries)} entries: {broken}") from None


def replay(
    server: Server, program: Program, entries: list[tuple[bytes, int, bytes]], cut: int, one_by_one: bool
) -> None:
    """A fresh attempt, fed with `cut` entries and then with the notifications after them, must issue the
    commands after them, and end as the invocation did."""
    state = State(server.state.mode)
    completed: set[object] = set()
    for _, type_, body in entries[:cut]:
        state.apply(type_, body)
        if type_ == MessageType.RUN_COMPLETION:
            completed.add(m.RunCompletionNotificationMessage.decode(body).completion_id)
    attempt, port = opened(program, server.version, server.now_ms + 77_000)
    attempt.receive(start_frames([frame for frame, _, _ in entries[:cut]], state, server.seed))
    if not completed.isdisjoint(port.started):
        raise Broken(f"steps {port.started} were started; {completed} are in the journal")
    rest = [frame for frame, type_, _ in entries[cut:] if not is_command(type_)]
    if one_by_one:
        for frame in rest:
            attempt.receive(frame)
    elif rest:
        attempt.receive(b"".join(rest))
    outcome, output = server.outcome or ("", b"")
    if outcome == "deadlock":
        attempt.close_input()
    sent = frames_of(attempt.machine.take_output())
    expected = [timeless(type_, body) for _, type_, body in entries[cut:] if is_command(type_)]
    if not attempt.ended:
        raise Broken(f"the replay does not end; it sent {told(sent)}")
    last_type, last_body = sent.pop()
    if outcome == "end" and last_type != MessageType.END:
        raise Broken(f"the replay ended with {told([(last_type, last_body)])} instead of End")
    if outcome == "deadlock" and (
        last_type != MessageType.ERROR or "deadlock" not in m.ErrorMessage.decode(last_body).message
    ):
        raise Broken(f"a deadlock replays as {told([(last_type, last_body)])}")
    found = [timeless(type_, body) for type_, body in sent]
    if found != expected:
        raise Broken(f"other commands\n expected {told(expected)}\n found    {told(found)}")
    if outcome == "end" and expected and found[-1][1] != output:
        raise Broken("another result")


def agree(server: Server, program: Program) -> None:
    """Where asyncio alone decides, the result is the one it gives."""
    if not reference.applies(program, server):
        return
    expected = reference.result(program, server)
    outcome, output = server.outcome or ("", b"")
    found = m.OutputCommandMessage.decode(output).result if outcome == "end" else None
    content = found.content if isinstance(found, m.Value) else None
    if content != expected:
        raise Broken(f"asyncio has another result\n asyncio {expected!r}\n here    {content!r}")


def told(frames: list[tuple[int, bytes]]) -> str:
    """Frames as messages, for a person."""
    return "\n   ".join(str(m.decode(type_, body, 7)) for type_, body in frames)


def journal_told(server: Server) -> str:
    """The journal, one entry per line."""
    entries = [m.decode(*frame_of(frame), server.version) for frame in server.journal]
    return "\n".join(f"  {index:3} {entry}" for index, entry in enumerate(entries))


def smaller(seed: int) -> tuple[int, int] | None:
    """A seed near this one whose smaller program breaks a law too: the smallest size wins."""
    for size in range(1, SIZE_MAX):
        for other in range(seed, seed + 400):
            try:
                check(other, size)
            except Exception:
                return other, size
    return None
