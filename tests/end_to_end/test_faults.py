"""Deployments that misbehave: each misdeed gets its code, blocks nobody else, and loses nothing.

Every story ends with the deployment repaired and the invocation completed, its journaled step not run again,
while a watchman goes on calling a healthy service of the same server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
from h2.errors import ErrorCodes
from harness import Admin, Ingress, Server, new_server, wait_until

from holdfast.protocol.framing import MessageType, encode_frame
from holdfast.protocol.futures import FUTURE_DEPTH_MAX
from holdfast.protocol.messages import ErrorBehavior, ErrorMessage

from .lies import LIAR, LIES, SILENCES, SILENT, Lie, deep_suspension
from .lying_service import STEPS, LyingService, Talk, end, output
from .world import DOCUMENTED, Watchman, entry_types, event_types, failure_codes

pytestmark = pytest.mark.e2e

ATTEMPTS = 2
RETRIES: dict[str, object] = {
    "retryPolicyInitialInterval": 10,
    "retryPolicyMaxAttempts": ATTEMPTS,
    "retryPolicyOnMaxAttempts": "PAUSE",
}
REOPENS_MAX = 3
WHOLE_JOURNAL = [
    "Command: Input",
    *("Command: Run", "Notification: Run") * 2,
    "Command: Output",
]
MANNERS = (
    "fine", "byteByByte", "cutAtByte", "resetAtByte", "goesAwayPolitely", "talksOn", "noOutput",
    "asksToPause", "asksToFail", "deepButFine",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = new_server(tmp_path_factory.mktemp("faults"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with server.admin() as admin:
        yield admin


@pytest.fixture(scope="module")
def ingress(server: Server) -> Iterator[Ingress]:
    with server.ingress() as ingress:
        yield ingress


@pytest.fixture(scope="module")
def liar(admin: Admin) -> Iterator[LyingService]:
    with LyingService(LIAR, [lie.name for lie in LIES] + list(MANNERS), RETRIES) as service:
        admin.register(service.uri)
        yield service
    assert service.errors == []


@pytest.fixture(scope="module")
def silent(admin: Admin) -> Iterator[LyingService]:
    impatient: dict[str, object] = {**RETRIES, "inactivityTimeout": 150, "abortTimeout": 150}
    with LyingService(SILENT, [lie.name for lie in SILENCES] + ["neverReads"], impatient) as service:
        admin.register(service.uri)
        yield service
    assert service.errors == []


@pytest.fixture(scope="module")
def watchman(server: Server, admin: Admin) -> Iterator[Watchman]:
    with LyingService("Healthy", ["serve"]) as service:
        admin.register(service.uri)
        with Watchman(server, "/Healthy/serve") as watchman:
            yield watchman
        assert watchman.complaints == []


def check_repaired(service: LyingService, ingress: Ingress, admin: Admin, invocation: str) -> None:
    """Resumed on a repaired deployment, it completes and nothing journaled ran again."""
    assert admin.patch(invocation, "resume").status_code in (200, 202)
    answer = ingress.attach(invocation)
    assert (answer.status_code, answer.json()) == (200, list(STEPS)), answer.text
    assert [service.ran[invocation, label] for label in STEPS] == [1, 1]
    assert entry_types(admin, invocation) == WHOLE_JOURNAL


def check_lie(
    lie: Lie, service: LyingService, ingress: Ingress, admin: Admin, watchman: Watchman, attempts: int
) -> None:
    service.behaviours[lie.name] = lie.behaviour
    invocation = ingress.send(f"/{service.name}/{lie.name}")
    row = admin.wait_status(invocation, "paused")
    assert row["last_failure_error_code"] == lie.code, row["last_failure"]
    assert lie.says in str(row["last_failure"])
    assert lie.code in DOCUMENTED
    assert failure_codes(admin, invocation)[-1] == lie.code
    assert event_types(admin, invocation)[-1] == "Paused"
    assert service.attempts[invocation] == attempts
    watchman.sees_service()
    service.repair(lie.name)
    check_repaired(service, ingress, admin, invocation)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_a_lie_gets_its_code_and_costs_nothing_journaled(
    lie: Lie, liar: LyingService, ingress: Ingress, admin: Admin, watchman: Watchman
) -> None:
    attempts = 1 if lie.pauses_at_once else ATTEMPTS
    if lie.name in ("refusesStream", "goesAwayWithout"):
        attempts += REOPENS_MAX  # the server may ask again at once, since nothing can have run
    check_lie(lie, liar, ingress, admin, watchman, attempts)


@pytest.mark.parametrize("lie", SILENCES, ids=lambda lie: lie.name)
def test_silence_ends_with_the_abort_timeout(
    lie: Lie, silent: LyingService, ingress: Ingress, admin: Admin, watchman: Watchman
) -> None:
    check_lie(lie, silent, ingress, admin, watchman, ATTEMPTS)


def test_a_deployment_that_never_reads_holds_up_only_itself(
    silent: LyingService, ingress: Ingress, admin: Admin, watchman: Watchman
) -> None:
    async def stare(talk: Talk) -> None:
        talk.connection.reads = False

    silent.behaviours["neverReads"] = stare
    invocation = ingress.send("/Silent/neverReads", b"x" * 3_000_000)
    row = admin.wait_status(invocation, "paused")
    assert row["last_failure_error_code"] == "RT0001", row["last_failure"]
    watchman.sees_service()
    silent.repair("neverReads")
    silent.disappear()  # its connections are stuck for good
    silent.appear()
    check_repaired(silent, ingress, admin, invocation)


def test_frames_may_arrive_byte_by_byte(liar: LyingService, ingress: Ingress) -> None:
    async def spell(talk: Talk) -> None:
        await talk.listen()
        for byte in output("spelled") + end():
            talk.say(bytes([byte]))
        talk.end()

    liar.behaviours["byteByByte"] = spell
    assert ingress.call("/Liar/byteByByte") == "spelled"


@pytest.mark.parametrize("how", ["cutAtByte", "resetAtByte"])
def test_a_stream_cut_at_any_byte_leaves_nothing_half_done(
    how: str, liar: LyingService, ingress: Ingress, admin: Admin, watchman: Watchman
) -> None:
    """Goal: no prefix of a conversation is ever mistaken for the whole. Method: one invocation per prefix."""
    whole = output("whole") + end()

    async def cut(talk: Talk) -> None:
        await talk.listen()
        at = talk.argument
        assert isinstance(at, int)
        if liar.attempts[talk.id] > 1:
            talk.frames(output("whole"), end())
            talk.end()
        elif how == "cutAtByte":
            talk.say(whole[:at])
            talk.end()
        else:
            talk.say(whole[:at])
            talk.reset()

    liar.behaviours[how] = cut
    cuts = [ingress.send(f"/Liar/{how}", at) for at in range(1, len(whole))]
    for invocation in cuts:
        answer = ingress.attach(invocation)
        assert (answer.status_code, answer.json()) == (200, "whole")
        assert liar.attempts[invocation] == 2
        assert failure_codes(admin, invocation) == ["RT0007" if how == "cutAtByte" else "RT0010"]
    watchman.sees_service()


def test_a_polite_goaway_lets_streams_finish_and_moves_on(liar: LyingService, ingress: Ingress) -> None:
    async def retire(talk: Talk) -> None:
        talk.connection.go_away(talk.stream_id, ErrorCodes.NO_ERROR)
        await talk.listen()
        talk.finish("retired")

    liar.behaviours["goesAwayPolitely"] = retire
    assert [ingress.call("/Liar/goesAwayPolitely") for _ in range(5)] == ["retired"] * 5


def test_what_comes_after_the_end_is_ignored(liar: LyingService, ingress: Ingress, admin: Admin) -> None:
    async def talk_on(talk: Talk) -> None:
        await talk.listen()
        talk.frames(output("said"), end(), output("and another thing"), end())
        talk.say(b"\xff" * 40)
        talk.end()

    liar.behaviours["talksOn"] = talk_on
    invocation = ingress.send("/Liar/talksOn")
    assert ingress.attach(invocation).json() == "said"
    assert failure_codes(admin, invocation) == []


def test_an_end_without_output_is_a_failure_and_not_a_hanging_caller(
    liar: LyingService, ingress: Ingress
) -> None:
    async def just_end(talk: Talk) -> None:
        await talk.listen()
        talk.frames(end())
        talk.end()

    liar.behaviours["noOutput"] = just_end
    answer = ingress.post("/Liar/noOutput")
    assert answer.status_code == 500
    assert "ended without an output" in answer.json()["message"]


def test_a_handler_may_ask_to_be_paused_or_failed(liar: LyingService, ingress: Ingress, admin: Admin) -> None:
    def asks(behavior: ErrorBehavior, code: int) -> bytes:
        return encode_frame(MessageType.ERROR, ErrorMessage(code, "enough", behavior=behavior).encode())

    async def ask_to_pause(talk: Talk) -> None:
        await talk.listen()
        await talk.step(1, STEPS[0])
        talk.say(asks(ErrorBehavior.PAUSE, 500))

    async def ask_to_fail(talk: Talk) -> None:
        await talk.listen()
        talk.say(asks(ErrorBehavior.FAIL, 418))

    liar.behaviours.update(asksToPause=ask_to_pause, asksToFail=ask_to_fail)
    answer = ingress.post("/Liar/asksToFail")
    assert (answer.status_code, answer.json()["message"]) == (418, "enough")
    invocation = ingress.send("/Liar/asksToPause")
    admin.wait_status(invocation, "paused")
    assert liar.attempts[invocation] == 1
    liar.repair("asksToPause")
    check_repaired(liar, ingress, admin, invocation)


def test_retry_after_sets_the_next_attempt(ingress: Ingress, admin: Admin) -> None:
    async def ask_for_time(talk: Talk) -> None:
        await talk.listen()
        await talk.step(1, STEPS[0])
        if busy.attempts[talk.id] == 1:
            talk.end()
        else:
            talk.answer(429, content_type=None, retry_after="3600")
            talk.end()

    # More attempts than usual, so that the policy is not what ends them.
    with LyingService("Busy", ["serve"], {**RETRIES, "retryPolicyMaxAttempts": 50}) as busy:
        admin.register(busy.uri)
        busy.behaviours["serve"] = ask_for_time
        invocation = ingress.send("/Busy/serve")
        wait_until(lambda: "RT0023" in failure_codes(admin, invocation), "a refusal for lack of capacity")
        row = admin.wait_status(invocation, "backing-off")
        wait_s = _instant(row["next_retry_at"]) - _instant(row["modified_at"])
        assert 3_500 < wait_s <= 3_600
        busy.repair("serve")
        check_repaired(busy, ingress, admin, invocation)


def test_an_await_tree_just_within_the_limit_is_served(
    liar: LyingService, ingress: Ingress, admin: Admin
) -> None:
    """Goal: the documented depth is really reached. Method: suspend on it, then cancel, which it awaits."""

    async def suspend_deeply(talk: Talk) -> None:
        await talk.listen()
        if liar.attempts[talk.id] == 1:
            talk.say(encode_frame(MessageType.SUSPENSION, deep_suspension(FUTURE_DEPTH_MAX)))
            talk.end()
        else:
            talk.finish("woken")

    liar.behaviours["deepButFine"] = suspend_deeply
    invocation = ingress.send("/Liar/deepButFine")
    admin.wait_status(invocation, "suspended")
    assert admin.patch(invocation, "cancel").status_code in (200, 202)
    assert ingress.attach(invocation).json() == "woken"


def test_callers_hear_of_a_policy_that_kills(ingress: Ingress, admin: Admin, watchman: Watchman) -> None:
    async def refuse(talk: Talk) -> None:
        talk.answer(404, content_type=None)
        talk.end()

    with LyingService("Mortal", ["serve"], {**RETRIES, "retryPolicyOnMaxAttempts": "KILL"}) as mortal:
        admin.register(mortal.uri)
        mortal.behaviours["serve"] = refuse
        answer = ingress.post("/Mortal/serve")
        assert answer.status_code == 500
        assert answer.json()["source"] == "invocation"
        assert "status 404" in answer.json()["message"]
        assert mortal.attempts[answer.headers["x-restate-id"]] == ATTEMPTS
        watchman.sees_service()


def test_a_deployment_that_disappears_is_waited_for(
    ingress: Ingress, admin: Admin, watchman: Watchman
) -> None:
    forever: dict[str, object] = {"retryPolicyInitialInterval": 20, "retryPolicyMaxInterval": 100}
    reached = threading.Event()

    async def stop_half_way(talk: Talk) -> None:
        await talk.listen()
        await talk.step(1, STEPS[0])
        reached.set()

    with LyingService("Wanderer", ["serve"], forever) as wanderer:
        admin.register(wanderer.uri)
        wanderer.behaviours["serve"] = stop_half_way
        started = ingress.send("/Wanderer/serve")
        assert reached.wait(15)
        wanderer.disappear()
        wanderer.repair("serve")
        fresh = [ingress.send("/Wanderer/serve") for _ in range(5)]
        for invocation in (started, *fresh):
            row = admin.wait_status(invocation, "backing-off")
            assert row["last_failure_error_code"] == "RT0010"
            assert str(wanderer.port) in str(row["last_failure"])
        watchman.sees_service()
        wanderer.appear()
        for invocation in (started, *fresh):
            assert ingress.attach(invocation).json() == list(STEPS)
            assert [wanderer.ran[invocation, label] for label in STEPS] == [1, 1]


def test_a_deployment_removed_under_its_invocation(
    ingress: Ingress, admin: Admin, watchman: Watchman
) -> None:
    """The invocation is told why it cannot go on, and goes on where an operator puts it."""

    async def leave(talk: Talk) -> None:
        await talk.listen()
        await talk.step(1, STEPS[0])
        talk.end()

    with LyingService("Moved", ["serve"], RETRIES) as old, LyingService("Moved", ["serve"], RETRIES) as new:
        old_id = admin.register(old.uri)["id"]
        old.behaviours["serve"] = leave
        invocation = ingress.send("/Moved/serve")
        admin.wait_status(invocation, "paused")
        assert admin.http.delete(f"/deployments/{old_id}", params={"force": "true"}).status_code == 202
        assert admin.patch(invocation, "resume").status_code in (200, 202)
        row = admin.wait_status(invocation, "backing-off")  # by the server's own policy: none is registered
        assert row["last_failure_error_code"] == "RT0011", row["last_failure"]
        assert str(old_id) in str(row["last_failure"])
        watchman.sees_service()
        new_id = str(admin.register(new.uri)["id"])
        assert admin.patch(invocation, "resume", deployment=new_id).status_code in (200, 202)
        assert ingress.attach(invocation).json() == list(STEPS)
        assert (old.ran[invocation, STEPS[0]], new.ran[invocation, STEPS[0]]) == (1, 0)


def _instant(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
