"""Restart as new: from the input, and from a prefix of the journal."""

from __future__ import annotations

import pytest
from core.harness import (
    COUNTER,
    DEPLOYMENT,
    FLOW,
    SERVICE,
    World,
    proposal,
    run,
    sleep,
)

from holdfast.core.model import Inboxed, InvocationId, OriginKind, Retention, Success
from holdfast.core.outcome import Answer, Refused, Restarted
from holdfast.core.records import RestartAsNew


def restart(world: World, id_: InvocationId, keep_commands: int = 1) -> Answer | None:
    new_id, new_row = world.minters[world.owner(id_)].like(id_)
    record = RestartAsNew(world.now, id_, new_id, new_row, keep_commands, DEPLOYMENT, 7)
    return world.tell(world.owner(id_), record)


def refused(answer: Answer | None) -> str:
    assert isinstance(answer, Refused)
    return answer.reason


def done(world: World, version: int = 7) -> InvocationId:
    """Input, run 1 with its result, sleep 2 with its end, a run 3 without result, output."""
    id_ = world.start(SERVICE)
    world.report(id_, run(1), proposal(1, b"kept"), sleep(2, world.now + 5), run(3), version=version)
    world.pass_time(5)
    world.signal(id_, 17)
    world.finish(id_)
    return id_


def test_from_the_input_everything_is_done_again(world: World) -> None:
    id_ = done(world)
    answer = restart(world, id_)
    assert isinstance(answer, Restarted)
    assert answer.id != id_
    assert world.started(answer.id)
    assert [e.raw for e in world.journal(answer.id)] == [world.journal(id_)[0].raw]
    assert world.invocation(answer.id).origin.kind is OriginKind.RESTART
    world.finish(answer.id, b"second")
    assert world.result(answer.id) == Success(b"second")
    assert world.result(id_) == Success(b'"out"')


def test_a_prefix_brings_its_commands_and_their_completions_only(world: World) -> None:
    id_ = done(world)
    answer = restart(world, id_, 3)
    assert isinstance(answer, Restarted)
    entries = world.journal(answer.id)
    assert [e.type for e in entries] == [0x0400, 0x0411, 0x040C, 0x8011, 0x800C]
    assert [e.index for e in entries] == list(range(5))
    invocation = world.invocation(answer.id)
    assert (invocation.length, invocation.commands) == (5, 3)
    assert (invocation.deployment, invocation.protocol_version) == (DEPLOYMENT, 7)


def test_a_prefix_with_an_open_command_is_refused(world: World) -> None:
    assert refused(restart(world, done(world), 4)) == "prefix_incomplete"


@pytest.mark.parametrize("keep", [0, 6, 1000])
def test_a_prefix_must_be_within_the_journal(world: World, keep: int) -> None:
    assert refused(restart(world, done(world), keep)) == "prefix_range"


def test_a_prefix_whose_randomness_hangs_on_the_id_is_refused(world: World) -> None:
    """Protocol version 5 seeds from the invocation id, and the copy has another one."""
    id_ = done(world, version=5)
    assert refused(restart(world, id_, 2)) == "prefix_protocol"
    assert isinstance(restart(world, id_, 1), Restarted)


def test_what_is_not_completed_or_gone_or_a_workflow_is_refused(world: World) -> None:
    assert refused(restart(world, world.derived_id(SERVICE, "nobody"))) == "not_found"
    assert refused(restart(world, world.start(SERVICE))) == "not_completed"
    assert refused(restart(world, world.start(SERVICE, start_at=world.now + 1))) == "not_started"
    flow = world.start(FLOW)
    world.finish(flow)
    assert refused(restart(world, flow)) == "workflow"
    purged = world.start(SERVICE, retention=Retention(1000, 0))
    world.finish(purged)
    assert refused(restart(world, purged)) == "journal_gone"


def test_a_restarted_exclusive_handler_queues_for_its_key(world: World) -> None:
    id_ = world.start(COUNTER)
    world.finish(id_)
    holder = world.start(COUNTER)
    answer = restart(world, id_)
    assert isinstance(answer, Restarted)
    assert isinstance(world.status(answer.id), Inboxed)
    world.finish(holder)
    assert world.is_running(answer.id)
