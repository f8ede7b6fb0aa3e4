"""Lambda events answered: captured ones as the official SDKs do, strange ones in words, slow ones in time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Context
from holdfast.protocol import messages
from holdfast.protocol.framing import FrameDecoder
from holdfast.protocol.messages import InputCommandMessage, Message, StartMessage, Value, frame
from holdfast.sdk.endpoint import lambda_event
from holdfast.sdk.endpoint import lambda_handler as module
from holdfast.sdk.endpoint.zstd import find_zstd
from tests.sdk.test_vectors import comparable

VECTORS = Path(__file__).resolve().parents[2] / "data" / "vectors" / "lambda.json"
CASES = json.loads(VECTORS.read_text())["vectors"]
V7 = "application/vnd.restate.invocation.v7"
MANIFEST = "application/vnd.restate.endpointmanifest.v4+json"
DEADLINE_S = 20

service = holdfast.Service("LamT")
ended: list[str] = []


@service.handler
async def greet(ctx: Context, name: str) -> str:
    return f"hi {name}"


@service.handler
async def nap(ctx: Context) -> None:
    await ctx.sleep(1, name="")


@service.handler
async def two_steps(ctx: Context) -> list[str]:
    async def quick() -> str:
        return "quick"

    async def slow() -> str:
        try:
            await asyncio.sleep(DEADLINE_S)
        finally:
            ended.append("slow")
        return "slow"

    return list(await asyncio.gather(ctx.run("quick", quick), ctx.run("slow", slow)))


@service.handler
async def letters(ctx: Context, count: int) -> str:
    return "x" * count


@service.handler
async def length(ctx: Context, text: str) -> int:
    return len(text)


@service.handler
async def which_loop(ctx: Context) -> int:
    async def ask() -> int:
        return id(asyncio.get_running_loop())

    return await ctx.run("ask", ask)


app = holdfast.app(service, bidirectional=True)
function = holdfast.lambda_handler(app)


class Clock:
    """What Lambda's runtime gives beside the event."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return round(self._seconds * 1000)


def attempt_bytes(value: bytes) -> bytes:
    start = StartMessage(bytes(range(24)), "inv_1x", 1)
    return frame(start) + frame(InputCommandMessage(value=Value(value)))


def event(handler: str, value: bytes = b"", **fields: Any) -> dict[str, Any]:
    return {
        "path": f"/stage/invoke/LamT/{handler}",
        "httpMethod": "POST",
        "headers": {"content-type": V7},
        "body": b64encode(attempt_bytes(value)).decode(),
        "isBase64Encoded": True,
        **fields,
    }


def said(result: module.Result) -> list[Message]:
    assert result["statusCode"] == 200
    return [messages.decode(t, body, 7) for t, _, body in FrameDecoder().feed(b64decode(result["body"]))]


def output(result: module.Result) -> bytes:
    (message,) = [m for m in said(result) if isinstance(m, messages.OutputCommandMessage)]
    assert isinstance(message.result, Value)
    return message.result.content


def error(result: module.Result) -> str:
    (message,) = [m for m in said(result) if isinstance(m, messages.ErrorMessage)]
    return message.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['sdk']}: {case['description']}")
def test_captured_events_get_the_captured_answers(case: dict[str, Any]) -> None:
    mine, theirs = function(case["event"]), case["result"]
    assert mine["statusCode"] == theirs["statusCode"]
    assert mine["isBase64Encoded"] is True
    assert mine["headers"]["content-type"] == theirs["headers"]["content-type"]
    assert mine["headers"]["x-restate-server"].startswith("holdfast-python/")
    body, wanted = b64decode(mine["body"]), b64decode(theirs["body"])
    if case["event"]["path"] == "/discover":
        manifest, theirs_manifest = json.loads(body), json.loads(wanted)
        assert manifest["protocolMode"] == theirs_manifest["protocolMode"] == "REQUEST_RESPONSE"
        assert [s["name"] for s in manifest["services"]] == ["LamT"]
    else:
        assert comparable(body, 6) == comparable(wanted, 6)


def test_a_function_url_has_another_shape() -> None:
    whole = event("greet", b'"url"')
    v2 = {
        "version": "2.0",
        "rawPath": whole["path"],
        "headers": whole["headers"],
        "requestContext": {"http": {"method": "POST", "path": whole["path"]}},
        "body": whole["body"],
        "isBase64Encoded": True,
    }
    assert output(function(v2)) == b'"hi url"'


def test_headers_may_come_as_lists_and_in_any_case() -> None:
    lists = event("greet", b'"x"', headers=None, multiValueHeaders={"Content-Type": [V7]})
    assert output(function(lists)) == b'"hi x"'


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"path": "/nowhere"}, 404, "no path of this endpoint"),
        ({"path": "/invoke/LamT/nothing"}, 404, "no handler LamT/nothing"),
        ({"httpMethod": "GET"}, 405, "POST"),
        ({"headers": {"content-type": "text/plain"}}, 415, "text/plain"),
        ({"headers": {}}, 415, "content type"),
        ({"body": "not base64!"}, 400, "not base64"),
        ({"isBase64Encoded": False}, 400, "binary"),
        ({"body": 5}, 400, "int"),
        ({"path": None}, 400, "no HTTP request"),
        ({"headers": {"content-type": V7, "content-encoding": "br"}}, 400, "encoded as br"),
        ({"headers": {"content-type": V7, "content-encoding": "zstd"}}, 400, "decompressed"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(change: dict[str, Any], status: int, words: str) -> None:
    result = function({**event("greet", b'"x"'), **change})
    assert result["statusCode"] == status
    assert words in json.loads(b64decode(result["body"]))["message"]


def test_a_test_event_of_the_console_is_refused_with_words() -> None:
    assert function({"key1": "value1"})["statusCode"] == 400
    assert function([])["statusCode"] == 400  # type: ignore[arg-type]


def test_health() -> None:
    assert function({"path": "/health", "httpMethod": "GET"})["statusCode"] == 200


def test_a_request_cut_off_is_a_protocol_error() -> None:
    cut = b64encode(attempt_bytes(b'"x"')[:-2]).decode()
    assert "ended before" in error(function(event("greet", body=cut)))


def test_shortly_before_the_end_what_is_done_is_saved_and_the_rest_given_up() -> None:
    ended.clear()
    began = time.monotonic()
    result = function(event("two_steps"), Clock(1.0))
    assert time.monotonic() - began < DEADLINE_S
    assert "time (1.0 s) was up" in error(result)
    proposals = [m for m in said(result) if isinstance(m, messages.ProposeRunCompletionMessage)]
    assert [p.result for p in proposals] == [Value(b'"quick"')]
    # The loop is the same one: the cancelled step ends when it next runs.
    function(event("greet", b'"x"'))
    assert ended == ["slow"]


def test_with_time_enough_nothing_is_said_about_it() -> None:
    assert output(function(event("greet", b'"x"'), Clock(900))) == b'"hi x"'


def test_a_loop_is_kept_for_each_thread() -> None:
    def ask() -> bytes:
        (proposal,) = [
            m
            for m in said(function(event("which_loop")))
            if isinstance(m, messages.ProposeRunCompletionMessage)
        ]
        assert isinstance(proposal.result, Value)
        return proposal.result.content

    mine = {ask() for _ in range(3)}
    theirs: set[bytes] = set()
    thread = threading.Thread(target=lambda: theirs.update(ask() for _ in range(3)))
    thread.start()
    thread.join(DEADLINE_S)
    assert len(mine) == len(theirs) == 1
    assert mine != theirs


def test_inside_a_running_loop_it_says_what_to_do() -> None:
    async def main() -> None:
        with pytest.raises(holdfast.UsageError, match="to_thread"):
            function(event("greet", b'"x"'))
        assert output(await asyncio.to_thread(function, event("greet", b'"x"'))) == b'"hi x"'

    asyncio.run(main())


def test_what_lambda_cannot_carry_is_said_to_the_server() -> None:
    assert "Lambda carries 6 MB" in error(function(event("letters", b"5000000")))


def test_only_apps_are_taken() -> None:
    with pytest.raises(holdfast.UsageError, match="Service"):
        holdfast.lambda_handler(service)  # type: ignore[arg-type]


# ---------------------------------------------------------------- compression

ZSTD = find_zstd()
needs_zstd = pytest.mark.skipif(ZSTD is None, reason="no zstd module: pip install zstandard")


@needs_zstd
def test_large_answers_are_compressed_where_asked() -> None:
    assert ZSTD is not None
    asked = {"headers": {"content-type": V7, "accept-encoding": "zstd"}}
    result = function({**event("letters", b"5000000"), **asked})
    assert result["headers"]["content-encoding"] == "zstd"
    frames = ZSTD.decompress(b64decode(result["body"]), 10_000_000)
    assert len(frames) > 5_000_000
    small = function({**event("letters", b"50"), **asked})
    assert "content-encoding" not in small["headers"]


@needs_zstd
def test_compressed_requests_are_read() -> None:
    assert ZSTD is not None
    body = ZSTD.compress(attempt_bytes(json.dumps("y" * 9_000_000).encode()))
    packed = event("length", body=b64encode(body).decode())
    packed["headers"]["content-encoding"] = "zstd"
    assert output(function(packed)) == b"9000000"


@needs_zstd
def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ZSTD is not None
    monkeypatch.setattr(lambda_event, "REQUEST_BYTES_MAX", 1_000_000)
    packed = event("length", body=b64encode(ZSTD.compress(bytes(1_000_001))).decode())
    packed["headers"]["content-encoding"] = "zstd"
    result = function(packed)
    assert result["statusCode"] == 400
    assert "more than 1000000" in json.loads(b64decode(result["body"]))["message"]


@pytest.mark.parametrize("found", [True, False])
def test_compression_is_announced_only_with_a_module(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[[], object] = (lambda: ZSTD) if found else (lambda: None)
    monkeypatch.setattr(module, "find_zstd", find)
    made = holdfast.lambda_handler(app)

    def manifest(version: int) -> dict[str, Any]:
        result = made(
            {
                "path": "/discover",
                "httpMethod": "GET",
                "headers": {"accept": MANIFEST.replace("v4", f"v{version}")},
            }
        )
        read: dict[str, Any] = json.loads(b64decode(result["body"]))
        return read

    assert manifest(4).get("lambdaCompression") == ("zstd" if found and ZSTD is not None else None)
    assert "lambdaCompression" not in manifest(3)
