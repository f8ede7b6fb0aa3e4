"""The demo: start everything, kill -9 the server and the agent twice, and account for every step.

    python -m examples.claim_agent.demo                      the agent in Python
    python -m examples.claim_agent.demo --agent typescript   the same agent in TypeScript

It needs no key and no internet. With OPENAI_API_KEY or OPENAI_BASE_URL set, the agent asks that model
instead of the scripted one. HOLDFAST_DEMO_SERVER names another server command; {data}, {ingress} and {admin}
in it are replaced by a folder and two ports.

Exit code 0 means that every fact in the account held. Everything it starts is gone when it ends, also on
ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from examples.claim_agent.account import INTERRUPTED, Facts, checks, table
from examples.claim_agent.bank import Payment
from examples.claim_agent.effects import EffectLog
from examples.claim_agent.processes import Child, Children, free_port
from examples.claim_agent.server_view import DemoError, JournaledStep, Json, ServerView, until

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLAIM: Json = {"policy": "home-77", "amount": 1800, "text": "A pipe burst and ruined the kitchen floor."}
AMOUNT = 1800
SERVICE, KEY = "ClaimAgent", "claim-7"
BANK_CONFIRMS_AFTER_MS = 20_000  # long enough for the kill to fall between payment and confirmation

PYTHON = (sys.executable, "-m")
NODE = ("node", "--import", "./promise-with-resolvers.mjs", "--import", "tsx")
LANGUAGE = {"python": "Python", "typescript": "TypeScript"}
AGENTS = {
    "python": ((*PYTHON, "examples.claim_agent.service"), ROOT),
    "typescript": ((*NODE, "service.ts"), ROOT / "examples" / "claim_agent_ts"),
}


class Timeline:
    """Prints what happens, when, and to whom."""

    def __init__(self) -> None:
        self._begin = time.time()
        self._told = 0
        bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._bold = ("\033[1m", "\033[0m") if bold else ("", "")

    def say(self, who: str, text: str, at: float | None = None) -> None:
        """One line. `at`: epoch seconds, now if left out."""
        print(f"{(at or time.time()) - self._begin:6.1f} s  {who:<8}  {text}", flush=True)

    def loud(self, who: str, text: str) -> None:
        """One line that nobody should miss."""
        before, after = self._bold
        print(f"{before}{time.time() - self._begin:6.1f} s  {who:<8}  {text}{after}", flush=True)

    def tell(self, log: EffectLog) -> None:
        """What the agent did since it was last told, in its own words; replays are gathered in one line."""
        effects = log.read()
        replayed: list[str] = []
        for effect in effects[self._told :]:
            if effect.event == "replayed":
                replayed.append(effect.step)
            elif effect.event == "finished":
                self._tell_replayed(replayed, effect.time_s)
                self.say("agent", f"ran {effect.step}", effect.time_s)
        self._tell_replayed(replayed, time.time())
        self._told = len(effects)

    def _tell_replayed(self, steps: list[str], at: float) -> None:
        if steps:
            self.say("agent", f"from the journal, not run again: {', '.join(dict.fromkeys(steps))}", at)
            steps.clear()

    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.time() - self._begin


@dataclass(frozen=True)
class Stage:
    """The programs of one run, and where they leave their traces."""

    server: Child
    service: Child
    bank: Child
    model: Child | None
    view: ServerView
    service_url: str
    bank_url: str
    effects: EffectLog
    model_log: Path

    def start_world(self) -> None:
        """Start the bank and the model endpoint, and wait until the bank is open."""
        for outside in (self.bank, self.model):
            if outside is not None:
                outside.start()
        until("the bank to open", lambda: answers(self.bank_url))

    def start_application(self) -> None:
        """Start the server and the agent, for the first time or again, and wait until they answer."""
        self.server.start()
        self.service.start()
        until("the server to answer", self.server_ready)

    def server_ready(self) -> bool | None:
        """True once the server answers. Raises DemoError when it has died instead."""
        for child in (self.server, self.service):
            if not child.alive():
                raise DemoError(f"the {child.name} ended by itself; its last lines are below")
        return self.view.ready()

    def kill_application(self) -> None:
        """kill -9 the server and the agent. The bank and the model are the outside world: they stay up."""
        self.server.kill()
        self.service.kill()

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
    model_log, effects, bank_url = (
        folder / "model.jsonl",
        folder / "effects.jsonl",
        f"http://127.0.0.1:{bank}",
    )
    bank_options = ("--port", str(bank), "--confirm-after-ms", str(bank_confirms_after_ms))
    model_options = ("--port", str(model), "--script", str(HERE / "script.json"), "--log", str(model_log))
    command, home = AGENTS[agent]
    return Stage(
        server=children.add("server", server_command(folder / "data", ingress, admin), folder),
        service=children.add(
            "service",
            command,
            home,
            PORT=str(service),
            BANK_URL=bank_url,
            CLAIM_EFFECTS=str(effects),
            **{"OPENAI_API_KEY": "no key needed", **endpoint},
        ),
        bank=children.add("bank", (*PYTHON, "examples.claim_agent.bank", *bank_options), ROOT),
        model=None
        if real
        else children.add("model", (*PYTHON, "examples.scripted_llm.server", *model_options), ROOT),
        view=ServerView(ingress, admin),
        service_url=f"http://127.0.0.1:{service}",
        bank_url=bank_url,
        effects=EffectLog(effects),
        model_log=model_log,
    )


def server_command(data: Path, ingress: int, admin: int) -> list[str]:
    """The server's command line: ours, unless HOLDFAST_DEMO_SERVER names another one."""
    ours = (
        f"{shlex.quote(str(Path(sys.executable).with_name('holdfast')))} server --data-dir {{data}} "
        "--ingress-bind 127.0.0.1:{ingress} --admin-bind 127.0.0.1:{admin}"
    )
    template = os.environ.get("HOLDFAST_DEMO_SERVER") or ours
    return shlex.split(template.format(data=shlex.quote(str(data)), ingress=ingress, admin=admin))


def perform(stage: Stage, timeline: Timeline) -> Facts:
    """The story, from an empty data directory to a decided claim.

    Raises:
        DemoError: something that should have happened did not.
    """
    view, say, loud = stage.view, timeline.say, timeline.loud

    stage.start_world()
    stage.start_application()
    say("server", f"started on an empty data directory (pid {stage.server.pids[-1]})")
    until("the service to be found", lambda: view.register(stage.service_url))
    say("agent", f"started and registered with the server (pid {stage.service.pids[-1]})")
    where = "the scripted endpoint on loopback" if stage.model else "the endpoint in your environment"
    say("model", f"{where}; no key, no internet" if stage.model else where)

    invocation = until("the claim to be taken", lambda: view.submit(f"/{SERVICE}/{KEY}/run", CLAIM))
    say("customer", f"claims {AMOUNT} EUR; above 1000 EUR a human has to agree")

    waiting = until("the agent to wait for the human", lambda: is_now(view, invocation, "suspended"))
    timeline.tell(stage.effects)
    say("agent", "suspended: it waits for the durable promise 'approval', and none of its code runs")

    stage.kill_application()
    loud("kill -9", "the server and the agent are dead, while the claim waits")
    killed_at_s = time.time()
    stage.start_application()
    after = until("the claim to be there after the restart", lambda: view.status(invocation))
    say("server", f"restarted on the same data directory (pid {stage.server.pids[-1]}); the claim is {after}")
    say("agent", f"restarted (pid {stage.service.pids[-1]})")

    approved_at_s = time.time()
    approval: Json = {"approved": True, "by": "Ada"}
    if view.call(f"/{SERVICE}/{KEY}/approve", approval) is None:
        raise DemoError("the approval was not accepted")
    say("human", f"POST /{SERVICE}/{KEY}/approve {json.dumps(approval)}")

    until("the bank to be asked", stage.payment_begun)
    at_kill = until("the payment to be in the journal", lambda: begun(view.journal(invocation)))
    timeline.tell(stage.effects)
    say("bank", f"moved {AMOUNT} EUR, and has not confirmed it yet: {INTERRUPTED} is in the middle")
    stage.kill_application()
    loud("kill -9", f"the server and the agent are dead, in the middle of {INTERRUPTED}")
    stage.start_application()
    say("server", f"restarted (pid {stage.server.pids[-1]})")
    say("agent", f"restarted (pid {stage.service.pids[-1]})")

    outcome = until("the decision", lambda: view.output(SERVICE, KEY))
    timeline.tell(stage.effects)
    say("customer", f"gets the decision: {outcome['decision']}")

    return Facts(
        amount=AMOUNT,
        outcome=outcome,
        effects=stage.effects.read(),
        journal=until("the journal", lambda: view.journal(invocation)),
        journal_at_second_kill=at_kill,
        status_while_waiting=waiting,
        status_after_restart=after,
        attempts_before_approval=sum(
            effect.event == "attempt" and killed_at_s < effect.time_s < approved_at_s
            for effect in stage.effects.read()
        ),
        model_calls=len(stage.model_log.read_text().splitlines()) if stage.model else None,
        payments=stage.ledger(),
        server_pids=stage.server.pids,
        service_pids=stage.service.pids,
    )


def answers(url: str) -> bool | None:
    """True once something answers at this address."""
    try:
        return httpx.get(url, timeout=2).is_success or None
    except httpx.TransportError:
        return None


def is_now(view: ServerView, invocation: str, status: str) -> str | None:
    """The status, once it is this one."""
    return status if view.status(invocation) == status else None


def begun(journal: list[JournaledStep] | None) -> list[JournaledStep] | None:
    """The journal, once the step to be interrupted is in it."""
    return journal if journal and any(step.name == INTERRUPTED for step in journal) else None


def give_account(facts: Facts, elapsed_s: float) -> bool:
    """Print the table of steps and the facts. Returns whether all of them held."""
    print("\nWhat became of each step\n")
    for line in table(facts):
        print(f"  {line}")
    print("\nThe facts, checked against the journal, the agent's own log, the bank and the model\n")
    results = list(checks(facts))
    for result in results:
        print(f"  {'[ok]  ' if result.holds else '[FAIL]'} {result.claim}")
    held = all(result.holds for result in results)
    verdict = "Every fact held." if held else "Some facts did not hold; run again with --keep, read the logs."
    print(f"\n{verdict} {elapsed_s:.1f} s.")
    return held


def main() -> int:
    """Run the demo. Returns the exit code: 0 when every fact held."""
    parser = argparse.ArgumentParser(description="An agent, two kill -9, one payment.")
    parser.add_argument("--agent", choices=sorted(AGENTS), default="python")
    parser.add_argument("--keep", action="store_true", help="keep the working folder: data, logs, effects")
    parser.add_argument("--facts", type=Path, help="also write what was found out to this file, as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    folder = Path(tempfile.mkdtemp(prefix="claim-demo-"))
    timeline = Timeline()
    print(f"An insurance claim, an agent in {LANGUAGE[options.agent]}, two times kill -9\n")
    try:
        with Children(folder) as children:
            try:
                stage = set_stage(children, options.agent, BANK_CONFIRMS_AFTER_MS)
                facts = perform(stage, timeline)
            except DemoError as error:
                print(f"\n{error}\n{children.tails()}", file=sys.stderr)
                return 1
            if options.facts:
                options.facts.write_text(json.dumps(asdict(facts), indent=1), encoding="utf-8")
            return 0 if give_account(facts, timeline.elapsed_s()) else 1
    except KeyboardInterrupt:
        print("\nstopped; everything it started is gone", file=sys.stderr)
        return 130
    finally:
        if options.keep:
            print(f"kept {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
