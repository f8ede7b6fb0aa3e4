"""The programs of the demo: server and agent, and the outside world of a bank and a model endpoint."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from examples.claim_demo.application import Apart, Application, Dev
from examples.claim_demo.bank import Payment
from examples.claim_demo.effects import EffectLog
from examples.claim_demo.processes import Child, Children, free_port
from examples.claim_demo.server_view import DemoError, ServerView, until

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = (sys.executable, "-m")
HOLDFAST = (str(Path(sys.executable).with_name("holdfast")),)
NODE = ("node", "--import", "./promise-with-resolvers.mjs", "--import", "tsx")
AGENT_FILE = str(HERE / "service.py")
OTHER_SERVER, OTHER_AGENT = "HOLDFAST_DEMO_SERVER", "HOLDFAST_DEMO_AGENT"
LANGUAGE = {"python": "Python", "typescript": "TypeScript"}
AGENTS = {
    "python": ((*HOLDFAST, "serve", "examples.claim_demo.service:app"), ROOT),  # when not in `holdfast dev`
    "typescript": ((*NODE, "service.ts"), ROOT / "examples" / "claim_agent_ts"),
}


@dataclass(frozen=True)
class Stage:
    """The programs of one run, and where they leave their traces."""

    application: Application
    bank: Child
    model: Child | None
    view: ServerView
    bank_url: str
    effects: EffectLog
    model_log: Path

    def start_world(self) -> None:
        """Start the bank and the model endpoint, and wait until the bank is open. They are never killed."""
        for outside in (self.bank, self.model):
            if outside is not None:
                outside.start()
        until("the bank to open", lambda: answers(self.bank_url))

    def ledger(self) -> list[Payment]:
        """Every request the bank got."""
        return [Payment(**entry) for entry in httpx.get(self.bank_url, timeout=10).json()]

    def payment_begun(self) -> bool | None:
        """True once the bank has moved money."""
        return bool(self.ledger()) or None


def set_stage(children: Children, agent: str, bank_confirms_after_ms: int) -> Stage:
    """Choose ports and write down every command; nothing runs yet.

    Raises:
        DemoError: the TypeScript agent's packages are not installed.
    """
    if agent == "typescript" and not (AGENTS[agent][1] / "node_modules").exists():
        raise DemoError(f"run `npm ci` in {AGENTS[agent][1]} first")
    folder = children.folder
    ingress, admin, service, bank, model = (free_port() for _ in range(5))
    real = {name: os.environ[name] for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL") if os.environ.get(name)}
    endpoint = real or {"OPENAI_BASE_URL": f"http://127.0.0.1:{model}/v1"}
    bank_url, effects, model_log = (
        f"http://127.0.0.1:{bank}",
        folder / "effects.jsonl",
        folder / "model.jsonl",
    )
    bank_options = ("--port", str(bank), "--confirm-after-ms", str(bank_confirms_after_ms))
    model_options = (str(HERE / "script.json"), "--port", str(model), "--log", str(model_log))
    view = ServerView(ingress, admin)
    environment = {
        "BANK_URL": bank_url,
        "CLAIM_EFFECTS": str(effects),
        "OPENAI_API_KEY": "no key needed",
        **endpoint,
    }
    application: Application
    if agent == "python" and not (os.environ.get(OTHER_SERVER) or os.environ.get(OTHER_AGENT)):
        ports = ("--port", str(ingress), "--admin-port", str(admin), "--service-port", str(service))
        dev = children.add("holdfast dev", (*HOLDFAST, "dev", AGENT_FILE, *ports), folder, **environment)
        dev.orphan_port = service
        application = Dev(dev, service)
    else:
        command, home = agent_command(agent)
        application = Apart(
            children.add("server", server_command(folder / "data", ingress, admin), folder),
            children.add("service", command, home, PORT=str(service), **environment),
            view,
            service,
        )
    return Stage(
        application=application,
        bank=children.add("bank", (*PYTHON, "examples.claim_demo.bank", *bank_options), ROOT),
        model=None
        if real
        else children.add("model", (*PYTHON, "holdfast.testing.llm", *model_options), ROOT),
        view=view,
        bank_url=bank_url,
        effects=EffectLog(effects),
        model_log=model_log,
    )


def agent_command(agent: str) -> tuple[tuple[str, ...], Path]:
    """The agent's command line and folder: ours, unless HOLDFAST_DEMO_AGENT names another one."""
    other = os.environ.get(OTHER_AGENT)
    return (tuple(shlex.split(other)), ROOT) if other else AGENTS[agent]


def server_command(data: Path, ingress: int, admin: int) -> list[str]:
    """The server's command line: ours, unless HOLDFAST_DEMO_SERVER names another one."""
    ours = (
        f"{shlex.join(HOLDFAST)} server --data-dir {{data}} "
        "--ingress-bind 127.0.0.1:{ingress} --admin-bind 127.0.0.1:{admin}"
    )
    template = os.environ.get(OTHER_SERVER) or ours
    return shlex.split(template.format(data=shlex.quote(str(data)), ingress=ingress, admin=admin))


def answers(url: str) -> bool | None:
    """True once something answers at this address."""
    try:
        return httpx.get(url, timeout=2).is_success or None
    except httpx.TransportError:
        return None
