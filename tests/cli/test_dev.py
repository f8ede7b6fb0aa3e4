"""`holdfast dev` in real processes: first light, reloads, broken files, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from harness import free_port, wait_until

from holdfast.cli import dev as dev_command
from holdfast.cli.main import main
from tests.cli.dev_session import DEADLINE_S, HOLDFAST, DevSession

GREETER = """
import holdfast

greeter = holdfast.Service("Greeter")

@greeter.handler
async def greet(ctx: holdfast.Context, name: str) -> str:
    await ctx.run(drawn)
    print("greeting", name)
    {wait}
    return "Hello " + name

def drawn() -> int:
    print("drew")
    return 3
"""
RUNNING = GREETER.format(wait="await ctx.sleep(3600)")
PROMPT = GREETER.format(wait="pass")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def write(folder: Path, text: str) -> None:
    (folder / "greeter.py").write_text(text, encoding="utf-8")


@pytest.mark.e2e
def test_first_light_then_ctrl_c_then_again(tmp_path: Path) -> None:
    """The printed line works as it is; everything ends; the state is there the next time."""
    write(tmp_path, PROMPT)
    with DevSession(tmp_path, "greeter.py") as dev:
        dev.until_ready()
        line = re.search(r"^ {2}try +(curl .*)$", dev.said, re.MULTILINE)
        assert line, dev.said
        assert line[1] == f"curl localhost:{dev.ingress}/Greeter/greet --json '\"Ada\"'"
        assert dev.curl(line[1]) == '"Hello Ada"'
        again = f"curl localhost:{dev.ingress}/Greeter/greet --json '\"Bob\"' -H 'idempotency-key: once'"
        assert dev.curl(again) == '"Hello Bob"'
        for port in (dev.admin, dev.service):
            assert f"http://localhost:{port}" in dev.said
        dev.until_said("service  | drew", 2)
        assert dev.interrupt() == 0
        assert not any(map(listens, (dev.ingress, dev.admin, dev.service)))
        assert (tmp_path / ".holdfast").is_dir()

        write(tmp_path, PROMPT.replace("Hello", "Goodbye"))
        dev.start()
        dev.until_ready()
        assert dev.curl(again) == '"Hello Bob"'
        assert dev.curl(line[1]) == '"Goodbye Ada"'
        assert dev.interrupt() == 0


@pytest.mark.e2e
def test_an_invocation_under_way_goes_on_in_the_new_code(tmp_path: Path) -> None:
    write(tmp_path, PROMPT.replace("pass", "raise ValueError('not yet')"))
    with DevSession(tmp_path, "greeter.py:greeter", "--ephemeral") as dev:
        dev.until_said("is an instance of Service")
    with DevSession(tmp_path, "greeter.py", "--ephemeral") as dev:
        dev.until_ready()
        sent = json.loads(dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet/send --json '\"Ada\"'"))
        dev.until_said("failed: [500 Internal] ValueError: not yet")
        dev.until_said("ValueError: not yet", 2)
        frames = [line for line in dev.lines if line.strip().startswith("File ")]
        assert frames
        assert all(str(tmp_path) in frame for frame in frames)
        write(tmp_path, PROMPT.replace("Hello", "Welcome back"))
        attach = f"curl localhost:{dev.ingress}/restate/invocation/{sent['invocationId']}/attach"
        assert dev.curl(attach) == '"Welcome back Ada"'
        assert "greeter.py changed" in dev.said
        assert dev.said.count("service  | drew") == 1
        assert dev.interrupt() == 0
    assert not (tmp_path / ".holdfast").exists()


@pytest.mark.e2e
def test_a_reload_does_not_wait_for_what_runs(tmp_path: Path) -> None:
    write(tmp_path, RUNNING)
    with DevSession(tmp_path, "greeter", "--ephemeral") as dev:
        dev.until_ready()
        dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet/send --json '\"Ada\"'")
        dev.until_said("greeting Ada")
        added = '@greeter.handler\nasync def bye() -> str:\n    return "bye"\n'
        write(tmp_path, RUNNING + added)
        dev.until_said("serving Greeter again")
        assert dev.curl(f"curl localhost:{dev.ingress}/Greeter/bye -X POST") == '"bye"'
        assert dev.interrupt() == 0


@pytest.mark.e2e
def test_what_was_under_way_goes_on_at_another_port(tmp_path: Path) -> None:
    """It is pinned to where it began; the handler is called again there only if that has moved."""
    write(tmp_path, RUNNING)
    with DevSession(tmp_path, "greeter.py") as dev:
        dev.until_ready()
        dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet/send --json '\"Ada\"'")
        dev.until_said("greeting Ada")
        assert dev.interrupt() == 0
        dev.choose_ports()
        dev.start()
        dev.until_ready()
        dev.until_said("greeting Ada")
        assert dev.interrupt() == 0


@pytest.mark.e2e
def test_a_broken_file_is_told_and_taken_up_when_repaired(tmp_path: Path) -> None:
    write(tmp_path, PROMPT + "\nboom = 1 / 0\n")
    with DevSession(tmp_path, "greeter.py", "--ephemeral") as dev:
        dev.until_said("waiting for a change")
        assert "ZeroDivisionError" in dev.said
        frames = [line for line in dev.lines if line.strip().startswith("File ")]
        assert frames
        assert all(str(tmp_path / "greeter.py") in frame for frame in frames)
        write(tmp_path, "import holdfast\n")
        dev.until_said("has no app and no services")
        write(tmp_path, PROMPT)
        dev.until_ready()
        assert dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet --json '\"Ada\"'") == '"Hello Ada"'
        write(tmp_path, "def greet(:\n")
        dev.until_said("SyntaxError")
        assert dev.interrupt() == 0


@pytest.mark.e2e
@pytest.mark.parametrize("stuck", [False, True], ids=["serving", "stopped"])
def test_kill_nine_leaves_no_service_behind(stuck: bool, tmp_path: Path) -> None:
    """Not even one in which no thread runs that could notice."""
    if stuck and sys.platform != "linux":
        pytest.skip("only Linux ends a stopped process with its pipe")
    write(tmp_path, PROMPT)
    with DevSession(tmp_path, "greeter.py") as dev:
        dev.until_ready()
        if stuck:
            os.kill(dev.service_pids[-1], signal.SIGSTOP)
        dev.kill()
        wait_until(lambda: not listens(dev.service) or None, "the service to go", DEADLINE_S)


@pytest.mark.e2e
def test_a_killed_service_is_started_again_and_what_ran_goes_on(tmp_path: Path) -> None:
    """Three times: the process that is named serves, is killed while the handler waits, and is replaced."""
    write(tmp_path, RUNNING.replace("3600", "2"))
    with DevSession(tmp_path, "greeter.py") as dev:
        dev.until_ready()
        sent = json.loads(dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet/send --json '\"Ada\"'"))
        for life in range(1, 4):
            dev.until_said("service  | greeting Ada", life)
            os.kill(dev.service_pids[-1], signal.SIGKILL)
            dev.until_said("the service was ended by SIGKILL", life)
            dev.until_said("serving Greeter again in process", life)
        assert len(set(dev.service_pids)) == 4
        attach = f"curl localhost:{dev.ingress}/restate/invocation/{sent['invocationId']}/attach"
        assert dev.curl(attach) == '"Hello Ada"'
        assert dev.said.count("service  | drew") == 1
        assert "for the 3rd time in a row" in dev.said
        assert f"holdfast invocations kill ID --admin http://localhost:{dev.admin}" in dev.said
        assert dev.interrupt() == 0


@pytest.mark.e2e
def test_a_crash_in_native_code_is_told_with_its_line_and_repaired(tmp_path: Path) -> None:
    crashing = PROMPT.replace('print("drew")', "import ctypes; ctypes.string_at(0)")
    write(tmp_path, crashing)
    with DevSession(tmp_path, "greeter.py", "--ephemeral") as dev:
        dev.until_ready()
        sent = json.loads(dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet/send --json '\"Ada\"'"))
        dev.until_said("the service was ended by SIGSEGV", 2)
        assert f'File "{tmp_path / "greeter.py"}", line' in dev.said
        write(tmp_path, PROMPT)
        attach = f"curl localhost:{dev.ingress}/restate/invocation/{sent['invocationId']}/attach"
        assert dev.curl(attach) == '"Hello Ada"'
        assert dev.interrupt() == 0


@pytest.mark.e2e
def test_a_process_that_dies_on_importing_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "fragile").touch()
    dies = 'import os, pathlib\nif pathlib.Path("fragile").exists():\n    os._exit(9)\n'
    write(tmp_path, dies + PROMPT)
    with DevSession(tmp_path, "greeter.py", "--ephemeral") as dev:
        dev.until_said("the service ended with code 9", 2)
        (tmp_path / "fragile").unlink()
        dev.until_ready()
        assert dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet --json '\"Ada\"'") == '"Hello Ada"'
        assert dev.interrupt() == 0


@pytest.mark.e2e
def test_the_same_command_goes_on_at_once_after_kill_nine(tmp_path: Path) -> None:
    """Same ports, same state; the service of the first one may still be there when the second one starts."""
    write(tmp_path, RUNNING.replace("3600", "2"))
    with DevSession(tmp_path, "greeter.py") as dev:
        dev.until_ready()
        sent = json.loads(dev.curl(f"curl localhost:{dev.ingress}/Greeter/greet/send --json '\"Ada\"'"))
        dev.until_said("service  | drew")
        dev.until_said("greeting Ada")
        orphan = dev.service_pids[-1]
        dev.kill()
        dev.start()
        dev.until_ready()
        assert dev.service_pids[-1] != orphan
        attach = f"curl localhost:{dev.ingress}/restate/invocation/{sent['invocationId']}/attach"
        assert dev.curl(attach) == '"Hello Ada"'
        assert "drew" not in dev.said
        assert dev.interrupt() == 0


def test_a_port_that_an_orphan_is_about_to_leave_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as orphans:
        port = orphans.getsockname()[1]
        leaving = threading.Timer(0.1, orphans.close)
        leaving.start()
        assert dev_command.port_problem(port, "--service-port", {}) is None
        leaving.join()


@pytest.mark.e2e
def test_a_second_one_in_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, PROMPT)
    with DevSession(tmp_path, "greeter.py") as dev:
        dev.until_ready()
        second = [HOLDFAST, "dev", "greeter.py", "--port", "0", "--admin-port", "0", "--service-port", "0"]
        done = subprocess.run(
            second, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert done.returncode == 5
        assert ".holdfast is in use by another server" in done.stderr
        assert "--ephemeral" in done.stderr


# ---------------------------------------------------------------- refused before anything starts


def ended(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["dev", *argv])
    assert isinstance(end.value.code, int)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize("option", ["--port", "--admin-port", "--service-port"])
def test_a_taken_port_is_named_with_its_option(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dev_command, "ORPHAN_ENDS_WITHIN_S", 0.05)
    write(tmp_path, PROMPT)
    ports = {name: str(free_port()) for name in ("--port", "--admin-port", "--service-port")}
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports[option] = str(other.getsockname()[1])
        code, said = ended(capsys, "greeter.py", *(word for pair in ports.items() for word in pair))
    assert code == 4
    assert f"port {ports[option]} of 127.0.0.1 is taken" in said
    assert f"choose one with {option}\n" in said
    code, said = ended(capsys, "greeter.py", "--port", ports["--port"], "--admin-port", ports["--port"])
    if option != "--port":
        assert (code, "given twice" in said) == (4, True)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere.py", "there is no file nowhere.py"),
        ("nowhere/at/all.py", "there is no file"),
        (".", "names no file and no module"),
        ("./", "is a folder"),
        ("what-is-this", "names no file and no module"),
    ],
)
def test_what_is_no_file_is_told_at_once(
    target: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = ended(capsys, target)
    assert code == 2
    assert words in said


@pytest.mark.parametrize("module", ["httptools", "apsw"])
def test_a_missing_extra_is_named(
    module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code, said = ended(capsys, "greeter.py")
    assert code == 3
    assert f"({module} missing)" in said
    assert "pip install 'holdfast[server]'" in said
