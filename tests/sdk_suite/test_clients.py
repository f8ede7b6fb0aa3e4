"""Our clients and our handlers: called by reference, with the types the handlers declare."""

import asyncio

import pytest
from harness import Effects, Server
from sdk_suite.family import Family, fresh
from sdk_suite.services.calls import calls, leaf
from sdk_suite.services.flows import flow
from sdk_suite.services.nouns import Customer, Order
from sdk_suite.services.objects import store
from sdk_suite.services.payloads import Reversed, payloads

from holdfast import Client, SyncClient
from holdfast.client import InvocationFailed

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

DEADLINE_S = 30


def test_a_client_calls_handlers_by_reference(family: Family, server: Server) -> None:
    leaves, shop = leaf(family.prefix), store(f"{family.prefix}Store")
    with SyncClient(server.ingress_url) as client:
        assert client.call(leaves.handlers["order"], Order("tea", 1)) == Order("TEA", 2)
        assert client.call(leaves.handlers["ping"]) == "pong"
        assert client.call(shop.handlers["add"], 2, key="ключ / " + fresh()) == 2
        model = payloads(family.prefix).handlers["model"]
        answer = client.call(model, Customer(name="Ada", age=36))
        assert answer == Customer(name="Ada", age=37)
        with pytest.raises(InvocationFailed) as failed:
            client.call(leaves.handlers["fails"], "sorry")
        assert (failed.value.code, failed.value.message) == (418, "sorry")
        assert dict(failed.value.metadata) == ({"why": "sorry"} if family.version >= 6 else {})


def test_an_asynchronous_client_follows_an_invocation(
    family: Family, server: Server, effects: Effects
) -> None:
    services = calls(family.prefix, leaf(family.prefix))

    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S), Client(server.ingress_url) as client:
            sent = await client.send(services.handlers["awaits"], idempotency_key=fresh())
            awakeable = await asyncio.to_thread(effects.wait_for, sent.invocation_id, "awakeable ")
            await client.resolve_awakeable(awakeable, Order("tea", 1))
            assert await sent.attach() == ["Order", "tea", 1]
            assert await sent.output() == ["Order", "tea", 1]

    asyncio.run(story())


def test_a_client_runs_a_workflow(family: Family, server: Server) -> None:
    workflow, key = flow(family.prefix), fresh()
    with SyncClient(server.ingress_url) as client:
        handle = client.workflow(workflow.handlers["run"], key)
        handle.submit("Ada")
        client.call(workflow.handlers["approve"], True, key=key)
        assert handle.attach() == f"Ada: True ({key})"


@pytest.mark.parametrize("prefix", ["Codec", "CodecRr"])
def test_a_client_with_the_codec_of_its_services(
    families: dict[str, Family], server: Server, prefix: str
) -> None:
    leaves, shop, key = leaf(prefix), store(f"{prefix}Store"), fresh()
    with SyncClient(server.ingress_url, codec=Reversed()) as client:
        assert client.call(leaves.handlers["order"], Order("tea", 1)) == Order("TEA", 2)
        assert client.call(shop.handlers["put"], {"a": "b"}, key=key) == ["a"]
        assert client.call(shop.handlers["read"], "a", key=key) == "b"
        assert client.call(leaves.handlers["ping"]) == "pong"
