"""Values at the edge of what the protocol can say: stored, shown to operators, harmless to everybody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import Admin, HoldfastServer, Ingress, Server, new_server

from holdfast.protocol.framing import MessageType, encode_frame
from holdfast.protocol.futures import FUTURE_DEPTH_MAX
from holdfast.protocol.messages import (
    AwaitingOnMessage,
    CallCommandMessage,
    ErrorMessage,
    Failure,
    OneWayCallCommandMessage,
    OutputCommandMessage,
    RunCommandMessage,
    SendSignalCommandMessage,
    SetStateCommandMessage,
    SleepCommandMessage,
    SuspensionMessage,
    Value,
)

from .lies import deep_suspension
from .lying_service import LyingService, Talk, end

pytestmark = pytest.mark.e2e

U64_MAX = 2**64 - 1
U32_MAX = 2**32 - 1
TABLES = (
    "sys_invocation",
    "sys_invocation_status",
    "sys_invocation_state",
    "sys_journal",
    "sys_journal_events",
    "holdfast_step_metadata",
    "sys_inbox",
    "sys_keyed_service_status",
    "sys_promise",
    "state",
)
ODD_TEXT = "nul \x00, tab \t, newline \r\n, \u202e, \U0001f4a5"
LONG_TEXT = "long" * 50_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = new_server(tmp_path_factory.mktemp("extremes"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def extreme(server: Server) -> Iterator[LyingService]:
    options: dict[str, object] = {"retryPolicyMaxAttempts": 1}
    handlers = ["store", "sleep", "send", "fail", "retry", "name", "hint", "serve"]
    with (
        LyingService("Extreme", handlers, options, kind="VIRTUAL_OBJECT") as service,
        server.admin() as admin,
    ):
        admin.register(service.uri)
        yield service
    assert service.errors == []


@pytest.fixture
def ingress(server: Server) -> Iterator[Ingress]:
    with server.ingress() as ingress:
        yield ingress


@pytest.fixture
def admin(server: Server) -> Iterator[Admin]:
    with server.admin() as admin:
        yield admin
        # Whatever the test stored, every view of it can be read, in both forms.
        for table in TABLES:
            admin.query(f"SELECT * FROM {table}")
            arrow = admin.http.post("/query", json={"query": f"SELECT * FROM {table}"})
            assert arrow.status_code == 200, f"{table}: {arrow.text}"


def test_state_keys_and_values_of_any_bytes(extreme: LyingService, ingress: Ingress, admin: Admin) -> None:
    async def store(talk: Talk) -> None:
        await talk.listen()
        for key, value in ((b"\xff\xfe", b"\x80"), (b"", b""), (ODD_TEXT.encode(), LONG_TEXT.encode())):
            body = SetStateCommandMessage(key, Value(value)).encode()
            talk.say(encode_frame(MessageType.SET_STATE_COMMAND, body))
        talk.finish("stored")

    extreme.behaviours["store"] = store
    assert ingress.call("/Extreme/k/store") == "stored"
    assert ingress.call("/Extreme/k/serve") == ["first", "second"]


def test_a_sleep_and_a_send_for_ever(extreme: LyingService, ingress: Ingress, admin: Admin) -> None:
    async def sleep(talk: Talk) -> None:
        await talk.listen()
        talk.say(encode_frame(MessageType.SLEEP_COMMAND, SleepCommandMessage(U64_MAX, 1).encode()))
        later = OneWayCallCommandMessage(
            "Extreme", "serve", key="later", invoke_time=U64_MAX, invocation_id_notification_idx=2
        )
        talk.say(encode_frame(MessageType.ONE_WAY_CALL_COMMAND, later.encode()))
        await talk.frame()
        talk.finish("slept")

    extreme.behaviours["sleep"] = sleep
    assert ingress.call("/Extreme/s/sleep") == "slept"
    (row,) = admin.query("SELECT * FROM sys_invocation WHERE target_service_key = 'later'")
    assert row["status"] == "scheduled"
    assert admin.patch(str(row["id"]), "kill").status_code in (200, 202)


@pytest.mark.parametrize("code", [0, 1, 99, 100, 200, 204, 304, 399, 599, 600, U32_MAX])
def test_failure_codes_that_are_no_error_statuses(code: int, extreme: LyingService, ingress: Ingress) -> None:
    async def fail(talk: Talk) -> None:
        await talk.listen()
        failure = Failure(code, ODD_TEXT, (("bad\r\nname", "bad\r\nvalue"), ("", ""), ("x" * 70_000, "y")))
        body = OutputCommandMessage(result=failure).encode()
        talk.frames(encode_frame(MessageType.OUTPUT_COMMAND, body), end())
        talk.end()

    extreme.behaviours["fail"] = fail
    answer = ingress.post("/Extreme/f/fail")
    assert answer.status_code == (code if 400 <= code <= 599 else 500)
    assert answer.json()["message"] == ODD_TEXT


def test_a_retry_delay_for_ever(extreme: LyingService, ingress: Ingress, admin: Admin) -> None:
    async def retry(talk: Talk) -> None:
        await talk.listen()
        error = ErrorMessage(
            U32_MAX, ODD_TEXT, LONG_TEXT, U32_MAX, ODD_TEXT, 0xFFFF, next_retry_delay=U64_MAX
        )
        talk.say(encode_frame(MessageType.ERROR, error.encode()))
        talk.end()

    with LyingService("Patient", ["retry"], {"retryPolicyMaxAttempts": 9}) as patient:
        admin.register(patient.uri)
        patient.behaviours["retry"] = retry
        invocation = ingress.send("/Patient/retry")
        row = admin.wait_status(invocation, "backing-off")
        assert row["last_failure_error_code"] == "RT0007"
        patient.repair("retry")
        assert admin.patch(invocation, "resume").status_code in (200, 202)
        assert ingress.attach(invocation).json() == ["first", "second"]


def test_names_of_any_length(extreme: LyingService, ingress: Ingress, admin: Admin) -> None:
    async def name(talk: Talk) -> None:
        await talk.listen()
        talk.say(encode_frame(MessageType.RUN_COMMAND, RunCommandMessage(U32_MAX, ODD_TEXT).encode()))
        talk.say(encode_frame(MessageType.RUN_COMMAND, RunCommandMessage(1, LONG_TEXT).encode()))
        signal = SendSignalCommandMessage(talk.id, name=ODD_TEXT, result=Value(b"\xff"), entry_name=LONG_TEXT)
        talk.say(encode_frame(MessageType.SEND_SIGNAL_COMMAND, signal.encode()))
        call = CallCommandMessage(
            "Extreme",
            "serve",
            parameter=b"\xff\x00",
            headers=((ODD_TEXT, ODD_TEXT), ("", "")),
            key=ODD_TEXT,
            idempotency_key=LONG_TEXT,
            invocation_id_notification_idx=2,
            result_completion_id=3,
        )
        talk.say(encode_frame(MessageType.CALL_COMMAND, call.encode()))
        for _ in range(3):
            await talk.frame()
        talk.finish("named")

    extreme.behaviours["name"] = name
    assert ingress.call("/Extreme/n/name") == "named"


def test_a_hint_as_deep_as_a_tree_may_be(extreme: LyingService, ingress: Ingress, admin: Admin) -> None:
    async def hint(talk: Talk) -> None:
        await talk.listen()
        tree = SuspensionMessage.decode(deep_suspension(FUTURE_DEPTH_MAX)).awaiting_on
        assert tree is not None
        talk.say(encode_frame(MessageType.AWAITING_ON, AwaitingOnMessage(tree).encode()))
        talk.say(encode_frame(MessageType.AWAITING_ON, b"\xff\xff"))
        talk.say(encode_frame(MessageType.AWAITING_ON, AwaitingOnMessage(tree).encode()))
        while (await talk.frame()) is not None:
            pass

    extreme.behaviours["hint"] = hint
    invocation = ingress.send("/Extreme/h/hint")
    row = admin.wait_status(invocation, "running")
    for table in TABLES:
        admin.query(f"SELECT * FROM {table}")
    assert admin.patch(str(row["id"]), "kill").status_code in (200, 202)


def test_extremes_survive_a_restart(extreme: LyingService, server: HoldfastServer, ingress: Ingress) -> None:
    server.restart()
    assert ingress.call("/Extreme/k/serve") == ["first", "second"]
