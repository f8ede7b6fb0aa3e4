"""Both fronts against a real server, with handlers on an SDK that is not ours."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from harness import Effects, Server, free_port

from holdfast.client import (
    AnswerTimeout,
    Client,
    IngressError,
    InvocationFailed,
    NotReady,
    SendStatus,
    SyncClient,
    Unavailable,
)
from holdfast.sdk.errors import UsageError
from holdfast.sdk.remote import remote
from holdfast.sdk.retry import Retry

pytestmark = pytest.mark.e2e

ECHO = remote("PyActions", "echo", input=object, output=object, keyed=False)
HEADERS = remote("PyActions", "headers", output=dict[str, str], keyed=False)
FAILS = remote("PyActions", "fails", input=dict[str, object], keyed=False)
NAP = remote("PyActions", "nap", input=int, output=str, keyed=False)
WAIT = remote("PyActions", "waitAwakeable", output=object, keyed=False)
ADD = remote("PyCounter", "add", input=int, output=int, keyed=True)
GET = remote("PyCounter", "get", output=int, keyed=True)
RUN = remote("PyFlow", "run", input=str, output=dict[str, object], keyed=True)
APPROVE = remote("PyFlow", "approve", input=str, keyed=True)

DEADLINE_S = 40
STORY_DEADLINE_S = 60


def fresh(what: str = "key") -> str:
    return f"{what}-{uuid.uuid4().hex[:10]}"


def tell(server: Server, story: Callable[[Client], Awaitable[None]]) -> None:
    """Run an asynchronous story with a client of its own."""

    async def run() -> None:
        async with asyncio.timeout(STORY_DEADLINE_S), Client(server.ingress_url) as client:
            await story(client)

    asyncio.run(run())


def test_calls(server: Server) -> None:
    async def story(client: Client) -> None:
        assert await client.call(ECHO, {"deep": ["x", None, 1.5]}, timeout=DEADLINE_S) == {
            "deep": ["x", None, 1.5]
        }
        key = fresh("a/b ?#é..")
        assert await client.call(ADD, 2, key=key) == 2
        assert await client.call(ADD, 3, key=key) == 5
        assert await client.call(GET, key=key) == 5
        assert sorted(await asyncio.gather(*(client.call(ADD, 1, key=key) for _ in range(30)))) == list(
            range(6, 36)
        )

    tell(server, story)


def test_handlers_see_the_callers_headers_and_nothing_of_httpx(server: Server) -> None:
    async def story(client: Client) -> None:
        seen = await client.call(HEADERS, headers={"X-Who": "me"})
        assert seen["x-who"] == "me"
        assert not {"accept", "accept-encoding", "connection"} & seen.keys()

    tell(server, story)


def test_failures(server: Server) -> None:
    async def story(client: Client) -> None:
        failure: dict[str, object] = {"code": 422, "message": "refused", "metadata": {"why": "because"}}
        with pytest.raises(InvocationFailed) as failed:
            await client.call(FAILS, failure)
        assert (failed.value.code, failed.value.message) == (422, "refused")
        assert dict(failed.value.metadata) == {"why": "because"}
        assert str(failed.value.invocation_id).startswith("inv_1")
        with pytest.raises(IngressError, match="service 'Nope' not found") as refused:
            await client.call(remote("Nope", "x"))
        assert refused.value.status == 404
        with pytest.raises(IngressError, match="bad awakeable id"):
            await client.resolve_awakeable("sign_1AAAA", 1)

    tell(server, story)


def test_sends_delays_and_outputs(server: Server) -> None:
    async def story(client: Client) -> None:
        now = await client.send(ECHO, "now")
        assert now.status is SendStatus.ACCEPTED
        assert now.execution_time is None
        assert await now.attach(timeout=DEADLINE_S) == "now"

        before = datetime.now(UTC)
        later = await client.send(NAP, 0, delay=timedelta(hours=1), idempotency_key=fresh())
        assert later.execution_time is not None
        assert timedelta(minutes=59) < later.execution_time - before < timedelta(minutes=61)
        with pytest.raises(NotReady):
            await later.output()
        with pytest.raises(AnswerTimeout, match="no answer within"):
            await later.attach(timeout=0.2)
        with pytest.raises(TimeoutError):
            await client.invocation(later.invocation_id, NAP).attach(timeout=0.2)

        soon = await client.send(NAP, 1, delay=0.05)
        assert await soon.attach() == "rested"

    tell(server, story)


def test_idempotency(server: Server) -> None:
    async def story(client: Client) -> None:
        key, once = fresh(), fresh("once / é?").encode("ascii", "xmlcharrefreplace").decode()
        calls = [client.call(ADD, 1, key=key, idempotency_key=once) for _ in range(5)]
        assert await asyncio.gather(*calls) == [1] * 5
        again = await client.send(ADD, 1, key=key, idempotency_key=once)
        assert again.status is SendStatus.PREVIOUSLY_ACCEPTED
        tame = fresh("once")
        assert await client.call(ADD, 1, key=key, idempotency_key=tame) == 2
        assert await client.idempotent(ADD, tame, key=key).output() == 2
        handle = client.idempotent(ADD, once, key=key)
        assert await handle.attach() == 1
        assert await handle.output() == 1
        assert await client.invocation(again.invocation_id).output() == 1
        with pytest.raises(InvocationFailed, match="not found"):
            await client.idempotent(ADD, fresh(), key=key).attach()
        with pytest.raises(IngressError, match="invocation not found"):
            await client.idempotent(ADD, fresh(), key=key).output()

    tell(server, story)


def test_workflows(server: Server) -> None:
    async def story(client: Client) -> None:
        flow = client.workflow(RUN, fresh("flow/1"))
        with pytest.raises(IngressError, match="not found"):
            await flow.output()
        first = await flow.submit("order")
        assert first.status is SendStatus.ACCEPTED
        assert (await flow.submit("order")).status is SendStatus.PREVIOUSLY_ACCEPTED
        with pytest.raises(NotReady):
            await flow.output()
        waiting = asyncio.create_task(flow.attach())
        await client.call(APPROVE, "yes", key=flow.key)
        result: dict[str, object] = {"key": flow.key, "input": "order", "decision": "yes"}
        assert await waiting == await flow.output() == await first.attach() == result

    tell(server, story)


def test_awakeables(server: Server, effects: Effects) -> None:
    async def story(client: Client) -> None:
        async def waiting_id(invocation_id: str) -> str:
            return await asyncio.to_thread(effects.wait_for, invocation_id, "awakeable ")

        resolved, rejected = await client.send(WAIT), await client.send(WAIT)
        await client.resolve_awakeable(await waiting_id(resolved.invocation_id), {"ok": True})
        assert await resolved.attach() == {"ok": True}
        awakeable_id = await waiting_id(rejected.invocation_id)
        await client.reject_awakeable(awakeable_id, "nö")
        await client.resolve_awakeable(awakeable_id, "too late, and no error")
        with pytest.raises(InvocationFailed, match="nö"):
            await rejected.attach()

    tell(server, story)


def test_a_call_with_an_idempotency_key_outlives_the_server(server: Server, effects: Effects) -> None:
    """Goal: the caller of a long call does not notice kill -9. Method: kill while three ways to wait do."""

    async def story(client: Client) -> None:
        once = fresh("once")
        handle = await client.send(WAIT, idempotency_key=once)
        awakeable_id = await asyncio.to_thread(effects.wait_for, handle.invocation_id, "awakeable ")
        waiting = [
            asyncio.create_task(client.call(WAIT, idempotency_key=once)),
            asyncio.create_task(handle.attach()),
        ]
        alone = asyncio.create_task(client.call(WAIT))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill9)
        with pytest.raises(Unavailable, match="idempotency_key") as lost:
            await alone
        assert lost.value.sent
        health = asyncio.create_task(client.health())
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.start)
        assert "PyActions" in await health
        await client.resolve_awakeable(awakeable_id, "still here")
        assert await asyncio.gather(*waiting) == ["still here", "still here"]

    tell(server, story)


def test_the_synchronous_front(server: Server, effects: Effects) -> None:
    with SyncClient(server.ingress_url) as client:
        key, once = fresh(), fresh("once")
        assert client.call(ADD, 2, key=key) == 2
        assert client.call(GET, key=key) == 2
        assert client.call(ADD, 3, key=key, idempotency_key=once) == 5
        assert client.idempotent(ADD, once, key=key).output() == 5
        with pytest.raises(InvocationFailed, match="refused"):
            client.call(FAILS, {"code": 422, "message": "refused"})
        sent = client.send(WAIT)
        with pytest.raises(NotReady):
            sent.output()
        with pytest.raises(AnswerTimeout):
            sent.attach(timeout=0.2)
        client.resolve_awakeable(effects.wait_for(sent.invocation_id, "awakeable "), "done")
        assert sent.attach() == client.invocation(sent.invocation_id, WAIT).attach() == "done"
        flow = client.workflow(RUN, fresh("flow"))
        flow.submit("order", delay=0.05)
        client.call(APPROVE, "yes", key=flow.key)
        assert flow.attach()["decision"] == "yes"
        assert "PyFlow" in client.health()


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    few = Retry(max_attempts=3, initial_interval=0.01)
    with SyncClient(url, retry=few) as client, pytest.raises(Unavailable, match="cannot connect") as caught:
        client.call(ECHO, 1)
    assert not caught.value.sent

    async def story() -> None:
        async with Client(url, retry=few) as client:
            with pytest.raises(Unavailable, match="outage: 3"):
                await client.health()

    asyncio.run(story())


def test_an_http_client_of_the_callers_stays_open() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json="hi")

    with httpx.Client(transport=httpx.MockTransport(answer), headers={"x-of": "mine"}) as http:
        with SyncClient("http://ingress/prefix/", http=http) as client:
            assert client.call(ECHO, "x", headers={"x-one": "1"}) == "hi"
        assert not http.is_closed
    assert str(asked[0].url) == "http://ingress/prefix/PyActions/echo"
    assert (asked[0].headers["x-of"], asked[0].headers["x-one"]) == ("mine", "1")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for make in (Client, SyncClient):
        with pytest.raises(UsageError, match=r"pip install 'holdfast\[client\]'"):
            make("http://localhost:8080")
