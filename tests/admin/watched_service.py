"""A service to be watched: a step that fails twice before it works, a promise, an awakeable."""

import holdfast
from holdfast import Context, WorkflowContext

failures = 0

watched = holdfast.Service("Watched")
flow = holdfast.Workflow("WatchedFlow")


def flaky() -> str:
    """Works at every third go of the process."""
    global failures
    failures += 1
    if failures % 3:
        raise RuntimeError("<script>alert(1)</script>")
    return "worked"


@watched.handler
async def echo(ctx: Context, text: str) -> str:
    return text


@watched.handler
async def ask(ctx: Context, text: str) -> str:
    return text + await ctx.awakeable(str)


@flow.main
async def run(ctx: WorkflowContext, text: str) -> str:
    await ctx.run(flaky)
    return text + await ctx.promise("decision", str)


app = holdfast.app(watched, flow)
