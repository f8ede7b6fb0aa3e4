"""What must hold, whatever happens: at every step as far as the world can see it.

`Truth` listens at the seams: what attempts are opened with, what handlers were told, what callers were
answered, who took which lock. What it was told by the engine it keeps for ever; an engine that later says
otherwise has lost something. The laws of the end are in `final`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core import model
from holdfast.core.model import InvocationId, Row
from holdfast.protocol import messages as m
from holdfast.protocol.framing import MessageType, is_command
from holdfast.storage.blobs import whole_sql
from holdfast.storage.keys import JOURNAL_SPAN
from tests.simulation.virtual import Broken

if TYPE_CHECKING:
    from tests.simulation.server import Server

Outcome = tuple[object, ...]
"""("ok", bytes) or ("fail", code, message)."""
Mark = tuple[int, int, int]
"""An attempt: failures before it, commands it replays, servers that had crashed."""
_RUN = int(MessageType.RUN_COMPLETION)
_SIGNAL = int(MessageType.SIGNAL_NOTIFICATION)
_POKES = (int(MessageType.SEND_SIGNAL_COMMAND), int(MessageType.COMPLETE_AWAKEABLE_COMMAND))
_SET = int(MessageType.SET_STATE_COMMAND)
_CLEAR = int(MessageType.CLEAR_STATE_COMMAND)
_CLEAR_ALL = int(MessageType.CLEAR_ALL_STATE_COMMAND)


def outcome(result: object) -> Outcome:
    """A result of core or of the wire, comparable."""
    if isinstance(result, model.Success):
        return ("ok", result.value)
    if isinstance(result, m.Value):
        return ("ok", result.content)
    if isinstance(result, model.Failure | m.Failure):
        return ("fail", result.code, result.message)
    raise Broken(f"{result!r} is no result")


class Truth:
    """What is known to have happened."""

    def __init__(self) -> None:
        self.server: Server
        self.accepted: dict[InvocationId, str] = {}
        """Acknowledged to a caller, and as what."""
        self.forgettable: set[bytes] = set()
        """May be gone in the end: nothing is kept of them, or only for a moment."""
        self.signalled: list[tuple[InvocationId, bytes, int]] = []
        """Values that somebody was told are delivered, and when."""
        self.mutated: list[tuple[str, bytes]] = []
        """Replacements of a state, by a value, that somebody was told will be made."""
        self.results: dict[InvocationId, Outcome] = {}
        self.outputs: dict[bytes, set[Outcome]] = {}
        self.kills: set[InvocationId] = set()
        self.opened_ids: dict[bytes, str] = {}
        self.seen: list[InvocationId] = []
        self._journals: dict[bytes, list[tuple[int, bytes]]] = {}
        self._known: dict[bytes, dict[object, bytes]] = {}
        self._failed: dict[bytes, Mark] = {}
        self._last: dict[bytes, Mark] = {}
        self.resumed: set[bytes] = set()
        self._locks: dict[str, list[tuple[int, Row] | dict[bytes, bytes]]] = {}
        self._holders: dict[str, Row] = {}
        self._queues: dict[str, list[tuple[int, Row]]] = {}
        self.history: list[str] = []

    def tell(self, text: str) -> None:
        """For whoever reads a failing run."""
        self.history.append(f"{self.server.world.now_s:9.3f} {text}")

    # ------------------------------------------------------------ attempts

    def opened(self, start: m.StartMessage, target: str, replay: list[tuple[int, bytes]]) -> None:
        """The engine pushes an attempt: what it sends must extend all that was ever sent or told."""
        id_, name = start.id, start.debug_id
        if len(replay) != start.known_entries:
            raise Broken(f"{name}: {start.known_entries} entries announced, {len(replay)} sent")
        if not replay or replay[0][0] != MessageType.INPUT_COMMAND:
            raise Broken(f"{name}: an attempt without its input")
        before = self._journals.get(id_)
        if before is None:
            self.seen.append(InvocationId(id_))
        elif replay[: len(before)] != before:
            raise Broken(
                f"{name}: a journal changed: {len(before)} entries were replayed before, now {len(replay)}"
            )
        self._journals[id_] = list(replay)
        self.opened_ids[id_] = target
        if InvocationId(id_) in self.results:
            raise Broken(f"{name}: an attempt after its end")
        notes = {_ref(type_, body): body for type_, body in replay if not is_command(type_)}
        for ref, body in self._known.get(id_, {}).items():
            if notes.get(ref) != body:
                raise Broken(
                    f"{name}: the handler was told of {ref}; the next attempt has {notes.get(ref)!r}"
                )
        self._count_retries(start, sum(is_command(type_) for type_, _ in replay))
        service, _, handler = target.rpartition("/")
        if handler in ("ex", "run", "sh", "ask"):
            self._check_state(f"{service}/{start.key}", handler, start)
        self.tell(f"attempt {name} {target}/{start.key} with {len(replay)} entries")

    def told(self, id_: bytes, type_: int, body: bytes) -> None:
        """A handler knows this now."""
        ref = _ref(type_, body)
        known = self._known.setdefault(id_, {})
        if type_ != _SIGNAL and known.setdefault(ref, body) != body:
            raise Broken(f"completion {ref} of {id_.hex()} has two values")

    def step_runs(self, id_: bytes, completion: int, mark: Mark) -> None:
        """A step's body is about to run. A handler whose server has died, and that has not heard of it, may
        still run what the next attempt has journalled: nobody could tell it."""
        if self._last[id_] is not mark:
            return
        journal = self._journals.get(id_, ())
        if completion in self._known.get(id_, {}) or any(
            _ref(t, b) == completion for t, b in journal if t == _RUN
        ):
            raise Broken(f"step {completion} of {id_.hex()} is in the journal and runs again")

    def gave(self, id_: bytes, result: m.Value | m.Failure) -> None:
        """A handler came to an end and tried to say so."""
        self.outputs.setdefault(id_, set()).add(outcome(result))

    def mark(self, id_: bytes) -> Mark:
        """The attempt just opened, for `failed`."""
        return self._last[id_]

    def failed(self, id_: bytes, mark: Mark) -> None:
        """An attempt's Error has reached the server."""
        if self._last[id_] is mark:
            self._failed[id_] = mark

    def _count_retries(self, start: m.StartMessage, commands: int) -> None:
        id_, retries, epoch = (
            start.id,
            start.retry_count_since_last_stored_entry,
            self.server.crashes + self.server.disturbances,
        )
        failed = self._failed.pop(id_, None)
        comparable = failed is not None and failed[1:] == (commands, epoch) and id_ not in self.resumed
        if failed is not None and comparable and retries != failed[0] + 1:
            raise Broken(f"{start.debug_id}: {failed[0]} failures, one more, and now {retries}")
        self._last[id_] = (retries, commands, epoch)

    def crashed(self) -> None:
        self.tell("the server crashed")

    # ------------------------------------------------------------ answers

    def accept(self, id_: InvocationId, what: str, *, repeatable: bool = False) -> None:
        self.accepted[id_] = what
        self._may_go(id_, what, repeatable)

    def _may_go(self, id_: bytes, what: str, repeatable: bool) -> None:
        brief = self.server.services.catalog.brief
        if what.startswith("Z") or (brief and not repeatable and what[0] in "SR"):
            self.forgettable.add(id_)

    def ended(self, id_: InvocationId, result: object) -> None:
        """Somebody was told how an invocation ended; everybody must be told the same."""
        said = outcome(result)
        before = self.results.setdefault(id_, said)
        if before != said:
            raise Broken(f"{id_.hex()} ended with {before} and with {said}")

    # ------------------------------------------------------------ locks

    def locked(self, object_: str, partition: int, row: Row) -> None:
        queue = self._queues.setdefault(object_, [])
        if any(waiting == row for _, waiting in queue):
            if queue[0][1] != row:
                raise Broken(f"{object_}: row {row} overtook row {queue[0][1]}")
            queue.pop(0)
        elif queue or object_ in self._holders:
            raise Broken(f"{object_}: row {row} takes the lock past the queue {queue}, held: {self._holders}")
        self._holders[object_] = row
        self._locks.setdefault(object_, []).append((partition, row))

    def queued(self, object_: str, row: Row, sequence: int) -> None:
        self._queues.setdefault(object_, []).append((sequence, row))

    def left(self, object_: str, sequence: int) -> None:
        queue = self._queues[object_]
        queue[:] = [waiting for waiting in queue if waiting[0] != sequence]

    def unlocked(self, object_: str) -> None:
        if self._queues.get(object_):
            raise Broken(f"{object_}: unlocked with {self._queues[object_]} waiting")
        self._holders.pop(object_, None)

    def replaced(self, object_: str, state: dict[bytes, bytes]) -> None:
        self._locks.setdefault(object_, []).append(state)

    # ------------------------------------------------------------ state

    def _check_state(self, object_: str, handler: str, start: m.StartMessage) -> None:
        if handler == "ex":
            self._check_turn(object_, start)
        if start.partial_state:
            return
        expected = self.state_of(object_)
        found = dict(start.state_map)
        if found != expected:
            raise Broken(f"{start.debug_id}: state of {object_} is {found}, its journals say {expected}")

    def _check_turn(self, object_: str, start: m.StartMessage) -> None:
        """The last to take the lock is the only one that runs."""
        rows = [turn for turn in self._locks.get(object_, ()) if isinstance(turn, tuple)]
        if not rows:
            raise Broken(f"{start.debug_id} runs on {object_} without its lock")
        partition, row = rows[-1]
        (id_,) = self._rows(partition, "SELECT id FROM invocation WHERE row = ?", row)[0]
        if id_ != start.id:
            raise Broken(f"{start.debug_id} runs on {object_} while row {row} holds the lock")

    def state_of(self, object_: str) -> dict[bytes, bytes]:
        """What the journals of those who held it say an object's state is."""
        service, _, key = object_.partition("/")
        turns: list[tuple[int, Row] | dict[bytes, bytes]] = self._locks.get(object_, [])
        if service == "W":
            turns = list(turns)
            for partition in range(len(self.server.disks)):
                sql = "SELECT row FROM invocation WHERE service = 'W' AND handler = 'run' AND key = ?"
                turns = [*((partition, Row(row)) for (row,) in self._rows(partition, sql, key)), *turns]
        state: dict[bytes, bytes] = {}
        for turn in turns:
            if isinstance(turn, dict):
                state = dict(turn)
                continue
            partition, row = turn
            sql = (
                f"SELECT type, {whole_sql('body', 'main')} FROM journal WHERE key >= ? AND key < ? "
                "AND type IN (?, ?, ?) ORDER BY key"
            )
            span = (row * JOURNAL_SPAN, (row + 1) * JOURNAL_SPAN, _SET, _CLEAR, _CLEAR_ALL)
            for type_, body in self._rows(partition, sql, *span):
                if type_ == _SET:
                    write = m.SetStateCommandMessage.decode(body)
                    state[write.key] = b"" if write.value is None else write.value.content
                elif type_ == _CLEAR:
                    state.pop(m.ClearStateCommandMessage.decode(body).key, None)
                else:
                    state.clear()
        return state

    def knows_itself(self, id_: bytes) -> bool:
        """Whether its journal has a signal for it, or a command that names it."""
        sql = (
            "SELECT 1 FROM invocation AS i, journal AS j WHERE i.id = ? AND j.type IN (?, ?, ?) "
            "AND j.key >= i.row * ? AND j.key < (i.row + 1) * ?"
        )
        span = (id_, _SIGNAL, *_POKES, JOURNAL_SPAN, JOURNAL_SPAN)
        return any(self._rows(partition, sql, *span) for partition in range(len(self.server.disks)))

    def _rows(self, partition: int, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.server.disks[partition].connection.execute(sql, values).fetchall()


def _ref(type_: int, body: bytes) -> object:
    note = m.NotificationTemplate.decode(body)
    if type_ == _SIGNAL:
        return ("signal", note.signal_id, note.signal_name, body)
    return note.completion_id
