"""What the simulation found in the engine, told as stories.

A seed means another run as soon as the drawn programs change; a story stays. The mistakes themselves are
among the mutants.
"""

from __future__ import annotations

from core.harness import GONE_AT_ONCE, SERVICE, World, error

from holdfast.core.apply import apply
from holdfast.core.model import Invocation
from holdfast.core.outcome import StartAttempt
from holdfast.core.records import Kill, Resume
from holdfast.core.step import Step


def test_an_attempt_of_an_invocation_that_is_forgotten_in_the_same_batch_is_void() -> None:
    """Goal: nothing is pushed without a journal. Method: resume and kill in one batch, of an invocation that
    leaves nothing behind; the runner performs a StartAttempt only while its number is the invocation's."""
    world = World()
    id_ = world.start(SERVICE, retention=GONE_AT_ONCE)
    world.report(id_, error(retry_after_ms=10_000))
    step = Step(world.tables[0], [])
    apply(step, Resume(world.now, id_))
    apply(step, Kill(world.now, id_))
    (started,) = [action for action in step.actions if isinstance(action, StartAttempt)]
    invocation: Invocation = started.invocation
    assert invocation.attempt != started.attempt
    world.close()
