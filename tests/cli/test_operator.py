"""`holdfast deployments` and `holdfast invocations` against a real server and real handlers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from harness import free_port, wait_until

from holdfast.cli.main import main
from tests.cli.dev_session import DEADLINE_S, DevSession

APP = """
import holdfast

stock = holdfast.VirtualObject("Stock")

@stock.handler
async def take(ctx: holdfast.ObjectContext, count: int) -> int:
    ctx.set("left", 100 - count)
    return 100 - count

shop = holdfast.Service("Shop")

@shop.handler
async def order(ctx: holdfast.Context, item: str) -> str:
    await ctx.run(loaded)
    left = await ctx.call(take, 3, key=item)
    if item == "bad":
        raise holdfast.TerminalError("nothing bad here", code=402)
    if item == "slow":
        await ctx.sleep(3600)
    return f"{left} left"

def loaded() -> int:
    return 7
"""


@dataclass(frozen=True)
class Shop:
    """A server with three invocations of Shop/order: one succeeded, one failed, one sleeps."""

    dev: DevSession
    tea: str
    bad: str
    slow: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(APP, encoding="utf-8")
    with DevSession(folder, "shop.py", "--ephemeral") as dev:
        dev.until_ready()
        ids = [
            json.loads(dev.curl(f"curl localhost:{dev.ingress}/Shop/order/send --json '\"{item}\"'"))
            for item in ("tea", "bad", "slow")
        ]
        found = Shop(dev, *(id_["invocationId"] for id_ in ids))
        dev.curl(f"curl localhost:{dev.ingress}/restate/invocation/{found.tea}/attach")
        yield found
        assert dev.interrupt() == 0


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("HOLDFAST_ADMIN", f"http://localhost:{shop.dev.admin}")

    def run(*argv: str) -> tuple[int, str, str]:
        return ended(capsys, *argv)

    return run


def ended(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert isinstance(end.value.code, int)
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def listed(command: Command, *filters: str) -> set[str]:
    code, out, _ = command("invocations", "list", "--json", *filters)
    assert code == 0
    return {json.loads(line)["id"] for line in out.splitlines()}


@pytest.mark.e2e
def test_list_and_its_filters(shop: Shop, command: Command) -> None:
    def both_ended() -> bool | None:
        return listed(command, "--service", "Shop", "--status", "completed") == {shop.tea, shop.bad} or None

    wait_until(both_ended, "two to complete", DEADLINE_S)
    code, out, _ = command("invocations", "list", "--handler", "order")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert "succeeded" in rows[shop.tea]
    assert "failed" in rows[shop.bad]
    assert "[402] nothing bad here" in rows[shop.bad]
    assert listed(command, "--status", "running", "--status", "suspended") == {shop.slow}
    assert len(listed(command, "--service", "Stock", "--key", "tea")) == 1
    assert listed(command, "--key", "it's \"nobody's\"") == set()
    code, out, said = command("invocations", "list", "--limit", "1")
    assert (code, len(out.splitlines()), "--limit" in said) == (0, 2, True)


@pytest.mark.e2e
def test_describe_prints_the_tree_and_unfolds_calls(shop: Shop, command: Command) -> None:
    code, out, _ = command("invocations", "describe", shop.tea)
    assert code == 0
    assert f"Shop/order  {shop.tea}" in out
    assert "step loaded" in out
    assert "= 7" in out
    assert "call Stock/tea/take" in out
    assert "set state" not in out
    assert 'output  = "97 left"' in out.splitlines()[-1]
    _, out, _ = command("invocations", "describe", shop.tea, "--depth", "1")
    assert "│  └─" in out
    assert "set state left  = 97" in out
    _, out, _ = command("invocations", "describe", shop.tea, "--depth", "1", "--json")
    told = json.loads(out)
    call = next(entry for entry in told["journal"] if entry["type"] == "call")
    assert (call["result"], call["called"]["journal"][-1]["result"]) == (97, 97)
    code, out, _ = command("invocations", "describe", shop.slow)
    assert "waiting until" in out


@pytest.mark.e2e
def test_operations_and_their_refusals(shop: Shop, command: Command) -> None:
    def operate(action: str, *more: str) -> tuple[int, str, str]:
        return command("invocations", action, shop.slow, *more)

    assert operate("pause")[0] == 0
    wait_until(lambda: shop.slow in listed(command, "--status", "paused") or None, "a pause", DEADLINE_S)
    code, out, _ = operate("resume")
    assert (code, out) == (0, f"{shop.slow}  resumed\n")
    assert operate("cancel")[0] == 0
    wait_until(lambda: shop.slow in listed(command, "--status", "completed") or None, "its end", DEADLINE_S)
    code, _, said = operate("kill")
    assert (code, "already completed" in said) == (8, True)
    code, out, _ = operate("restart", "--json")
    again = json.loads(out)["new_id"]
    assert code == 0
    code, out, said = command("invocations", "kill", again, "nonsense", "--json")
    first, second = map(json.loads, out.splitlines())
    assert (code, first["ok"], second["ok"]) == (8, True, False)


@pytest.mark.e2e
def test_deployments(shop: Shop, command: Command) -> None:
    uri = f"http://127.0.0.1:{shop.dev.service}"
    code, out, _ = command("deployments", "list")
    assert code == 0
    assert f"{uri}/" in out
    assert "Stock (1), Shop (1)" in out
    code, out, _ = command("deployments", "list", "--json")
    assert json.loads(out)["uri"] == f"{uri}/"
    code, out, _ = command("deployments", "register", uri)
    assert (code, "META0004" in out, "Service Shop, revision 1: order" in out) == (0, True, True)
    code, _, said = command("deployments", "register", f"http://127.0.0.1:{free_port()}")
    assert (code, "META0003" in said) == (8, True)
    assert command("deployments", "register", uri, "--header", "nonsense")[0] == 2


@pytest.mark.e2e
def test_what_is_not_there(shop: Shop, command: Command) -> None:
    code, _, said = command("invocations", "describe", "inv_nobody")
    assert (code, "has no invocation inv_nobody" in said) == (8, True)


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    code, _, said = ended(capsys, "invocations", "list", "--admin", f"http://localhost:{port}")
    assert code == 7
    assert f"nothing listens at http://localhost:{port}; start a server (holdfast dev" in said
    code, _, said = ended(capsys, "deployments", "list", "--admin", "localhost:9070")
    assert (code, "no address" in said) == (2, True)


def test_something_else_at_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        code, _, said = ended(capsys, "invocations", "list", "--admin", url)
        thread.join(DEADLINE_S)
    assert (code, "is not an admin interface" in said) == (7, True)
