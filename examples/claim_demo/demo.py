"""The demo: start everything, kill -9 the server once and the agent twice, and account for every step.

    python -m examples.claim_demo.demo                      the agent in Python, in one `holdfast dev`
    python -m examples.claim_demo.demo --agent typescript   the same agent in TypeScript

It needs no key and no internet. With OPENAI_API_KEY or OPENAI_BASE_URL set, the agent asks that model
instead of the scripted one. HOLDFAST_DEMO_SERVER names another server command; {data}, {ingress} and {admin}
in it are replaced by a folder and two ports. HOLDFAST_DEMO_AGENT names another agent command; it finds its
port in PORT.

Exit code 0 means that every fact in the account held. Everything it starts is gone when it ends, also on
ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from examples.claim_demo.account import INTERRUPTED, Facts, checks, table
from examples.claim_demo.processes import Children
from examples.claim_demo.server_view import DemoError, JournaledStep, Json, ServerView, until
from examples.claim_demo.stage import AGENTS, LANGUAGE, Stage, set_stage
from examples.claim_demo.timeline import Timeline

CLAIM: Json = {"policy": "home-77", "amount": 1800, "text": "A pipe burst and ruined the kitchen floor."}
AMOUNT = 1800
SERVICE, KEY = "ClaimAgent", "claim-7"
BANK_CONFIRMS_AFTER_MS = 20_000  # long enough for the kill to fall between payment and confirmation


def perform(stage: Stage, timeline: Timeline) -> Facts:
    """The story, from an empty data directory to a decided claim.

    Raises:
        DemoError: something that should have happened did not.
    """
    application, view, say, loud = stage.application, stage.view, timeline.say, timeline.loud

    stage.start_world()
    application.start()
    timeline.retell(application.news())
    say("you", f"can watch it live in a browser: {view.admin_url}/ui/")
    scripted = "a scripted endpoint on loopback: no key, no internet"
    say("model", scripted if stage.model else "the endpoint that OPENAI_* in your environment names")

    invocation = until("the claim to be taken", lambda: view.submit(f"/{SERVICE}/{KEY}/run", CLAIM))
    say("customer", f"claims {AMOUNT} EUR; above 1000 EUR a human has to agree")

    waiting = until("the agent to wait for the human", lambda: is_now(view, invocation, "suspended"))
    timeline.tell(stage.effects)
    say("agent", "suspended: it waits for the durable promise 'approval', and none of its code runs")

    application.kill_server()
    loud("kill -9", "the server is dead, and the agent with it, while the claim waits")
    killed_at_s = time.time()
    application.start()
    timeline.retell(application.news())
    after = until("the claim to be there after the restart", lambda: view.status(invocation))
    say("server", f"the claim is {after}")

    application.kill_service()
    approved_at_s = time.time()
    loud("kill -9", f"the agent is dead (process {application.service_pids[-1]}); the server lives")
    approval: Json = {"approved": True, "by": "Ada"}
    until("the approval to be taken", lambda: view.submit(f"/{SERVICE}/{KEY}/approve", approval))
    gone_at_approval = application.service_gone()
    say("human", f"POST /{SERVICE}/{KEY}/approve/send {json.dumps(approval)}: accepted, with no agent there")
    application.service_again()
    timeline.retell(application.news())

    until("the bank to be asked", stage.payment_begun)
    at_kill = until("the payment to be in the journal", lambda: begun(view.journal(invocation)))
    timeline.tell(stage.effects)
    say("bank", f"moved {AMOUNT} EUR, and has not confirmed it yet: {INTERRUPTED} is in the middle")
    application.kill_service()
    loud("kill -9", f"the agent is dead (process {application.service_pids[-1]}), in {INTERRUPTED}")
    application.service_again()
    timeline.retell(application.news())

    outcome = until("the decision", lambda: view.output(SERVICE, KEY))
    timeline.tell(stage.effects)
    say("customer", f"gets the decision: {outcome['decision']}")

    return Facts(
        amount=AMOUNT,
        outcome=outcome,
        effects=stage.effects.read(),
        journal=until("the journal", lambda: view.journal(invocation)),
        journal_at_last_kill=at_kill,
        status_while_waiting=waiting,
        status_after_restart=after,
        service_gone_at_approval=gone_at_approval,
        attempts_before_approval=sum(
            effect.event == "attempt" and killed_at_s < effect.time_s < approved_at_s
            for effect in stage.effects.read()
        ),
        model_calls=len(stage.model_log.read_text().splitlines()) if stage.model else None,
        payments=stage.ledger(),
        server_pids=application.server_pids,
        service_pids=application.service_pids,
    )


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
    parser = argparse.ArgumentParser(description="An agent, three kill -9, one payment.")
    parser.add_argument("--agent", choices=sorted(AGENTS), default="python")
    parser.add_argument("--keep", action="store_true", help="keep the working folder: data, logs, effects")
    parser.add_argument("--facts", type=Path, help="also write what was found out to this file, as JSON")
    options = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)

    folder = Path(tempfile.mkdtemp(prefix="claim-demo-"))
    timeline = Timeline()
    print(f"An insurance claim, an agent in {LANGUAGE[options.agent]}, three times kill -9\n")
    try:
        with Children(folder) as children:
            try:
                stage = set_stage(children, options.agent, BANK_CONFIRMS_AFTER_MS)
                facts = perform(stage, timeline)
            except (DemoError, FileNotFoundError) as error:
                print(f"\n{error}\n{children.tails()}", file=sys.stderr)
                return 1
            if options.facts:
                options.facts.write_text(json.dumps(asdict(facts), indent=1), encoding="utf-8")
            return 0 if give_account(facts, timeline.elapsed_s()) else 1
    except DemoError as error:  # in the end, when something of it does not go away
        print(error, file=sys.stderr)
        return 1
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
