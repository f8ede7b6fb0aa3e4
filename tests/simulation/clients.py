"""Callers and operators: they ask, lose their answers with the server, and ask again."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from holdfast.core.model import VOID, InvocationId, SignalResult, Success
from holdfast.core.outcome import Accepted, Answer, Done, Finished, Found, Refused, Restarted
from holdfast.core.records import Cancel, Kill, Pause, Purge, ReplaceState, RestartAsNew, Resume, Signal
from holdfast.partition.api import Watch
from holdfast.protocol.ids import decode_invocation_id, parse_awakeable_id
from tests.simulation.laws import Truth
from tests.simulation.programs import (
    ASK_AIMS,
    FREE,
    IDEMPOTENCY_KEYS,
    LAZY_OBJECTS,
    NO_LOCKS,
    OBJECT_AIMS,
    OBJECTS,
    PROMISES,
    SHARED_AIMS,
    WORKFLOW_AIMS,
    Aim,
    Drawer,
    Program,
    services,
)
from tests.simulation.server import Server
from tests.simulation.services import Services
from tests.simulation.virtual import Broken

ASK_AGAIN_S = 0.7
ASKED_MAX = 200


class Wish:
    """One call of a caller who wants its result, through whatever happens to the server."""

    def __init__(self, clients: Clients, aim: Aim, program: Program, idempotency_key: str | None) -> None:
        self.clients = clients
        self.aim = aim
        self.body = json.dumps(program).encode()
        self.idempotency_key = idempotency_key
        self.id: InvocationId | None = None
        self.over = False
        self._asked = 0
        self._epoch = -1

    @property
    def repeatable(self) -> bool:
        """Whether asking again means the same invocation."""
        return self.idempotency_key is not None or self.aim.handler == "run"

    def ask(self) -> None:
        """Start it, or find it again."""
        server, engine = self.clients.server, self.clients.server.engine
        if self.over or self._epoch == server.crashes:
            return
        if engine is None:
            self.clients.world.later(ASK_AGAIN_S, self.ask)
            return
        self._asked += 1
        if self._asked > ASKED_MAX:
            raise Broken(f"asked {ASKED_MAX} times for {self.aim}, without answer")
        self._epoch = server.crashes
        if self.id is not None and not (self.repeatable and self.clients.chance.random() < 0.5):
            watch = engine.attach(self.id, self._found, self._finished)
            if self.clients.chance.random() < 0.2:
                self.clients.world.later(self.clients.chance.random(), self._hang_up, watch, self._epoch)
            return
        if self.id is None and self._asked > 1 and not self.repeatable:
            self.over = True  # whether it was accepted, nobody knows
            return
        handler = self.clients.services.catalog.handlers[self.aim.service, self.aim.handler]
        delay_ms = self.clients.chance.choice((0, 0, 0, 300)) if not self.repeatable else 0
        request = engine.make_request(
            handler,
            self.aim.key,
            (("name", "value"),),
            self.body,
            idempotency_key=self.idempotency_key,
            start_at=self.clients.server.clock.now_ms() + delay_ms if delay_ms else 0,
        )
        engine.start(request, self._accepted, self._finished)

    def _hang_up(self, watch: Watch, epoch: int) -> None:
        """Lose patience, and come again later."""
        if not self.over and epoch == self._epoch:
            watch.cancel()
            self._again()

    def _again(self) -> None:
        self._epoch = -1
        self.clients.world.later(ASK_AGAIN_S, self.ask)

    def _accepted(self, answer: Accepted | Refused) -> None:
        if isinstance(answer, Refused):
            self._again()
            return
        if self.id is not None and self.id != answer.id:
            raise Broken(f"{self.aim} was {self.id.hex()} and is {answer.id.hex()}")
        self.id = answer.id
        self.clients.truth.accept(
            answer.id, f"{self.aim.service}/{self.aim.handler}", repeatable=self.repeatable
        )
        if answer.completed is not None:
            self._end(answer.id, answer.completed.result)

    def _found(self, answer: Found | Refused) -> None:
        if isinstance(answer, Refused):
            if answer.reason == "not_found" and self.id not in self.clients.truth.forgettable:
                raise Broken(f"{self.aim} was accepted and is not found: {self.id!r}")
            if answer.reason == "not_found":
                self.over = True
            else:
                self._again()
        elif answer.completed is not None and self.id is not None:
            self._end(self.id, answer.completed.result)

    def _finished(self, finished: Finished) -> None:
        self._end(finished.id, finished.completed.result)

    def _end(self, id_: InvocationId, result: object) -> None:
        self.over = True
        self.clients.truth.ended(id_, result)


class Clients:
    """All callers of a run, and its operator."""

    def __init__(self, server: Server, services: Services, truth: Truth, chance: Random) -> None:
        self.server = server
        self.services = services
        self.truth = truth
        self.chance = chance
        self.world = server.world
        self.drawer = Drawer(chance)
        self.wishes: list[Wish] = []
        # Crowds: what waits in line for one lock, or listens to one promise, is where order can go wrong.
        self._favourites = chance.choice(([_AIMS[0], *ASK_AIMS[:1]], OBJECT_AIMS[:1], OBJECT_AIMS[:2], _AIMS))

    def wish(self) -> None:
        """Somebody calls something."""
        chance = self.chance
        aim = chance.choice(self._favourites if chance.random() < 0.5 else _AIMS)
        key = None
        if aim.service == "S" and chance.random() < 0.6:
            key, aim = chance.choice(IDEMPOTENCY_KEYS), aim._replace(rank=NO_LOCKS)
        program = self.drawer.program(aim)
        if aim.handler == "ask" and chance.random() < 0.4:
            program.insert(0, ["promise", PROMISES[0]])  # several listen to one
        self.want(aim, program, key)

    def want(self, aim: Aim, program: Program, key: str | None = None) -> None:
        wish = Wish(self, aim, program, key)
        self.wishes.append(wish)
        wish.ask()

    def after_crash(self) -> None:
        """Connections of callers broke with the server; they come again."""
        for wish in self.wishes:
            if not wish.over:
                self.world.later(self.chance.choice((0.0, 0.2, ASK_AGAIN_S)), wish.ask)

    # ------------------------------------------------------------ operators

    def operate(self) -> None:
        """One wish of an operator, about anything that was seen."""
        engine = self.server.engine
        if engine is None or not (self.truth.seen or self.truth.accepted):
            return
        chance, now = self.chance, self.server.clock.now_ms()
        seen = [*self.truth.seen, *self.truth.accepted]
        alive = [id_ for id_ in seen if id_ not in self.truth.results]
        id_ = chance.choice(alive if alive and chance.random() < 0.8 else seen)
        match chance.choice(_DEEDS):
            case "cancel":
                engine.submit(id_, Cancel(now, id_), self._done("cancel", id_))
            case "kill":
                self.truth.kills.add(id_)
                engine.submit(id_, Kill(now, id_), self._done("kill", id_))
            case "pause":
                engine.submit(id_, Pause(now, id_), self._done("pause", id_))
            case "resume":
                self.resume(id_)
            case "attach":
                engine.attach(id_, lambda answer: self._seen(id_, answer), self._finished)
            case "purge":
                if self.truth.opened_ids.get(id_, "").startswith("R"):
                    self.truth.forgettable.add(id_)
                    engine.submit(id_, Purge(now, id_, chance.random() < 0.5), self._done("purge", id_))
            case "restart":
                ended = [i for i in seen if i in self.truth.results and i in self.truth.opened_ids]
                plain = [i for i in ended if self.truth.opened_ids[i][0] in "SR"]
                id_ = chance.choice(plain or ended or seen)
                target = self.truth.opened_ids.get(id_, "W")
                if target.startswith("W"):
                    return
                new_id, row = engine.mint(id_)
                # Of an object's handler only the input: its writes of state would count twice here.
                # Signals are not copied and the id is another, so handlers that saw either go another way.
                alike = target[0] in "SRZ" and not self.truth.knows_itself(id_)
                keep = chance.choice((1, 2, 3, 4)) if alike else 1
                engine.submit(
                    id_,
                    RestartAsNew(now, id_, new_id, row, keep),
                    lambda answer: self._restarted(self.truth.opened_ids.get(id_, ""), answer),
                )
            case "replace":
                object_ = chance.choice(
                    [*(f"O/{key}" for key in OBJECTS), *(f"L/{key}" for key in LAZY_OBJECTS)]
                )
                owner = engine.owner_of_key(object_.partition("/")[2])
                value = self.drawer.value().encode()
                replace = ReplaceState(now, object_, ((b"a", value),))
                engine.submit(owner, replace, lambda answer: self._replaced(object_, value, answer))
            case _:
                self.complete_something()

    def resume(self, id_: InvocationId) -> None:
        engine = self.server.engine
        assert engine is not None
        self.truth.resumed.add(id_)
        engine.submit(id_, Resume(self.server.clock.now_ms(), id_), self._done("resume", id_))

    def complete_something(self) -> None:
        waiting = self.services.published()
        if waiting:
            self.complete(waiting)

    def complete(self, waiting: str) -> None:
        """Complete an awakeable, or send a named signal."""
        engine = self.server.engine
        if engine is None:
            return
        value: SignalResult
        value = Success(f"client {self.drawer.value()}".encode()) if self.chance.random() < 0.9 else VOID
        signal: int | str
        if waiting.startswith("sign"):
            raw, signal = parse_awakeable_id(waiting)
            value = value if isinstance(value, Success) else Success(b"")
        else:
            text, signal = waiting.split()
            raw = decode_invocation_id(text)
        id_ = InvocationId(raw)
        record = Signal(self.server.clock.now_ms(), id_, signal, value)
        engine.submit(id_, record, lambda answer: self._signalled(id_, value, answer))

    def _signalled(self, id_: InvocationId, value: SignalResult, answer: Answer | None) -> None:
        if isinstance(answer, Done) and isinstance(value, Success) and value.value:
            self.truth.signalled.append((id_, value.value, self.server.clock.now_ms()))

    def _replaced(self, object_: str, value: bytes, answer: Answer | None) -> None:
        if isinstance(answer, Done):
            self.truth.mutated.append((object_, value))

    def _done(self, what: str, id_: InvocationId) -> Callable[[Answer | None], None]:
        return lambda answer: self.truth.tell(f"{what} {id_.hex()}: {answer}")

    def _seen(self, id_: InvocationId, answer: Found | Refused) -> None:
        if isinstance(answer, Found) and answer.completed is not None:
            self.truth.ended(id_, answer.completed.result)

    def _finished(self, finished: Finished) -> None:
        self.truth.ended(finished.id, finished.completed.result)

    def _restarted(self, target: str, answer: Answer | None) -> None:
        if isinstance(answer, Restarted):
            self.truth.accept(answer.id, target)


_AIMS = [*WORKFLOW_AIMS, *ASK_AIMS, *OBJECT_AIMS, *OBJECT_AIMS, *SHARED_AIMS, *services(FREE)]
_DEEDS = (
    ("complete",) * 5
    + (
        "cancel",
        "cancel",
        "kill",
        "kill",
        "pause",
        "pause",
        "resume",
        "attach",
        "attach",
        "purge",
        "restart",
        "restart",
    )
    + ("replace", "replace")
)
