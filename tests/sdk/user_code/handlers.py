"""What users write, checked by mypy and pyright in strict mode: `assert_type` states what they infer."""

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_type

import holdfast
from holdfast import (
    Context,
    Handler,
    InvocationRetry,
    ObjectContext,
    SharedObjectContext,
    SharedWorkflowContext,
    WorkflowContext,
)


@dataclass
class User:
    name: str


@dataclass
class Receipt:
    number: int


greeter = holdfast.Service("Greeter", private=False, inactivity_timeout=timedelta(minutes=1))


@greeter.handler
async def greet(ctx: Context, name: str) -> str:
    return f"Hello {name}"


@greeter.handler(name="other", metadata={"team": "a"}, retry=InvocationRetry(max_attempts=3))
async def renamed(ctx: Context, user: User) -> Receipt:
    return Receipt(1)


@greeter.handler
async def context_only(ctx: Context) -> int:
    return 1


@greeter.handler
async def input_only(user: User) -> list[str]:
    return [user.name]


@greeter.handler()
async def nothing() -> None:
    return None


@greeter.handler
async def with_default(ctx: Context, name: str = "you") -> str:
    return name


counter = holdfast.VirtualObject("Counter", lazy_state=True)


@counter.handler
async def add(ctx: ObjectContext, by: int) -> int:
    return by


@counter.handler
async def reads_only(ctx: SharedObjectContext) -> int:
    return 1


@counter.shared
async def value(ctx: SharedObjectContext) -> int:
    return 1


@counter.shared(private=True)
async def plain(ctx: Context, user: User | None) -> None:
    return None


signup = holdfast.Workflow("Signup", workflow_retention=timedelta(days=1))


@signup.main
async def run(ctx: WorkflowContext, user: User) -> bool:
    return True


@signup.shared
async def approve(ctx: SharedWorkflowContext, ok: bool) -> None:
    return None


assert_type(greet, Handler[str, str])
assert_type(renamed, Handler[User, Receipt])
assert_type(context_only, Handler[None, int])
assert_type(input_only, Handler[User, list[str]])
assert_type(nothing, Handler[None, None])
assert_type(with_default, Handler[str, str])
assert_type(add, Handler[int, int])
assert_type(reads_only, Handler[None, int])
assert_type(value, Handler[None, int])
assert_type(plain, Handler[User | None, None])
assert_type(run, Handler[User, bool])
assert_type(approve, Handler[bool, None])


@greeter.handler
async def calls(ctx: Context, user: User) -> bool:
    print(await ctx.call(greet, user.name), await ctx.call(add, 5, key="k"))  # asks for objects, gets more
    assert_type(await ctx.call(greet, user.name), str)
    assert_type(await ctx.call(context_only), int)
    assert_type(await ctx.call(add, 5, key="k"), int)
    assert_type(await ctx.call(renamed, user), Receipt)
    await ctx.call(nothing)
    return await ctx.call(run, user, key=user.name)


async def by_hand() -> None:
    """A handler called directly is its function, for unit tests."""
    assert_type(await input_only(User("Ada")), list[str])


class Reversed:
    """A serde of one's own."""

    content_type = "text/plain"

    def serialize(self, value: str, /) -> bytes:
        return value[::-1].encode()

    def deserialize(self, data: bytes, /) -> str:
        return data.decode()[::-1]

    def schema(self) -> dict[str, object] | None:
        return None


own: holdfast.Serde[str] = Reversed()


@greeter.handler(input_serde=Reversed(), output_serde=Reversed())
async def mirrored(ctx: Context, text: str) -> str:
    return text
