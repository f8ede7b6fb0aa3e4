"""What must hold once the faults are over, judged from outside: answers, totals, effects, histories.

`check_steps` is the subtle one. That a step ran twice proves nothing: its result may not have been journaled
when the attempt died. But when step i + 1 begins anywhere, the result of step i is durable, so an attempt
that begins after that must not run step i. One exception remains: an attempt pushed to a process that was
stopped before it could begin may begin when the server that made it is long gone. Nobody acknowledges its
step, so it never gets further; only an attempt that ran such a step and went on broke its promise.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.harness import HoldfastServer, wait_until

from .clients import Book
from .effects import Effect
from .linearizability import is_linearizable, register

COMPLETION_DEADLINE_S = 90.0


def check_promises(server: HoldfastServer, book: Book, effects: list[Effect]) -> None:
    """Every law. Raises AssertionError, naming what broke."""
    assert book.broken == [], book.broken[:5]
    with server.ingress() as ingress, server.admin() as admin:
        for invocation, expected in book.sent.items():
            answer = ingress.attach(invocation)
            assert answer.status_code == 200, f"{invocation}: {answer.status_code} {answer.text}"
            if expected is not None:
                assert answer.json() == expected, f"{invocation}: {answer.text}, expected {expected}"
        for (prefix, key), expected in book.flows.items():
            answer = ingress.get(f"/restate/workflow/{prefix}Flow/{key}/attach")
            assert answer.json() == expected, f"{prefix}Flow/{key}: {answer.text}, expected {expected}"
        left_over = "SELECT id, target, status FROM sys_invocation WHERE status != 'completed'"
        wait_until(
            lambda: admin.query(left_over) == [], "every invocation to be over", COMPLETION_DEADLINE_S, 0.3
        )
        for (prefix, key), count in book.added.items():
            total = ingress.call(f"/{prefix}Account/{key}/total")
            assert total == count, f"{prefix}Account/{key} is {total}, {count} additions were accepted"
        runs = admin.query("SELECT target FROM sys_invocation WHERE target_handler_name = 'run'")
        doubled = [
            target for target, count in Counter(str(row["target"]) for row in runs).items() if count > 1
        ]
        assert doubled == [], f"workflows that ran more than once: {doubled}"
    check_steps(effects)
    ran: dict[str, set[int]] = defaultdict(set)
    for invocation, label in effects:
        if label.startswith("step "):
            ran[invocation].add(int(label.split(" ")[1]))
    for invocation, count in book.steps.items():
        assert ran[invocation] == set(range(count)), f"{invocation} ran {ran[invocation]} of {count} steps"
    check_histories(book)


def check_histories(book: Book) -> None:
    for (prefix, key), history in book.history.items():
        assert is_linearizable(history, register, 0), f"{prefix}Account/{key}: no order explains {history}"


def check_steps(effects: Iterable[Effect]) -> None:
    """No attempt repeats, and goes beyond, a step that was journaled when it began."""
    of: dict[str, list[list[str]]] = defaultdict(list)
    for invocation, label in effects:
        of[invocation].append(label.split(" "))
    for invocation, labels in of.items():
        journaled = 0  # so many steps are durable for sure
        known_at_begin: dict[str, int] = {}
        repeated: dict[str, int] = {}
        last: dict[str, int] = {}
        for kind, *rest in labels:
            token = rest[-1]
            story = f"{invocation}: {labels}"
            if kind == "begin":
                known_at_begin[token] = journaled
            elif kind == "step":
                step = int(rest[0])
                assert token not in repeated, f"ran a journaled step again and went on: {story}"
                assert step > last.get(token, -1), f"ran a step twice in one attempt: {story}"
                last[token] = step
                if step < known_at_begin[token]:
                    repeated[token] = step
                else:
                    journaled = max(journaled, step)
            elif kind == "done":
                assert token not in repeated, f"ran a journaled step again and ended: {story}"
                journaled = max(journaled, last.get(token, -1) + 1)
