"""What every agent integration has to show, with real processes: a server, a service, a scripted provider.

A `Proof` names an application and says what has to come of it. A `world` runs it, best for a whole test
module, since frameworks take long to import; several worlds may prove the same at the same time (`together`).
The functions below show one thing each.

    PROOF = Proof(
        module="tests.ai.apps.claims",         # has `app`; its tools call `tests.ai.effects.ran(label)`
        target="Claims/decide",
        input="Policy 7, 900 EUR",
        output="Paid.",
        script=[{"tool_calls": [...]}, {"text": "Paid."}],
        model_calls=2,
        tools={"look_up": 1, "check": 1},
    )

    @pytest.fixture(scope="module")
    def here(tmp_path_factory):
        with world(PROOF, tmp_path_factory.mktemp("claims")) as here:
            yield here

    here.register(duplex=False)      every await ends the attempt, and the next one replays
    prove_run(here)                  so many model calls and tool runs
    prove_crashes(here)              the same after kill -9 at every journal entry
    prove_usage(here)                the same when the process dies at every entry of one invocation, and the
                                     tokens in the journal are those served
    prove_parallel(here, [...])      these tools run at the same time, and are journaled in this order
    prove_order(here)                20 runs of random delays, one journal order
    prove_approval(here, True)       answered while the process is gone

Counts are of answers that reached a caller: a request under way when its caller died is no call. Where model
calls overlap with tools (agents as tools), a kill at a tool's entry may fall between a model's answer and its
journal entry; give the rule a `delay_s` that keeps them apart.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
from harness import Process, Server, free_port, new_server, wait_until

from holdfast.testing.llm import ScriptedLLM

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
ORDER_RUNS = 20
ORDER_DELAY_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Proof:
    """An agent and what it has to come to; see the module's text.

    Attributes:
        input: JSON; of the handler. output: likewise.
        script: rules of `holdfast.testing.llm`.
        model_calls: in all. tools: runs in all, by label.
        environment: for the service, besides the provider's addresses.
    """

    module: str
    target: str
    input: object
    output: object
    script: Sequence[Mapping[str, object]]
    model_calls: int
    tools: Mapping[str, int] = field(default_factory=dict[str, int])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


class World:
    """A server, the service and the provider of one proof, running.

    Attributes:
        name: for who has several.
        proof: may be replaced by another one of the same application and script.
    """

    def __init__(self, proof: Proof, work_dir: Path, name: str = "") -> None:
        self.name = name
        self.proof = proof
        self.llm = ScriptedLLM(proof.script)
        self.server: Server = new_server(work_dir / "server")
        self.effects = work_dir / "effects"
        self.dying = work_dir / "dying"
        # What is under way when the process dies gets no answer.
        self.llm.hold(self.dying.exists)
        self.plan, self.entries, self.kills = (work_dir / name for name in ("plan", "entries", "kills"))
        self.delays, self.gone, self.pid = (work_dir / name for name in ("delays", "gone", "pid"))
        self.port = free_port()
        self.service = Process(
            "service",
            [sys.executable, "-m", "tests.ai.life", proof.module],
            work_dir / "service.log",
            {
                **self.llm.environment,
                "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
                "PORT": str(self.port),
                "PROOF_EFFECTS": str(self.effects),
                "PROOF_PLAN": str(self.plan),
                "PROOF_ENTRIES": str(self.entries),
                "PROOF_KILLS": str(self.kills),
                "PROOF_DYING": str(self.dying),
                "PROOF_DELAYS": str(self.delays),
                "PROOF_GONE": str(self.gone),
                "PROOF_PID": str(self.pid),
                "PROOF_IMPORTS": str(work_dir / "imports"),
                "PROOF_ADMIN": self.server.admin_url,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "OPENAI_AGENTS_DISABLE_TRACING": "1",
                "HOLDFAST_STRICT": "1",
                **proof.environment,
            },
        )
        self.reset()

    def reset(self) -> None:
        """Count from nothing."""
        for path in (self.effects, self.plan, self.entries, self.kills, self.delays):
            path.write_text("")
        self.llm.forget()

    def start(self) -> None:
        """Start it all and register the service."""
        self.llm.start()
        self.service.start()
        self.server.start()
        self.service.wait_healthy(self._healthy, DEADLINE_S)
        self.register()

    def stop(self) -> None:
        """End it all."""
        self.service.kill9()
        self.server.kill9()
        self.llm.stop()

    def register(self, *, duplex: bool = True) -> None:
        """By HTTP/2, where an attempt goes on while it waits; else by HTTP/1.1, where every await ends the
        attempt and the next one replays."""
        with self.server.admin() as admin:
            admin.register(f"http://127.0.0.1:{self.port}", http_11=not duplex)

    def kill(self) -> None:
        """kill -9 of the process that serves; from then on nobody listens."""
        self.gone.touch()
        os.kill(int(self.pid.read_text()), signal.SIGKILL)
        wait_until(self._refuses, "the port to be closed", DEADLINE_S)

    def revive(self) -> None:
        """There is a process again."""
        self.gone.unlink()
        self.service.wait_healthy(self._healthy, DEADLINE_S)

    def _refuses(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def send(self) -> str:
        """Start the agent; the invocation's id."""
        with self.server.ingress() as ingress:
            return ingress.send(self.proof.target, self.proof.input)

    def result(self, invocation: str) -> object:
        """What it came to; it has to end well."""
        with self.server.ingress() as ingress:
            ingress.http.timeout = httpx.Timeout(DEADLINE_S)
            try:
                answer = ingress.attach(invocation)
            except httpx.TimeoutException as error:
                raise AssertionError(f"{self.story(invocation)}\n{self.service.log_tail()}") from error
        assert answer.status_code == 200, (
            f"{answer.status_code} {answer.text}\n{self.story(invocation)}\n{self.service.log_tail()}"
        )
        return answer.json()

    def run(self) -> str:
        """The agent once, to its expected end; the invocation's id."""
        invocation = self.send()
        assert self.result(invocation) == self.proof.output
        return invocation

    def answer(self, awakeable: str, answer: object, how: str = "resolve") -> int:
        """Resolve or reject an awakeable as a person does; the HTTP status."""
        url = f"{self.server.ingress_url}/restate/awakeables/{awakeable}/{how}"
        return httpx.post(url, json=answer, trust_env=False, timeout=10).status_code

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of the server's tables."""
        with self.server.admin() as admin:
            return admin.query(sql)

    def story(self, invocation: str) -> str:
        """The invocation and its journal, for a failure."""
        status = self.query(f"SELECT status, last_failure FROM sys_invocation WHERE id = '{invocation}'")
        return "\n".join([str(status), *self.commands(invocation)])

    def commands(self, invocation: str) -> list[str]:
        """The journal's commands with their names, in order."""
        rows = self.query(
            f"SELECT entry_type, name FROM sys_journal WHERE id = '{invocation}' ORDER BY \"index\""
        )
        return [
            f"{row['entry_type']} {row['name'] or ''}".strip()
            for row in rows
            if str(row["entry_type"]).startswith("Command")
        ]

    def marks(self) -> list[tuple[str, str]]:
        """(begin or end, label), in the order in which the tools wrote them."""
        lines = (line.split("\t") for line in self.effects.read_text().splitlines())
        return [(word, label) for word, label, _ in lines]

    def runs(self) -> dict[str, int]:
        """How often each tool had its effect."""
        return dict(Counter(label for word, label in self.marks() if word == "end"))

    def check(self) -> None:
        """Exactly so many model calls and tool runs as the proof says."""
        asked = [(call.turn, call.rule, call.answered) for call in self.llm.calls]
        assert self.llm.answered == self.proof.model_calls, asked
        assert self.runs() == dict(self.proof.tools), self.marks()


@contextmanager
def world(proof: Proof, work_dir: Path) -> Generator[World]:
    """A world, torn down at the end."""
    made = World(proof, work_dir)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def together(worlds: Mapping[str, World], law: Callable[[World], T]) -> dict[str, T]:
    """What comes of a law in each world, by its name; the worlds prove it at the same time.

    Raises:
        ExceptionGroup: of all that failed, each with its world's name.
    """
    with ThreadPoolExecutor(max(1, len(worlds))) as pool:
        proved = {name: pool.submit(law, here) for name, here in worlds.items()}
    failed: list[Exception] = []
    for name, future in proved.items():
        error = future.exception()
        if isinstance(error, Exception):
            error.add_note(f"in the world of {name}")
            failed.append(error)
    if failed:
        raise ExceptionGroup("not proved", failed)
    return {name: future.result() for name, future in proved.items()}


def prove_run(here: World) -> str:
    """The agent once: so many calls and runs. Where attempts end at every await, each step is run by one of
    them and read back by all later ones.

    Returns:
        The invocation's id.
    """
    here.reset()
    invocation = here.run()
    here.check()
    return invocation


def prove_crashes(here: World) -> int:
    """kill -9 of the service after every journal entry, each in an invocation of its own.

    Returns:
        How many entries there were to die after.
    """
    prove_run(here)
    entries = here.entries.stat().st_size
    for number in range(1, entries + 1):
        here.reset()
        here.plan.write_text(str(number))
        here.run()
        assert here.kills.read_text() == "killed\n", f"nobody died after entry {number} of {entries}"
        here.check()
    return entries


def prove_dying_every_time(here: World) -> str:
    """One invocation whose process is killed after every single entry.

    Returns:
        Its id.
    """
    here.reset()
    here.plan.write_text("every")
    invocation = here.run()
    here.check()
    kills = len(here.kills.read_text().splitlines())
    assert kills >= 2 * (here.proof.model_calls + sum(here.proof.tools.values()))
    return invocation


def prove_parallel(here: World, labels: Sequence[str]) -> None:
    """Tools the model asked for at once take as long as the longest: all have begun before one ends.

    Args:
        labels: of the tools, in the model's order; each runs once, and their journal commands are in it.
    """
    here.reset()
    invocation = here.run()
    marks = [(word, label) for word, label in here.marks() if label in labels]
    first_end = next(index for index, (word, _) in enumerate(marks) if word == "end")
    assert {label for _, label in marks[:first_end]} == set(labels), marks
    assert _first_mentions(here.commands(invocation), labels) == list(labels)


def _first_mentions(commands: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The labels in the order in which run commands name them."""
    found: list[str] = []
    for command in commands:
        found += [label for label in labels if label in command and label not in found]
    return found


def prove_order(here: World, runs: int = ORDER_RUNS) -> list[str]:
    """Runs side by side whose tools take random times write the same journal.

    Returns:
        Its commands.
    """
    here.reset()
    here.delays.write_text(str(ORDER_DELAY_S))
    begun = [here.send() for _ in range(runs)]
    assert [here.result(one) for one in begun] == [here.proof.output] * runs
    journals = [tuple(here.commands(one)) for one in begun]
    assert len(set(journals)) == 1, "\n".join(str(journal) for journal in sorted(set(journals)))
    return list(journals[0])


def prove_approval(here: World, answer: object, output: object = None) -> str:
    """The agent asks, its process ends, a person answers, the process comes back.

    Args:
        answer: JSON, as `holdfast.ai.approval` takes it.
        output: what the handler then returns; the proof's when None.
    Returns:
        The awakeable's id.
    """
    here.reset()
    invocation = here.send()
    awakeable = wait_until(lambda: asked_for(here, invocation), "the agent to ask", DEADLINE_S)
    here.kill()
    assert here.answer(awakeable, answer) == 202
    here.revive()
    assert here.result(invocation) == (here.proof.output if output is None else output)
    return awakeable


def asked_for(here: World, invocation: str) -> str | None:
    """The awakeable that the newest `ask` step of `holdfast.ai.approval` waits for."""
    rows = here.query(
        f"SELECT entry_type, raw FROM sys_journal WHERE id = '{invocation}' ORDER BY \"index\" DESC"
    )
    for row in rows:
        if row["entry_type"] == "Notification: Run":
            raw = _bytes(row["raw"])
            start = raw.find(b'{"awakeable_id":"')
            if start >= 0:
                text = raw[start:].decode(errors="replace")
                return str(json.JSONDecoder().raw_decode(text)[0]["awakeable_id"])
    return None


def _bytes(raw: object) -> bytes:
    if isinstance(raw, list):
        return bytes(cast("list[int]", raw))
    text = str(raw)
    try:
        return bytes.fromhex(text)
    except ValueError:
        return base64.b64decode(text)


def prove_usage(here: World) -> None:
    """The journal tells of the tokens the provider served, though the process dies at every entry."""
    invocation = prove_dying_every_time(here)
    served = [call.usage for call in here.llm.calls if call.answered]
    summary = httpx.get(f"{here.server.admin_url}/invocations/{invocation}", trust_env=False).json()
    assert summary["usage"] == {
        "model_calls": here.proof.model_calls,
        "tokens_in": sum(tokens for tokens, _ in served),
        "tokens_out": sum(tokens for _, tokens in served),
    }
