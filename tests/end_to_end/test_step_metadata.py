"""Tokens are counted once, whatever dies: what steps say, through real processes, SQL and the command line.

The service is killed while each step of a handler runs, and once the server as well; every step so runs at
least twice, and is said to have taken what its one journaled result took.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Effects, Server, Service, free_port, new_server, wait_until

from holdfast.cli.main import main

pytestmark = pytest.mark.e2e

TESTS = Path(__file__).resolve().parents[1]
STEPS = ("first", "tool", "second", "third")
DEADLINE_S = 60.0


@contextmanager
def world(work_dir: Path, *, request_response: bool) -> Iterator[tuple[Server, Service, Path, Effects]]:
    gates = work_dir / "gates"
    gates.mkdir()
    effects = Effects(work_dir / "side-effects.txt")
    service = Service(
        "described",
        [sys.executable, "-m", "end_to_end.described_service"],
        free_port(),
        work_dir / "service.log",
        {
            "PYTHONPATH": str(TESTS),
            "SIDE_EFFECTS_FILE": str(effects.path),
            "GATES": str(gates),
            "REQUEST_RESPONSE": "1" if request_response else "",
        },
    )
    service.http_11 = request_response
    server = new_server(work_dir / "server")
    try:
        server.start()
        service.start()
        with server.admin() as admin:
            admin.register(service.uri, http_11=request_response)
        yield server, service, gates, effects
    finally:
        service.stop()
        server.kill9()


def began(effects: Effects) -> Counter[str]:
    return Counter(line.removesuffix(" began") for line in effects.path.read_text().splitlines())


@pytest.mark.parametrize("request_response", [False, True], ids=["full duplex", "request and response"])
def test_what_models_took_is_counted_once(
    tmp_path: Path, request_response: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with world(tmp_path, request_response=request_response) as (server, service, gates, effects):
        with server.ingress() as ingress:
            id_ = ingress.send("/Described/agent")
            for step in STEPS:
                wait_until(lambda: began(effects)[step] > 0, f"{step} to begin", DEADLINE_S)  # noqa: B023
                before = began(effects)[step]
                service.kill9()
                if step == "tool":
                    server.kill9()
                    server.start()
                service.start()
                wait_until(lambda: began(effects)[step] > before, f"{step} again", DEADLINE_S)  # noqa: B023
                (gates / step).touch()
        with server.ingress() as ingress, server.admin() as admin:
            assert ingress.attach(id_).json() == list(STEPS)
            rows = admin.query(
                "SELECT entry_index, completion_id, metadata, model, tokens_in, tokens_out "
                f"FROM holdfast_step_metadata WHERE id = '{id_}' ORDER BY completion_id"
            )
            assert [json.loads(str(row["metadata"])) for row in rows] == [
                model("m-1", 100, 10),
                {"kind": "tool", "tool": "wire", "arguments": {"to": "Ada"}},
                model("m-1", 20, 2),
                model("m-1", 3, 1),
            ]
            names = admin.query(f"SELECT index, name FROM sys_journal WHERE id = '{id_}'")
            named = {row["index"]: row.get("name") for row in names}
            assert [named[row["entry_index"]] for row in rows] == list(STEPS)
            sums = admin.query(
                "SELECT sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out "
                f"FROM holdfast_step_metadata WHERE invocation_id = '{id_}'"
            )
            assert sums == [{"tokens_in": 123, "tokens_out": 13}]
            described = json.loads(describe(capsys, id_, "--admin", server.admin_url, "--json"))
            assert described["usage"] == {"model_calls": 3, "tokens_in": 123, "tokens_out": 13}
            text = describe(capsys, id_, "--admin", server.admin_url)
            assert "usage       3 model calls, 123 tokens in, 13 out" in text
            assert '[tool wire {"to": "Ada"}]' in text
        assert all(began(effects)[step] > 1 for step in STEPS)


def describe(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["invocations", "describe", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def model(name: str, tokens_in: int, tokens_out: int) -> dict[str, object]:
    return {
        "kind": "model",
        "model": name,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "finish_reason": "stop",
    }
