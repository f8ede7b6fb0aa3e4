"""What a handler does for each operation of a program; see `programs` for what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from holdfast.protocol import messages as m
from holdfast.protocol.framing import MessageType
from holdfast.protocol.ids import awakeable_id
from tests.simulation.handler import CANCEL, Cancelled, Died, Leaf, Machine, Running, Terminal, Tree
from tests.simulation.programs import Program


class Play(Machine):
    """One attempt at a program. Operations return what they wait for, None when they do not."""

    def whole(self, program: Program) -> Running:
        try:
            for number, op in enumerate(program):
                waits = _OPS[op[0]](self, number, *op[1:])
                if waits is not None:
                    self.trace.append((yield from waits))
        except Cancelled:
            for announced in self.open_calls:
                with_id = Leaf(announced)
                while self.value(with_id) is None:
                    try:
                        yield with_id
                    except Cancelled:
                        continue
                self.command(
                    m.SendSignalCommandMessage(self.value(with_id).invocation_id, CANCEL, None, m.VOID)
                )
            raise Terminal(409, "canceled") from None
        return repr(self.trace)

    def _run(self, number: int, fails: int, terminal: bool) -> Running:
        return self._wait(self._begin_run(number, fails, terminal))

    def _begin_run(self, number: int, fails: int, terminal: bool) -> Leaf:
        completion = self.new_id()
        self.command(m.RunCommandMessage(completion, f"r{number}"))

        def body() -> m.Value | m.Failure:
            if self.outside.times((self.id, "run", completion)) < fails:
                raise Died(f"step {number} fails for now")
            return m.Failure(418, "no tea") if terminal else m.Value(b"step %d" % completion)

        self._start_step(completion, body)
        return Leaf(completion)

    def _start_step(self, completion: int, body: Callable[[], m.Value | m.Failure]) -> None:
        if completion not in self.places:
            self.running_steps.add(completion)
            self.steps.append((completion, body))

    def _wait(self, leaf: Leaf) -> Running:
        yield leaf
        return self.told(leaf)

    def _sleep(self, _: int, ms: int) -> Running:
        return self._wait(self._begin_sleep(ms))

    def _begin_sleep(self, ms: int) -> Leaf:
        completion = self.new_id()
        self.command(m.SleepCommandMessage(self.outside.now_ms() + ms, completion))
        return Leaf(completion)

    def _call(
        self,
        _: int,
        service: str,
        handler: str,
        key: str | None,
        idem: str | None,
        program: Program,
        then: str,
    ) -> Running | None:
        leaf = self._begin_call(service, handler, key, idem, program)
        announced = self.open_calls[-1]
        if then == "leave":
            return None
        return self._cancel(announced, leaf) if then == "cancel" else self._wait(leaf)

    def _begin_call(
        self, service: str, handler: str, key: str | None, idem: str | None, program: Program
    ) -> Leaf:
        announced, completion = self.new_id(), self.new_id()
        parameter = json.dumps(program).encode()
        self.command(
            m.CallCommandMessage(
                service, handler, parameter, (), key or "", idem, None, None, announced, completion
            )
        )
        self.open_calls.append(announced)
        return Leaf(completion)

    def _cancel(self, announced: int, leaf: Leaf) -> Running:
        yield Leaf(announced)
        target = self.value(Leaf(announced)).invocation_id
        self.command(m.SendSignalCommandMessage(target, CANCEL, None, m.VOID))
        yield leaf
        return self.told(leaf)

    def _send(
        self, _: int, service: str, handler: str, key: str | None, delay: int, program: Program, then: str
    ) -> Running:
        announced = self.new_id()
        at = self.outside.now_ms() + delay if delay else 0
        parameter = json.dumps(program).encode()
        self.command(
            m.OneWayCallCommandMessage(
                service, handler, parameter, at, (), key or "", None, None, None, announced
            )
        )
        yield Leaf(announced)
        target: str = self.value(Leaf(announced)).invocation_id
        if then == "cancel":
            self.command(m.SendSignalCommandMessage(target, CANCEL, None, m.VOID))
        elif then:
            leaf = self._begin_attach(target, waits=then == "attach")
            yield leaf
            return self.told(leaf)
        return target

    def _begin_attach(self, target: Any, *, waits: bool) -> Leaf:
        completion = self.new_id()
        kind = m.AttachInvocationCommandMessage if waits else m.GetInvocationOutputCommandMessage
        self.command(kind(target, completion))
        return Leaf(completion)

    def _attach_idempotent(self, _: int, key: str, waits: bool) -> Running:
        return self._wait(self._begin_attach(m.IdempotentRequestTarget("S", None, "plain", key), waits=waits))

    def _attach_workflow(self, _: int, key: str, waits: bool) -> Running:
        return self._wait(self._begin_attach(m.WorkflowTarget("W", key), waits=waits))

    def _get(self, _: int, key: str) -> Running | None:
        raw = key.encode()
        completion = self.new_id()
        if self._reads_lazily(int(MessageType.GET_LAZY_STATE_COMMAND)):
            self.command(m.GetLazyStateCommandMessage(raw, completion))
            return self._wait(Leaf(completion))
        value = None if self.state is None else self.state.get(raw)
        read = m.GetEagerStateCommandMessage(raw, "", m.VOID if value is None else m.Value(value))
        self.trace.append(repr(self.command(read).result))
        return None

    def _reads_lazily(self, lazy: int) -> bool:
        """As the journal has it, since the state may have outgrown what is sent along; else as it is now."""
        if self.next < len(self.commands):
            return self.commands[self.next][0] == lazy
        return self.state is None

    def _keys(self, _: int) -> Running | None:
        completion = self.new_id()
        if self._reads_lazily(int(MessageType.GET_LAZY_STATE_KEYS_COMMAND)):
            self.command(m.GetLazyStateKeysCommandMessage(completion))
            return self._wait(Leaf(completion))
        keys = m.StateKeys(tuple(sorted(self.state or ())))
        self.trace.append(repr(self.command(m.GetEagerStateKeysCommandMessage("", keys)).value))
        return None

    def _set(self, _: int, key: str, value: str) -> None:
        self.command(m.SetStateCommandMessage(key.encode(), m.Value(value.encode())))
        if self.state is not None:
            self.state[key.encode()] = value.encode()

    def _clear(self, _: int, key: str) -> None:
        self.command(m.ClearStateCommandMessage(key.encode()))
        if self.state is not None:
            self.state.pop(key.encode(), None)

    def _clear_all(self, _: int) -> None:
        self.command(m.ClearAllStateCommandMessage())
        if self.state is not None:
            self.state.clear()

    def _promise(self, _: int, name: str) -> Running:
        completion = self.new_id()
        self.command(m.GetPromiseCommandMessage(name, completion))
        return self._wait(Leaf(completion))

    def _peek(self, _: int, name: str) -> Running:
        completion = self.new_id()
        self.command(m.PeekPromiseCommandMessage(name, completion))
        return self._wait(Leaf(completion))

    def _complete(self, _: int, name: str, value: str, fails: bool) -> Running:
        completion = self.new_id()
        result = m.Failure(500, value) if fails else m.Value(value.encode())
        self.command(m.CompletePromiseCommandMessage(name, result, completion))
        return self._wait(Leaf(completion))

    def _awakeable_op(self, _: int) -> Running:
        return self._wait(self._begin_awakeable())

    def _begin_awakeable(self) -> Leaf:
        self.awakeables += 1
        self.outside.publish("a", self.id, awakeable_id(self.id, self.awakeables))
        return Leaf(self.awakeables, signal=True)

    def _signal(self, _: int, name: str) -> Running:
        nth = self.heard.get(name, 0)
        self.heard[name] = nth + 1
        self.outside.publish("s", self.id, f"{self.start.debug_id} {name}")
        return self._wait(Leaf(name, signal=True, nth=nth))

    def _poke(self, number: int) -> Running:
        """Complete what somebody waits for; who that is, is chance, so a step finds out."""
        completion = self.new_id()
        self.command(m.RunCommandMessage(completion, f"r{number}"))
        self._start_step(completion, lambda: m.Value(self.outside.published().encode()))
        yield Leaf(completion)
        found: str = self.value(Leaf(completion)).content.decode()
        result = m.Value(b"%s %d" % (self.id.hex().encode(), number))
        if found.startswith("sign"):
            self.command(m.CompleteAwakeableCommandMessage(found, result))
        elif found:
            target, name = found.split()
            self.command(m.SendSignalCommandMessage(target, None, name, result))
        return found

    def _par(self, number: int, how: str, parts: list[Any]) -> Running:
        leaves: list[Leaf] = []
        for op in parts:
            match op[0]:
                case "run":
                    leaves.append(self._begin_run(number, op[1], op[2]))
                case "sleep":
                    leaves.append(self._begin_sleep(op[1]))
                case "call":
                    leaves.append(self._begin_call(*op[1:6]))
                case _:
                    leaves.append(self._begin_awakeable())
        tree = Tree(how, tuple(leaves))
        yield tree
        over = self.place(tree)
        return repr([self.told(leaf) for leaf in leaves if self.place(leaf) <= over])

    def _dies(self, number: int, times: int) -> None:
        if self.next >= len(self.commands) and self.outside.times((self.id, "dies", number)) < times:
            raise Died(f"operation {number} fails for now")

    def _fail(self, _: int, code: int) -> None:
        raise Terminal(code, "the handler gives up")


_OPS: dict[str, Callable[..., Running | None]] = {
    "run": Play._run, "sleep": Play._sleep, "call": Play._call, "send": Play._send, "get": Play._get,
    "keys": Play._keys, "set": Play._set, "clear": Play._clear, "clear_all": Play._clear_all,
    "promise": Play._promise, "peek": Play._peek, "complete": Play._complete, "awakeable": Play._awakeable_op,
    "signal": Play._signal, "poke": Play._poke, "par": Play._par, "dies": Play._dies, "fail": Play._fail,
    "attach_idempotent": Play._attach_idempotent, "attach_workflow": Play._attach_workflow,
}  # fmt: skip
