"""The captured conversations with another server of this protocol, replayed against this one.

The engine is a fake that knows what the captured services answered. Ids and times differ from run to run, so
they are compared by shape; everything else, status, headers and body, has to be equal.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.model import Completed, Failure, InvocationId, Result, Success
from holdfast.protocol.ids import keyed_partition_key, make_invocation_id, workflow_unique
from holdfast.protocol.manifest import InputRule, ServiceType
from ingress.support import ADD, GREETER, NOW_MS, RUN, FakeCatalog, Made, Reply, Served, handler, run, served

VECTORS = Path(__file__).parents[1] / "data" / "vectors" / "ingress.json"
OPTIONAL = InputRule()
CATALOG = FakeCatalog(
    GREETER,
    handler("Greeter", "hdrs", takes=OPTIONAL),
    handler("Greeter", "meta", takes=OPTIONAL),
    handler("Greeter", "throwTerm"),
    ADD,
    handler("Counter", "get", ServiceType.VIRTUAL_OBJECT),
    RUN,
)
VARIES = re.compile(r"inv_1[0-9a-zA-Z]{33}|20\d\d-\d\d-\d\dT[0-9:.]+(\+00:00|Z)")
IGNORED = {"date", "vary", "access-control-allow-credentials", "connection"}


@dataclass
class Captured:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    status: int
    expected_headers: dict[str, str]
    expected_body: str


def captured(vector: dict[str, object]) -> Captured:
    """A vector, its curl-style arguments read as curl reads them (quotes of the body were not kept)."""
    text = str(vector["request"])
    arguments, marker, data = text.partition(" -d ")
    method, path = "POST" if marker else "GET", ""
    headers = [("user-agent", "curl/7.88.1"), ("accept", "*/*")]
    if found := re.match(r"-X(\w+) ", arguments):
        method, arguments = found[1], arguments[found.end() :]
    path, *fields = arguments.split(" -H ")
    headers += [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
    if marker and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/x-www-form-urlencoded"))
    expected = dict(vector["headers"])  # type: ignore[call-overload]
    status = vector["status"]
    assert isinstance(status, int)
    return Captured(method, path, headers, data.encode(), status, expected, str(vector["body"]))


def shape(text: str) -> str:
    return VARIES.sub("*", text)


def greeter(made: Made) -> Result | None:
    headers = {n: v for n, v in made.headers if n != "content-length"}
    match made.handler.name:
        case "hdrs":
            return Success(json.dumps(headers, separators=(",", ":")).encode())
        case "meta":
            return None
        case "throwTerm":
            return Failure(409, "terminal!")
        case _:
            return Success(b'"hi ' + made.body.strip(b'"') + b'"')


async def replay(on: Served, vector: Captured) -> Reply:
    lines = [f"{vector.method} {vector.path} HTTP/1.1", "host: 127.0.0.1:9180"]
    lines += [f"{name}: {value}" for name, value in vector.headers]
    if vector.body:
        lines.append(f"content-length: {len(vector.body)}")
    return await on.ask("\r\n".join([*lines, "", ""]).encode() + vector.body)


def compare(reply: Reply, vector: Captured) -> None:
    headers = {name: value for name, value in reply.headers.items() if name not in IGNORED}
    expected = dict(vector.expected_headers)
    body = reply.body.decode()
    assert reply.status == vector.status
    if vector.status == 500:  # the other server adds where in the text, and a stack trace
        del headers["content-length"], expected["content-length"]
        body = body.replace('invocation`"', 'invocation` at line 1 column 16"')
    assert shape(body) == shape(vector.expected_body)
    assert {k: shape(v) for k, v in headers.items()} == {k: shape(v) for k, v in expected.items()}


def test_every_captured_conversation() -> None:
    """Goal: clients of the other server see no difference. Method: one server, requests in captured order."""
    vectors = [captured(vector) for vector in json.loads(VECTORS.read_text())["vectors"]]
    assert len(vectors) > 40

    async def story() -> None:
        async with served(catalog=CATALOG) as on:
            engine = on.engine
            engine.behaviours = dict.fromkeys(("greet", "hdrs", "meta", "throwTerm"), greeter)
            engine.behaviours |= {"add": lambda made: Success(made.body), "run": lambda made: None}
            seen_output = False
            flow = InvocationId(make_invocation_id(keyed_partition_key("w2"), workflow_unique("Flow", "w2")))
            for vector in vectors:
                if vector.path.startswith("/Greeter/meta"):
                    continue  # answers with the handler's own randomness
                if "/Flow/w2/" in vector.path and flow not in engine.known:
                    await on.ask(b"POST /Flow/w2/run/send HTTP/1.1\r\ncontent-type: application/json\r\n"
                                 b"content-length: 1\r\n\r\n1")  # fmt: skip
                    engine.results[flow] = Completed(Success(b'{"x":"x","v":{"z":1},"key":"w2"}'), NOW_MS)
                if vector.path.endswith("/k1/output"):
                    if seen_output:  # the second look, after the delay
                        engine.finish(engine.known_by_key("k1"), Success(b'"hi a"'))
                    seen_output = True
                compare(await replay(on, vector), vector)

    run(story())
