"""Callers who repeat each request, under one idempotency key, until it is answered, and their book.

With a key a request may be repeated for as long as it takes and happens once; so every answer that comes goes
into the book, and the book must hold in the end. A workflow's start is repeated under the workflow's own key,
and resolving an awakeable or a promise again changes nothing.
"""

import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.harness import HoldfastServer, Ingress

from .effects import Notes
from .linearizability import Operation
from .world import PREFIXES

RETRY_PAUSE_S = 0.05
ANSWER_DEADLINE_S = 90.0
THINK_S = (0.0, 0.05)
OBJECT_KEYS = 3
REGISTER_VALUES = 4
STEPS_MAX = 5
NAP_MS_MAX = 400
DELAY_MS_MAX = 1500


@dataclass
class Book:
    """What the callers were promised.

    sent      invocation id to the expected answer (None: any)
    steps     ids of answered calls of `steps`, to the number of steps
    added     (prefix, account) to the number of accepted additions of one
    flows     (prefix, workflow key) to the expected answer
    history   (prefix, register) to its operations
    broken    answers that must not happen
    answers   how many requests were answered at all
    """

    sent: dict[str, object] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    added: Counter[tuple[str, str]] = field(default_factory=Counter)
    flows: dict[tuple[str, str], str] = field(default_factory=dict)
    history: dict[tuple[str, str], list[Operation]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    answers: int = 0


class Load:
    """`clients` threads against one server until `finish`.

    Args:
        tag: part of every key of this load.
        seed: decides what each client asks for.
    """

    def __init__(self, server: HoldfastServer, notes: Notes, clients: int, seed: str, tag: str) -> None:
        self.book = Book()
        self._server = server
        self._notes = notes
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._accounts = [f"{tag}-{n}" for n in range(OBJECT_KEYS)]
        self._tag = tag
        self._threads = [
            threading.Thread(target=self._client, args=(random.Random(f"{seed}/{n}"),), daemon=True)
            for n in range(clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> Book:
        """Ask for nothing new, wait for every open answer, and give the book.

        Raises:
            TimeoutError: a client is still without an answer.
        """
        self._over.set()
        give_up_at = time.monotonic() + ANSWER_DEADLINE_S + 10
        for thread in self._threads:
            thread.join(max(0.1, give_up_at - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"a client got no answer within {ANSWER_DEADLINE_S:.0f} s")
        return self.book

    def _client(self, chance: random.Random) -> None:
        work = (
            self._call_steps,
            self._call_through,
            self._call_add,
            self._send_add,
            self._send_nap,
            self._awakeable,
            self._workflow,
            self._register,
            self._register,
            self._register,
        )
        with self._server.ingress() as ingress:
            while not self._over.is_set():
                try:
                    chance.choice(work)(ingress, chance, chance.choice(PREFIXES))
                except Exception as error:  # the client's thread must not die unheard
                    with self._lock:
                        self.book.broken.append(repr(error))
                    return
                time.sleep(chance.uniform(*THINK_S))

    def _call_steps(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        count = chance.randint(1, STEPS_MAX)
        answer = self._ask(ingress, f"/{prefix}Work/steps", count)
        self._expect(answer, count)
        with self._lock:
            self.book.steps[answer.headers["x-restate-id"]] = count

    def _call_through(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        other, key = chance.choice(PREFIXES), chance.choice(self._accounts)
        answer = self._ask(ingress, f"/{prefix}Work/through", {"service": f"{other}Account", "key": key})
        self._added(other, key, answer)

    def _call_add(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        key = chance.choice(self._accounts)
        self._added(prefix, key, self._ask(ingress, f"/{prefix}Account/{key}/add", 1))

    def _send_add(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        key = chance.choice(self._accounts)
        delay = chance.choice([None, f"{chance.randrange(DELAY_MS_MAX)}ms"])
        answer = self._ask(ingress, f"/{prefix}Account/{key}/add/send", 1, delay)
        with self._lock:
            self.book.sent[answer.json()["invocationId"]] = None
            self.book.added[prefix, key] += 1

    def _send_nap(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        answer = self._ask(ingress, f"/{prefix}Work/nap/send", chance.randrange(NAP_MS_MAX))
        with self._lock:
            self.book.sent[answer.json()["invocationId"]] = "rested"

    def _awakeable(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        token = f"{chance.getrandbits(64):016x}"
        accepted = self._ask(ingress, f"/{prefix}Work/waits/send", token).json()["invocationId"]
        with self._lock:
            self.book.sent[accepted] = token
        awakeable = self._notes.wait_for_awakeable(token, ANSWER_DEADLINE_S)
        self._ask(ingress, f"/restate/awakeables/{awakeable}/resolve", token)

    def _workflow(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        key = f"{self._tag}-{chance.getrandbits(64):016x}"
        path = f"/{prefix}Flow/{key}"
        first = self._ask(ingress, f"{path}/run/send", key, keyed=False).json()["invocationId"]
        self._ask(ingress, f"{path}/approve", "yes")
        again = self._ask(ingress, f"{path}/run/send", "another", keyed=False).json()["invocationId"]
        with self._lock:
            if again != first:
                self.book.broken.append(f"{path} ran as {first} and as {again}")
            self.book.flows[prefix, key] = f"{key} yes"
            self.book.sent[first] = f"{key} yes"

    def _register(self, ingress: Ingress, chance: random.Random, prefix: str) -> None:
        key, name = chance.choice(self._accounts), chance.choice(("read", "write", "swap"))
        argument: object = None
        if name == "write":
            argument = chance.randrange(REGISTER_VALUES)
        elif name == "swap":
            argument = (chance.randrange(REGISTER_VALUES), chance.randrange(REGISTER_VALUES))
        called_at = time.monotonic()
        answer = self._ask(ingress, f"/{prefix}Account/{key}/{name}", argument).json()
        operation = Operation(name, argument, answer, called_at, time.monotonic())
        with self._lock:
            self.book.history.setdefault((prefix, key), []).append(operation)

    def _added(self, prefix: str, key: str, answer: httpx.Response) -> None:
        with self._lock:
            self.book.added[prefix, key] += 1
            if not isinstance(answer.json(), int):
                self.book.broken.append(f"{answer.request.url}: {answer.text}")

    def _expect(self, answer: httpx.Response, expected: object) -> None:
        if answer.json() != expected:
            with self._lock:
                self.book.broken.append(f"{answer.request.url}: {answer.text}, expected {expected}")

    def _ask(
        self, ingress: Ingress, path: str, body: object, delay: str | None = None, keyed: bool = True
    ) -> httpx.Response:
        """Repeat one request until it is answered with 200 or 202."""
        headers = {"idempotency-key": uuid.uuid4().hex} if keyed else None
        params = {"delay": delay} if delay else None
        give_up_at = time.monotonic() + ANSWER_DEADLINE_S
        while True:
            try:
                answer = ingress.post(path, body, headers, params)
                if answer.status_code in (200, 202):
                    with self._lock:
                        self.book.answers += 1
                    return answer
                why = f"{answer.status_code} {answer.text}"
                if answer.status_code < 500 and answer.status_code != 429:
                    raise AssertionError(f"{path}: {why}")
            except httpx.TransportError as error:
                why = repr(error)
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{path}: no answer within {ANSWER_DEADLINE_S:.0f} s; last: {why}")
            time.sleep(RETRY_PAUSE_S)
