"""The smallest durable service: a greeting in two steps, with a pause between them that survives anything.

    holdfast serve examples.greeter:app                      serves on http://127.0.0.1:9080
    curl localhost:8080/Greeter/greet --json '"Ada"'

Call it, `kill -9` the service, the server or both within the second it sleeps, and start them again: the
greeting goes on where it was, with the number it had drawn.
"""

import secrets
from datetime import timedelta

import holdfast
from holdfast import Context

greeter = holdfast.Service("Greeter")


@greeter.handler
async def greet(ctx: Context, name: str) -> str:
    """Greet somebody; a step's result is journaled, so it stays the same however often this runs again."""
    number = await ctx.run(draw_number)
    await ctx.sleep(timedelta(seconds=1))
    return f"Hello {name}, your number is {number}"


def draw_number() -> int:
    """Something that would come out differently the second time."""
    return secrets.randbelow(1_000_000)


app = holdfast.app(greeter)
