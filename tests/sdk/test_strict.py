"""Strict mode: what handlers do outside the journal fails their attempt; what may be there passes.

Goal: every refused call names itself, the user's line and the cure, and reaches the developer even through
`except Exception`; nothing else is refused, and nothing at all where strict mode is off. Method: one attempt
per case, fed by hand, its last message read.
"""

from __future__ import annotations

import asyncio
import datetime
import gc
import json
import logging
import os
import pathlib
import queue
import random
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast.protocol.commands import OneWayCallCommandMessage
from holdfast.protocol.control import EndMessage, ErrorMessage
from holdfast.protocol.messages import InputCommandMessage, OutputCommandMessage, StartMessage, Value, frame
from holdfast.sdk import strict
from holdfast.sdk.allowing import allow_unrecorded
from holdfast.sdk.context import Context
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.errors import UsageError
from holdfast.sdk.file_owners import LIBRARY, STANDARD, USER, own_package_of, owner_of
from holdfast.sdk.handlers import Handler
from holdfast.sdk.loop.durable_loop import DurableLoop
from holdfast.sdk.services import Service
from holdfast.sdk.unrecorded import StrictLoop, make_strict_loop
from tests.sdk.attempts import Fed

HERE = pathlib.Path(__file__)


@dataclass
class Stamped:
    """A value that takes the time when it is made."""

    at: float = field(default_factory=time.time)


def watched(handler: Handler[Any, Any], payloads: Payloads | None = None) -> Fed:
    """An attempt of the handler in strict mode."""
    fed = Fed(handler, payloads=payloads)
    fed.attempt.loop = make_strict_loop(fed.attempt, handler.function)
    return fed


def handler_that(does: Callable[[], object]) -> Handler[Any, Any]:
    """A handler that does it, ignores what it raises, and then calls somebody."""
    service = Service("Careless")

    @service.handler
    async def act(ctx: Context) -> None:
        with suppress(Exception):
            does()
        ctx.send(act)

    return act


def failure(fed: Fed) -> str:
    """The error the attempt ended with, and that it said nothing besides."""
    said = fed.said()
    assert [type(message) for message in said] == [ErrorMessage], said
    assert isinstance(said[0], ErrorMessage)
    return said[0].message


def passed(fed: Fed) -> None:
    """The handler of `handler_that` came to its end."""
    said = fed.said()
    assert [type(m) for m in said] == [OneWayCallCommandMessage, OutputCommandMessage, EndMessage], said


def connected() -> socket.socket:
    return LEFT


LEFT, RIGHT = socket.socketpair()
URL = "http://127.0.0.1:9/secret"
DATABASE = sqlite3.connect(":memory:", check_same_thread=False)

IO = [
    (lambda: time.sleep(0), "time.sleep", "asyncio.sleep"),
    (lambda: open(HERE), f"open({str(HERE)!r})", "ctx.run"),  # noqa: SIM115
    (lambda: HERE.read_text(), "pathlib.Path.read_text (open(", "ctx.run"),
    (lambda: os.path.exists(HERE), "genericpath.exists (os.stat)", "ctx.run"),
    (lambda: os.listdir("/"), "os.listdir('/')", "ctx.run"),
    (lambda: os.remove("/nowhere/at/all"), "os.remove('/nowhere/at/all')", "ctx.run"),
    (lambda: os.system("echo secret"), "os.system was", "ctx.run"),
    (lambda: subprocess.run(["true"], check=True), "subprocess.run (subprocess.Popen('true'))", "ctx.run"),
    (lambda: socket.create_connection(("127.0.0.1", 9)), "socket.create_connection (", "ctx.run"),
    (lambda: connected().send(b"x"), "socket.send", "ctx.run"),
    (lambda: urllib.request.urlopen(URL), "urllib.request.urlopen (urllib.Request)", "ctx.run"),
    (lambda: sqlite3.connect(":memory:"), "sqlite3.connect(':memory:')", "ctx.run"),
    (lambda: DATABASE.execute("select 1"), "sqlite3.Connection.execute", "ctx.run"),
    (lambda: shutil.rmtree("/nowhere/at/all"), "shutil.rmtree", "ctx.run"),
    (lambda: tempfile.mkdtemp(), "tempfile.mkdtemp", "ctx.run"),
    (lambda: input(), "input", "ctx.run"),
    (lambda: threading.Thread(target=int).start(), "threading.Thread.start", "runs in a thread"),
]  # fmt: skip

VALUES = [
    (lambda: time.time(), "time.time", "ctx.now()"),
    (lambda: time.time_ns(), "time.time_ns", "ctx.now()"),
    (lambda: time.monotonic(), "time.monotonic", "Measure inside the step"),
    (lambda: time.perf_counter(), "time.perf_counter", "Measure inside the step"),
    (lambda: datetime.datetime.now(datetime.UTC), "datetime.now", "ctx.now()"),
    (lambda: datetime.datetime.utcnow(), "datetime.utcnow", "ctx.now()"),  # noqa: DTZ003
    (lambda: datetime.date.today(), "date.today", "ctx.now()"),  # noqa: DTZ011
    (lambda: random.random(), "random.random", "ctx.random"),
    (lambda: random.randint(1, 6), "random.randint", "ctx.random"),
    (lambda: random.choice([1, 2]), "random.choice", "ctx.random"),
    (lambda: random.shuffle([1, 2]), "random.shuffle", "ctx.random"),
    (lambda: uuid.uuid4(), "uuid.uuid4", "ctx.uuid()"),
    (lambda: uuid.uuid1(), "uuid.uuid1", "ctx.uuid()"),
    (lambda: os.urandom(8), "os.urandom", "in a step"),
    (lambda: secrets.token_hex(), "secrets.token_hex", "in a step"),
    (lambda: Stamped(), "time.time", "ctx.now()"),
    (lambda: queue.Queue[int]().get(timeout=0.01), "queue.Queue.get (time.monotonic)", "Measure inside"),
]  # fmt: skip


def line_of(does: Callable[[], object]) -> str:
    code = does.__code__
    return f"at {code.co_filename}:{code.co_firstlineno} in {code.co_qualname}"


@pytest.mark.parametrize(("does", "name", "cure"), IO, ids=[case[1] for case in IO])
def test_io_is_refused(does: Callable[[], object], name: str, cure: str) -> None:
    message = failure(watched(handler_that(does)).begin(b""))
    assert message.startswith(f"UsageError: {name}")
    assert "[unrecorded_io]" in message
    assert line_of(does) in message
    assert cure in message
    assert "allow_unrecorded" in message
    assert "secret" not in message


@pytest.mark.parametrize(("does", "name", "cure"), VALUES, ids=[case[1] for case in VALUES])
def test_clocks_and_chance_are_refused(does: Callable[[], object], name: str, cure: str) -> None:
    message = failure(watched(handler_that(does)).begin(b""))
    assert message.startswith(f"UsageError: {name}")
    assert "[unrecorded_value]" in message
    assert line_of(does) in message
    assert cure in message


@pytest.mark.parametrize("does", [case[0] for case in IO + VALUES if case[1] != "input"], ids=str)
def test_nothing_is_refused_when_off(does: Callable[[], object]) -> None:
    seen: list[type] = []

    def look() -> None:
        seen.append(type(asyncio.get_running_loop()))
        assert sys.getprofile() is None

    fed = Fed(handler_that(look)).begin(b"")
    passed(fed)
    passed(Fed(handler_that(does)).begin(b""))
    assert seen == [DurableLoop]


def _log() -> None:
    logger = logging.getLogger("tests.strict")
    handler = logging.FileHandler(os.devnull, delay=True)
    logger.addHandler(handler)
    try:
        logger.warning("opens its file now, and takes the time")
    finally:
        logger.removeHandler(handler)


def _traceback() -> None:
    try:
        raise ValueError
    except ValueError:
        assert "raise ValueError" in traceback.format_exc()


class _WithFinalizer:
    def __del__(self) -> None:
        os.path.exists("/")


MAY = {
    "a log record": _log,
    "a traceback": _traceback,
    "a time zone": lambda: zoneinfo.ZoneInfo.no_cache("Europe/Paris"),
    "a generator of one's own": lambda: random.Random(5).random(),
    "a time computed": lambda: datetime.datetime.fromtimestamp(0, datetime.UTC),
    "a finalizer": lambda: bool(_WithFinalizer()),
    "printing": lambda: print("captured"),
}


@pytest.mark.parametrize("what", MAY)
def test_what_may_be_there(what: str) -> None:
    passed(watched(handler_that(MAY[what])).begin(b""))


def test_imports_inside_handlers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_late.py").write_text(
        "import os, time, uuid\nSTARTED = time.time()\nID = uuid.uuid4()\nHERE = os.listdir('.')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    passed(watched(handler_that(lambda: __import__("imported_late").STARTED + 0.0)).begin(b""))


def _installed(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> Any:
    packages = folder / "site-packages"
    packages.mkdir()
    (packages / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(packages)
    return __import__(name)


def test_libraries_may_read_files_and_clocks_but_not_wait(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = _installed(
        tmp_path,
        monkeypatch,
        "strict_library",
        "import time, uuid, random\n"
        "def own_business():\n"
        "    open(__file__).close()\n"
        "    return time.time(), time.monotonic(), uuid.uuid4(), random.random()\n"
        "def wait():\n"
        "    time.sleep(0)\n",
    )
    passed(watched(handler_that(lambda: library.own_business())).begin(b""))
    wait = lambda: library.wait()  # noqa: E731
    message = failure(watched(handler_that(wait)).begin(b""))
    assert "strict_library.wait (time.sleep) was called" in message
    assert line_of(wait) in message


def test_an_installed_package_with_handlers_is_the_users(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _installed(
        tmp_path,
        monkeypatch,
        "strict_handlers",
        "import time\n"
        "from holdfast.sdk.context import Context\n"
        "from holdfast.sdk.services import Service\n"
        "service = Service('Installed')\n"
        "@service.handler\n"
        "async def act(ctx: Context) -> float:\n"
        "    return time.time()\n",
    )
    assert owner_of(package.__file__) is LIBRARY
    message = failure(watched(package.act).begin(b""))
    assert "strict_handlers.py:7 in act" in message
    assert owner_of(package.__file__) is USER


def test_steps_do_what_they_want() -> None:
    service = Service("Careful")

    def read() -> int:
        time.sleep(0)
        return len(HERE.read_text()) * bool(uuid.uuid4())

    async def ask() -> float:
        with socket.socket() as unconnected:
            return time.time() + unconnected.fileno()

    @service.handler
    async def act(ctx: Context) -> None:
        await asyncio.gather(ctx.run(read), ctx.run(ask), ctx.now())
        assert ctx.uuid() != ctx.uuid()
        ctx.random.choice([1, 2])
        await asyncio.sleep(1)

    fed = watched(act).begin(b"")
    for _ in range(3):
        fed.finish_step()
    assert not any(isinstance(message, ErrorMessage) for message in fed.said())


def test_other_threads_are_not_concerned() -> None:
    go, done = threading.Event(), threading.Event()
    results: list[object] = []

    def elsewhere() -> None:
        go.wait(10)
        try:
            results.append(len(HERE.read_text()) + time.time())
        except BaseException as error:
            results.append(error)
        done.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()

    def wait() -> None:
        go.set()
        done.wait(10)

    passed(watched(handler_that(wait)).begin(b""))
    thread.join(10)
    assert isinstance(results[0], float)


def test_allowed_with_a_reason_across_awaits_and_in_tasks() -> None:
    service = Service("Allowed")

    async def look() -> int:
        return len(HERE.read_text())  # noqa: ASYNC240

    @service.handler
    async def act(ctx: Context) -> int:
        with allow_unrecorded("the file never changes"):
            await asyncio.sleep(0)
            size = len(HERE.read_text())  # noqa: ASYNC240
            task = asyncio.create_task(look())
            await asyncio.sleep(0)
        assert await task == size
        time.time()
        return size

    message = failure(watched(act).begin(b""))
    assert message.startswith("UsageError: time.time was")


def test_allowing_needs_a_reason() -> None:
    with pytest.raises(UsageError, match="reason_missing"):
        allow_unrecorded(" ")


def test_the_error_is_raised_at_the_call_and_ends_all_durable_work() -> None:
    service = Service("Stubborn")
    seen: list[BaseException] = []

    @service.handler
    async def act(ctx: Context) -> None:
        for does in (lambda: time.sleep(0), lambda: os.listdir("/"), lambda: ctx.send(act)):
            try:
                does()
            except BaseException as error:
                seen.append(error)

    fed = watched(act).begin(b"")
    message = failure(fed)
    assert message.startswith("UsageError: time.sleep ")
    assert [getattr(error, "code", type(error).__name__) for error in seen] == [
        "unrecorded_io", "unrecorded_io", "AttemptEnded"
    ]  # fmt: skip


def test_an_error_nobody_catches_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("Plain")

    @service.handler
    async def act(ctx: Context) -> float:
        return time.time()

    fed = watched(act).begin(b"")
    assert "time.time" in failure(fed)
    del fed
    gc.collect()
    assert caplog.records == []


def test_the_loops_own_refusals_reach_the_developer_too() -> None:
    service = Service("Loop")

    @service.handler
    async def act(ctx: Context) -> str:
        with suppress(Exception):
            await asyncio.to_thread(int)
        return "as if nothing had happened"

    message = failure(watched(act).begin(b""))
    assert "run_in_executor" in message
    assert "[unrecorded_io]" in message


def test_a_codec_may_use_chance() -> None:
    class Noisy:
        def encode(self, data: bytes) -> bytes:
            return os.urandom(4) + data

        def decode(self, data: bytes) -> bytes:
            return data[4:]

    passed(watched(handler_that(lambda: None), Payloads(Noisy())).begin(b"...."))


def test_a_profiler_of_the_developers_stays() -> None:
    def profiler(frame: object, event: str, argument: object) -> None:
        pass

    sys.setprofile(profiler)
    try:
        watched(handler_that(lambda: None)).begin(b"")
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    watched(handler_that(lambda: time.time())).begin(b"")
    assert sys.getprofile() is None


def test_tracing_as_coverage_does_it_is_kept() -> None:
    lines: list[str] = []

    def trace(frame: Any, event: str, argument: object) -> Any:
        if event == "line" and frame.f_code.co_filename == __file__:
            lines.append(frame.f_code.co_name)
        return trace

    before = sys.gettrace()
    fed = watched(handler_that(lambda: time.time()))
    sys.settrace(trace)
    try:
        fed.begin(b"")
        kept = sys.gettrace()
    finally:
        sys.settrace(before)
    assert kept is trace
    assert "act" in lines
    assert "time.time" in failure(fed)


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, word: str | None) -> Iterator[None]:
    with monkeypatch.context() as patched:
        if word is None:
            patched.delenv(strict.ENVIRONMENT, raising=False)
        else:
            patched.setenv(strict.ENVIRONMENT, word)
        yield


@pytest.mark.parametrize(
    ("argument", "word", "held", "expected"),
    [
        (None, None, False, False),
        (None, None, True, True),
        (None, "1", False, True),
        (None, "0", True, False),
        (None, "", True, True),
        (True, "0", False, True),
        (False, "1", True, False),
    ],
)
def test_who_decides(
    argument: bool | None, word: str | None, held: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with environment(monkeypatch, word):
        app = App([], strict=argument)
    if held:
        with strict.on_by_default(), strict.on_by_default():
            maker = strict.loop_maker(app.strict)
    else:
        maker = strict.loop_maker(app.strict)
    assert (maker is not None) is expected


def test_a_word_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with environment(monkeypatch, "maybe"), pytest.raises(UsageError, match="HOLDFAST_STRICT='maybe'"):
        App([])


def test_an_app_runs_its_attempts_strictly() -> None:
    loops: list[type] = []
    service = Service("Served")

    @service.handler
    async def act(ctx: Context) -> None:
        loops.append(type(asyncio.get_running_loop()))

    def run(app: App) -> None:
        body = frame(StartMessage(b"i" * 24, "inv_1x", 1)) + frame(InputCommandMessage(value=Value(b"")))
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/invoke/Served/act",
            "headers": [(b"content-type", b"application/vnd.restate.invocation.v7")],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            pass

        asyncio.run(asyncio.wait_for(app(scope, receive, send), 10))

    run(App([service], strict=True))
    run(App([service], strict=False))
    assert loops == [StrictLoop, DurableLoop]


def test_whose_a_file_is() -> None:
    assert owner_of(__file__) is USER
    assert owner_of(json.__file__) is STANDARD
    assert owner_of("<stdin>") is USER
    own_package_of(__file__)
    assert owner_of(__file__) is USER
