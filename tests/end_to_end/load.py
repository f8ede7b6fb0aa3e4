"""Clients that keep asking until they are answered, and a book of what they were promised.

The law behind it: with an idempotency key a request may be repeated for as long as it takes, and happens
once. So a client here repeats each request with the same key until an answer comes, through refused
connections, cut answers and 5xx alike, and what it writes in the book must hold in the end.
"""

import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import httpx
from harness import Ingress, Server

RETRY_PAUSE_S = 0.05
ANSWER_DEADLINE_S = 60.0
OBJECT_KEYS = 4
STEPS = 5


@dataclass
class Book:
    """What the clients were promised.

    `steps`: ids of calls that answered with every step done; `sent`: ids of accepted sends, in no order;
    `added`: object key to the number of accepted additions; `broken`: answers that must not happen.
    """

    steps: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    added: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class Load:
    """`clients` threads against one server, until `finish`.

    Args:
        prefix: of the services to call.
        seed: decides what each client asks for, so that a run can be repeated.
    """

    def __init__(self, server: Server, prefix: str, clients: int, seed: int) -> None:
        self.book = Book()
        self.keys = [f"{prefix}-{uuid.uuid4().hex[:8]}-{n}" for n in range(OBJECT_KEYS)]
        self._server = server
        self.prefix = prefix
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._client, args=(random.Random(f"{seed}/{prefix}/{n}"),), daemon=True)
            for n in range(clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> Book:
        """Stop asking for new work, wait for every open answer, and give the book.

        Raises:
            TimeoutError: a client is still without an answer after the deadline.
        """
        self._over.set()
        for thread in self._threads:
            thread.join(ANSWER_DEADLINE_S)
            if thread.is_alive():
                raise TimeoutError(f"a client got no answer within {ANSWER_DEADLINE_S:.0f} s")
        return self.book

    def _client(self, chance: random.Random) -> None:
        work = (self._call_steps, self._call_through, self._send_addition, self._send_nap)
        with self._server.ingress() as ingress:
            while not self._over.is_set():
                chance.choice(work)(ingress, chance)

    def _call_steps(self, ingress: Ingress, _chance: random.Random) -> None:
        answer = self._ask(ingress, f"/{self.prefix}Actions/steps", STEPS)
        if answer.json() == [f"step {i}" for i in range(STEPS)]:
            with self._lock:
                self.book.steps.append(answer.headers["x-restate-id"])
        else:
            self._complain(answer)

    def _call_through(self, ingress: Ingress, chance: random.Random) -> None:
        number = chance.randrange(10**6)
        answer = self._ask(ingress, f"/{self.prefix}Actions/callEcho", number)
        if answer.json() != number:
            self._complain(answer)

    def _send_addition(self, ingress: Ingress, chance: random.Random) -> None:
        key = chance.choice(self.keys)
        answer = self._ask(ingress, f"/{self.prefix}Counter/{key}/addSlowly/send", 1)
        with self._lock:
            self.book.sent.append(answer.json()["invocationId"])
            self.book.added[key] += 1

    def _send_nap(self, ingress: Ingress, chance: random.Random) -> None:
        answer = self._ask(ingress, f"/{self.prefix}Actions/nap/send", chance.randrange(400))
        with self._lock:
            self.book.sent.append(answer.json()["invocationId"])

    def _ask(self, ingress: Ingress, path: str, body: object) -> httpx.Response:
        """Repeat one request, under one key, until it is answered with 200 or 202."""
        headers = {"idempotency-key": uuid.uuid4().hex}
        give_up_at = time.monotonic() + ANSWER_DEADLINE_S
        while True:
            try:
                answer = ingress.post(path, body, headers)
                if answer.status_code in (200, 202):
                    return answer
                why = f"{answer.status_code} {answer.text}"
                if answer.status_code < 500:
                    self._complain(answer)
            except httpx.TransportError as error:
                why = repr(error)
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{path}: no answer within {ANSWER_DEADLINE_S:.0f} s; last: {why}")
            time.sleep(RETRY_PAUSE_S)

    def _complain(self, answer: httpx.Response) -> None:
        with self._lock:
            self.book.broken.append(f"{answer.request.url}: {answer.status_code} {answer.text}")
