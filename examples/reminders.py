"""Scheduled work: a message sent into the future, cancelled on request, and one that schedules its successor.

    holdfast serve examples.reminders:app
    curl localhost:8080/Reminder/plants/every --json '{"text": "water them", "hours": 0.001, "times": 3}'
    curl localhost:8080/Reminder/plants/stop -X POST

A message in the future is a row in the server's file: no process waits, and a restart changes nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

import holdfast
from holdfast import ObjectContext


@dataclass
class Plan:
    """`text` every so many hours, so many times."""

    text: str
    hours: float
    times: int


reminder = holdfast.VirtualObject("Reminder")


@reminder.handler
async def every(ctx: ObjectContext, plan: Plan) -> None:
    """Start reminding; a plan of this key that was there before is replaced."""
    await cancel_next(ctx)
    await schedule(ctx, plan)


@reminder.handler
async def stop(ctx: ObjectContext) -> bool:
    """Whether there was anything to stop."""
    return await cancel_next(ctx)


@reminder.handler(private=True)  # not to be called from outside
async def remind(ctx: ObjectContext, plan: Plan) -> None:
    """One reminder, and then the next one. Each is an invocation of its own, so no journal grows for ever."""
    await ctx.run(notify, ctx.key, plan.text)
    ctx.clear("next")
    if plan.times > 1:
        await schedule(ctx, Plan(plan.text, plan.hours, plan.times - 1))


async def schedule(ctx: ObjectContext, plan: Plan) -> None:
    """Send `remind` into the future, and keep its id."""
    sent = ctx.send(remind, plan, key=ctx.key, delay=timedelta(hours=plan.hours))
    ctx.set("next", await sent.invocation_id())


async def cancel_next(ctx: ObjectContext) -> bool:
    """Cancel the reminder to come, if there is one."""
    planned = await ctx.get("next", str)
    if planned is not None:
        ctx.cancel(planned)
        ctx.clear("next")
    return planned is not None


def notify(who: str, text: str) -> None:
    """A push message, in real life."""
    print(f"{who}: {text}", flush=True)


app = holdfast.app(reminder)
