"""Waits for several things at once, found where the handler is parked.

A suspended invocation is woken when what it waits for is there. `asyncio.gather` of fifty calls needs all
fifty: woken by each, the invocation would replay fifty times to suspend again forty-nine times. From protocol
version 7 on a suspension can say "all of these", so here is who waits for a gather of nothing but durable
futures. What cannot be told stays "any of these", which is never wrong, only early.

`asyncio` has no public way to ask; where the private one is missing, nothing is found.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from holdfast.sdk.waits import DurableFuture


def gathered(tasks: Iterable["asyncio.Task[Any]"]) -> list[list[DurableFuture[Any]]]:
    """The gathers that tasks are parked at: of each its durable futures that are still to come, two or more.

    Left out are gathers with something else among them (a task can go on by itself when its own wait ends),
    and futures that somebody else waits for, too.
    """
    found: list[list[DurableFuture[Any]]] = []
    for task in tasks:
        children = getattr(getattr(task, "_fut_waiter", None), "_children", None)
        if not isinstance(children, list):
            continue
        pending = [child for child in cast("list[asyncio.Future[Any]]", children) if not child.done()]
        durable = [child for child in pending if isinstance(child, DurableFuture) and child.waiters == 1]
        if len(pending) == len(durable) > 1:
            found.append(durable)
    return found
