"""What requests do, told with a real socket and a fake engine."""

import asyncio
import json

import pytest

from holdfast.core.model import Failure, Success
from holdfast.core.outcome import Refused
from holdfast.ingress.exchange import IngressLimits
from holdfast.protocol.ids import awakeable_id
from ingress.support import NOW_MS, Reply, get, post, post_json, run, served, until


def message(reply: Reply) -> str:
    body = json.loads(reply.body)
    assert body["code"] == reply.status
    assert body["source"] == reply.headers["x-restate-error-source"]
    return str(body["message"])


def test_a_call_passes_the_headers_on_in_order() -> None:
    """Goal: the handler sees path and headers as received, without what belongs to the connection."""

    async def story() -> None:
        async with served() as on:
            headers = ("X-B: 2", "connection: keep-alive", "x-a: 1", "Idempotency-Key: i", "x-b: ü")
            reply = await on.ask(post("/Greeter/echo?a=b%20c", b"hi", *headers))
            assert (reply.status, reply.body) == (200, b"hi")
            assert on.engine.made[0].headers == [
                ("x-restate-ingress-path", "/Greeter/echo?a=b%20c"),
                ("x-b", "2"),
                ("x-a", "1"),
                ("x-b", "ü"),
                ("content-length", "2"),
            ]
            assert on.engine.made[0].request.idempotency_key == "i"

    run(story())


def test_a_key_with_an_encoded_slash() -> None:
    async def story() -> None:
        async with served() as on:
            assert (await on.ask(post_json("/Counter/a%2Fb%20c/add/", b"3"))).status == 200
            assert on.engine.made[0].request.target.key == "a/b c"
            assert "cannot decode" in message(await on.ask(post_json("/Counter/%ff/add", b"3")))

    run(story())


@pytest.mark.parametrize(("code", "status"), [(418, 418), (599, 599), (600, 500), (200, 500), (0, 500)])
def test_a_failure_keeps_its_code_and_becomes_an_error_status(code: int, status: int) -> None:
    async def story() -> None:
        async with served() as on:
            on.engine.behaviours["fails"] = lambda made: Failure(code, "no “way”\n", (("k", "v"),))
            reply = await on.ask(post("/Greeter/fails"))
            assert reply.status == status
            body = {"code": code, "message": "no “way”\n", "metadata": {"k": "v"}, "source": "invocation"}
            assert json.loads(reply.body) == body
            assert reply.headers["x-restate-error-source"] == "invocation"
            assert reply.headers["x-restate-id"].startswith("inv_1")

    run(story())


def test_a_workflow_runs_once() -> None:
    """Goal: a second call is told so, whether or not the first has ended; a second send is harmless."""

    async def story() -> None:
        async with served() as on:
            on.engine.behaviours["run"] = lambda made: None
            sent = await on.ask(post_json("/Flow/w/run/send", b"1"))
            assert json.loads(sent.body)["status"] == "Accepted"
            for _ in range(2):
                again = await on.ask(post_json("/Flow/w/run", b"1"))
                assert (again.status, message(again)) == (409, "the workflow method was already invoked")
                assert again.headers["x-restate-error-source"] == "invocation"
                on.engine.finish_all(Success(b"2"))
            previously = await on.ask(post_json("/Flow/w/run/send", b"1"))
            assert json.loads(previously.body)["status"] == "PreviouslyAccepted"
            attached = await on.ask(get("/restate/workflow/Flow/w/attach"))
            assert (attached.status, attached.body) == (200, b"2")

    run(story())


def test_an_idempotent_call_joins_the_first_and_then_says_when_it_expires() -> None:
    async def story() -> None:
        async with served() as on:
            request = post("/Greeter/slow", b"", "idempotency-key: once")
            waiting = [asyncio.ensure_future(on.ask(request)) for _ in range(3)]
            await until(lambda: len(on.engine.made) == 3)
            assert len(on.engine.known) == 1
            on.engine.finish_all(Success(b"1"))
            replies = await asyncio.gather(*waiting)
            assert [reply.body for reply in replies] == [b"1"] * 3
            assert "idempotency-expires" not in replies[0].headers
            assert (await on.ask(request)).headers["idempotency-expires"] == "2023-11-15T22:13:20.000+00:00"

    run(story())


def test_a_bare_delay_is_milliseconds() -> None:
    async def story() -> None:
        async with served() as on:
            reply = await on.ask(post_json("/Greeter/greet/send?%ff=%ff&Delay=1500", b'"a"'))
            assert json.loads(reply.body)["executionTime"] == "2023-11-14T22:13:21.500000000Z"
            assert on.engine.made[0].request.start_at == NOW_MS + 1500
            assert (await on.ask(post_json("/Greeter/greet/send?delay=60+sec", b'"a"'))).status == 202
            assert (await on.ask(post_json("/restate/call/Greeter/greet?delay=1s", b'"a"'))).status == 400

    run(story())


def test_refusals_say_why() -> None:
    cases: list[tuple[bytes, int, str]] = [
        (post_json("/Greeter/secret", b"1"), 400, "the invoked service is not public"),
        (get("/Greeter/nope").replace(b"GET", b"DELETE"), 404, "the handler 'nope' was not found"),
        (get("/restate/call/Greeter/greet/x"), 400, "bad path, expected /restate/call/"),
        (get("/restate/send/Greeter"), 400, "bad path, expected /restate/call/"),
        (get("/restate/invocation/Nope/h/k/output"), 404, "service 'Nope' not found"),
        (get("/restate/invocation/Counter/add/k/output"), 400, "bad path, expected either /restate/in"),
        (get("/restate/invocation/Greeter/x/greet/k/attach"), 404, "not found"),
        (post_json("/Greeter/greet", b"1", "idempotency-key: "), 400, "it is empty"),
        (post_json("/restate/scope/s/call/Greeter/greet", b"1"), 400, "vqueues"),
        (post_json("/Greeter/greet?limit-key=a", b"1"), 400, "limit-key requires a scope"),
        (post("/restate/attach", b'{"target":"workflow"}'), 500, "missing field `workflowName`"),
        (post("/restate/attach", b"{"), 500, "cannot read body: invalid request body"),
        (post("/restate/lookup", b'{"target":"workflow","scope":"s"}'), 400, "vqueues"),
        (post("/restate/lookup", b'{"target":"\\ud800"}'), 500, "half of a surrogate pair"),
        (post("/restate/attach/x"), 405, "method not allowed"),
        (get("/restate/output"), 405, "method not allowed"),
        (post("/restate/a/" + awakeable_id(b"\1" * 24, 1) + "/resolve"), 400, "bad awakeable id"),
        (post("/restate/a/" + awakeable_id(b"\1" * 24, 17) + "/reject", b"\xff"), 400, "not UTF-8"),
    ]  # fmt: skip

    async def story() -> None:
        async with served() as on:
            for request, status, text in cases:
                reply = await on.ask(request)
                assert reply.status == status, request
                assert text in message(reply)
            assert not on.engine.made

    run(story())


def test_scopes_and_limit_keys_reach_the_engine_when_enabled() -> None:
    async def story() -> None:
        async with served(IngressLimits(scopes_enabled=True)) as on:
            path = "/restate/scope/s1/send/Greeter/echo?limit-key=no"
            assert (await on.ask(post(path, b"", "x-restate-limit-key: a/b"))).status == 202
            assert (on.engine.made[0].request.scope, on.engine.made[0].request.limit_key) == ("s1", "a/b")
            assert "bad limit key" in message(await on.ask(post(path.replace("=no", "=a/b/c"))))
            assert "bad scope value" in message(await on.ask(post(path.replace("/s1/", "/s%201/"))))

    run(story())


def test_awakeables_are_answered_once_their_signal_is_durable() -> None:
    async def story() -> None:
        async with served() as on:
            path = f"/restate/awakeables/{awakeable_id(b'x' * 24, 17)}"
            assert (await on.ask(post(f"{path}/resolve", b'"v"', "content-type: x/y"))).status == 202
            assert (await on.ask(post(f"{path}/reject", "né".encode()))).status == 202
            results = [(signal.id, signal.signal, signal.result) for signal in on.engine.signals]
            assert results == [(b"x" * 24, 17, Success(b'"v"')), (b"x" * 24, 17, Failure(500, "né"))]
            on.engine.refusal = Refused(503, "unavailable", "the partition cannot commit")
            assert (await on.ask(post(f"{path}/resolve"))).status == 503

    run(story())


def test_an_unavailable_partition_asks_to_retry() -> None:
    async def story() -> None:
        async with served() as on:
            on.engine.refusal = Refused(503, "unavailable", "the partition cannot commit")
            for path in ("/Greeter/echo", "/Greeter/echo/send"):
                reply = await on.ask(post(path))
                assert (reply.status, message(reply)) == (503, "the partition cannot commit")
                assert reply.headers["retry-after"] == "1"

    run(story())


def test_a_bug_behind_a_request_is_answered_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with served() as on, on.client() as client:

            def broken(made: object) -> None:
                raise ZeroDivisionError("secret")

            on.engine.behaviours["greet"] = broken
            reply = await client.ask(post_json("/Greeter/greet", b"1"))
            assert reply.status == 500
            assert "secret" not in reply.body.decode()
            assert (await client.ask(get("/restate/health"))).status == 200

    run(story())
    assert "ZeroDivisionError" in caplog.text
