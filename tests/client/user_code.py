"""What users write, for the type checkers: lines marked `# wrong` must be refused, all others accepted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_type

from holdfast.client import Client, SendHandle, SyncClient, SyncSendHandle
from holdfast.sdk.remote import remote
from holdfast.sdk.services import Service


@dataclass
class User:
    name: str


greeter = Service("Greeter")


@greeter.handler
async def greet(name: str) -> str:
    return name


@greeter.handler
async def ping() -> None: ...


add = remote("Counter", "add", input=int, output=int)
run = remote("Signup", "run", input=User, output=bool)
names = remote("Directory", "names", output=list[str])


async def right(client: Client) -> None:
    print(await client.call(greet, "Ada"))  # asks for objects
    assert_type(await client.call(greet, "Ada"), str)
    await client.call(ping)
    assert_type(await client.call(add, 1, key="k", idempotency_key="x", timeout=timedelta(1)), int)
    assert_type(await client.call(names, headers={"x-a": "b"}), list[str])
    assert_type(await client.send(add, 1, key="k", delay=1.5), SendHandle[int])
    assert_type(await (await client.send(greet, "Ada")).attach(timeout=3), str)
    assert_type(await (await client.workflow(run, "k").submit(User("Ada"))).output(), bool)
    assert_type(await client.workflow(run, "k").attach(), bool)
    assert_type(await client.invocation("inv_1", greet).attach(), str)
    assert_type(await client.invocation("inv_1").attach(), object)
    assert_type(await client.idempotent(add, "once", key="k").output(), int)
    await client.resolve_awakeable("sign_1", User("Ada"))


def right_without_await(client: SyncClient) -> None:
    assert_type(client.call(greet, "Ada"), str)
    assert_type(client.send(add, 1, key="k"), SyncSendHandle[int])
    assert_type(client.workflow(run, "k").submit(User("Ada")).attach(), bool)


async def mistaken(client: Client) -> None:
    await client.call(greet, 5)  # wrong
    await client.call(greet)  # wrong
    await client.call(ping, 5)  # wrong
    await client.call(add, 5, delay=3)  # wrong
    await client.workflow(run, "k").submit()  # wrong
    await client.workflow(run, "k").submit("Ada")  # wrong
