"""Messages between partitions: exactly once, whatever the post does to them."""

from __future__ import annotations

from core.harness import SERVICE, World, call, run, send_signal

from holdfast.core.messages import DeliverSignal, StartInvocation
from holdfast.core.model import VOID, InvocationId, Row, Success
from holdfast.core.outcome import Received, Ship
from holdfast.core.records import Deliver, Delivered


def two() -> tuple[World, InvocationId, InvocationId]:
    """Two partitions, an invocation running on each."""
    world = World(2)
    ids = sorted((world.start(SERVICE) for _ in range(2)), key=world.owner)
    return world, ids[0], ids[1]


def test_mail_waits_in_the_outbox_until_it_is_taken_and_confirmed() -> None:
    world, here, there = two()
    world.mail_is_held = True
    world.report(here, send_signal(there, 17))
    assert world.all(Ship) == [Ship(1)]
    assert world.count("outbox") == 1
    world.deliver(0, 1, confirm=False)
    assert world.count("outbox") == 1, "kept until the receiver has said that it is durable there"
    assert world.told(there) == [(17, VOID)]
    world.actions = []
    world.deliver(0, 1)
    assert world.actions == [], "the second copy changes nothing"
    assert world.count("outbox") == 0


def test_a_copy_of_a_delivery_changes_no_table() -> None:
    world, here, there = two()
    world.mail_is_held = True
    world.report(here, call(world.request(SERVICE, id_=world.minters[1].anywhere()[0], by=here), 2))
    world.report(here, send_signal(there, "go"), send_signal(there, "go", Success(b"2")))
    world.deliver(0, 1, confirm=False)
    before = world.dump()
    for limit in (1, 2, 3):
        world.deliver(0, 1, limit=limit, confirm=False)
        assert world.dump() == before


def test_a_batch_with_a_gap_is_not_taken_and_the_answer_says_where_to_go_on() -> None:
    world, _, there = two()
    before = world.dump()
    message = DeliverSignal(there, 17, VOID)
    assert world.tell(1, Deliver(world.now, 0, 2, (message,), (Row(0),))) == Received(0)
    assert world.dump() == before
    assert world.tell(1, Deliver(world.now, 0, 1, (message, message), (Row(0),) * 2)) == Received(2)
    assert world.tell(1, Deliver(world.now, 0, 2, (message, message), (Row(0),) * 2)) == Received(3)
    assert [ref for ref, _ in world.told(there)] == [17]


def test_a_started_invocation_gets_a_row_of_its_owner_and_its_answer_comes_back() -> None:
    world, here, _ = two()
    foreign = world.minters[0].foreign(int.from_bytes(world.minters[1].anywhere()[0][:8], "big"))
    request = world.request(SERVICE, id_=foreign, by=here)
    request.fresh = True
    assert request.row == 0
    world.report(here, call(request, 2))
    callee = world.invocation(foreign)
    assert callee.row > 0
    world.finish(foreign, b"back")
    assert world.told(here)[-1] == (2, Success(b"back"))


def test_both_counters_survive_a_restart_of_either_side(tmp_path: object) -> None:
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    world = World(2, tmp_path)
    here, there = sorted((world.start(SERVICE) for _ in range(2)), key=world.owner)
    world.mail_is_held = True
    for number in range(3):
        world.report(here, run(number + 1), send_signal(there, f"n{number}"))
        world.reopen()
        world.deliver(0, 1, confirm=number % 2 == 0)
        world.reopen()
    world.carry_mail()
    assert [entry.ref for entry in world.journal(there)[1:]] == ["n0", "n1", "n2"]
    assert world.count("outbox") == 0
    world.close()


def test_a_late_confirmation_of_less_drops_only_that() -> None:
    world, here, there = two()
    world.mail_is_held = True
    world.report(here, *(send_signal(there, 17) for _ in range(5)))
    world.tell(0, Delivered(world.now, 1, 2))
    assert [n for n, _ in world.tables[0].post.waiting(1, 0, 10)] == [3, 4, 5]


def test_mail_to_oneself_never_touches_the_outbox() -> None:
    world = World(1)
    caller = world.start(SERVICE)
    request = world.request(SERVICE, by=caller)
    world.report(caller, call(request, 2))
    assert world.all(Ship) == []
    assert world.count("outbox") == 0
    assert isinstance(StartInvocation(request, None).destination, bytes)
