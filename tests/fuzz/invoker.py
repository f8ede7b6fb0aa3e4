"""The server, told lies by a deployment: the runner, the translation, the core and the tables behind it.

Promised whatever comes: the partition stands (no invariant breaks, which would end the process with code 70),
nothing is logged as an error of ours, the journal that the lies left behind opens the next attempt, and
operators can look at every entry of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable

import structlog
from invoker.support import Push, Stage, stage
from partition.support import handler, turns

from holdfast.core.model import VOID, RetryPolicy, TargetKind
from holdfast.core.records import Cancel, Signal
from holdfast.protocol.framing import FrameDecoder
from holdfast.query.entry_json import entry_json, entry_lite_json, entry_name, invoked_target

from .targets import pieces

ATTEMPTS_MAX = 3
SOON = RetryPolicy(initial_ms=1, max_ms=1)
HANDLERS = (
    (handler(TargetKind.OBJECT_EXCLUSIVE, "Counter", "add", retry=SOON), "k"),
    (handler(TargetKind.WORKFLOW_RUN, "Flow", "run", retry=SOON), "w"),
    (handler(retry=SOON), None),
)
_loop = asyncio.new_event_loop()


def invoker(data: bytes) -> Hashable:
    """One invocation, of an object, a workflow or a service as the first byte says; up to three attempts."""
    with structlog.testing.capture_logs() as logs:
        outcome = _loop.run_until_complete(asyncio.wait_for(_story(data), 20))
    errors = [entry for entry in logs if entry["log_level"] in ("error", "critical")]
    assert errors == [], errors
    return outcome


async def _story(data: bytes) -> Hashable:
    called, key = HANDLERS[(data[0] if data else 0) // 6 % 3]
    said: list[Hashable] = []
    async with stage(*(one for one, _ in HANDLERS)) as s:
        request = s.call(called, key)
        lies = list(pieces(data))
        for attempt in range(ATTEMPTS_MAX):
            await turns(6)
            if len(s.client.pushes) <= attempt:
                s.e.engine.submit(request.id, Signal(s.e.clock.ms, request.id, 17, VOID))
                s.e.engine.submit(request.id, Cancel(s.e.clock.ms, request.id))
                await turns(6)
            if len(s.client.pushes) <= attempt:
                break
            push = s.client.pushes[attempt]
            said.append(_opening(push))
            await _lie(push, lies)
            check(s)
        check(s)
        invocation = s.invocation(request)
        failure = None if invocation is None else invocation.failure
        journal = tuple(type_ for type_, _ in _journal(s, request.row))
        status = None if invocation is None else type(invocation.status).__name__
        return journal[-6:], status, failure and failure.doc_code


def check(s: Stage) -> None:
    assert s.e.fatal == [], s.e.fatal


def _opening(push: Push) -> int:
    """The attempt's opening is a whole start and as many entries as it announces."""
    assert FrameDecoder().feed(bytes(push.sent)), "an attempt that begins with nothing"
    return push.start.known_entries


async def _lie(push: Push, lies: list[bytes]) -> None:
    push.accept()
    for piece in lies:
        if push.was_reset:
            break
        push.listener.on_data(piece)
    await turns(6)
    if not push.was_reset:
        push.listener.on_end()
    await turns(6)


def _journal(s: Stage, row: int) -> list[tuple[int, bytes]]:
    """Every entry, after looking at it as operators do."""
    partition = s.e.partitions[0]
    if partition._committing:
        return []
    frames = list(partition.tables.journal.frames(row))
    for type_, body in frames:
        for look in (entry_json, entry_lite_json):
            text = look(type_, body, None, None)
            assert text is None or json.loads(text) is not None
        entry_name(type_, body)
        invoked_target(type_, body)
    return frames
