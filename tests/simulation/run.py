"""One seed from beginning to end: trouble, then quiet, then the laws."""

from __future__ import annotations

from random import Random

import apsw

from holdfast.core.model import InvocationId
from tests.simulation.clients import Clients
from tests.simulation.final import Ends
from tests.simulation.laws import Truth
from tests.simulation.programs import NO_LOCKS, PROMISES, WORKFLOWS, Aim
from tests.simulation.server import Server
from tests.simulation.services import Services
from tests.simulation.virtual import Broken, Clock, World

ROUNDS_MAX = 120
ROUND_S = 5.0


class Simulation:
    """A world made from a seed. `run` raises Broken when a law does not hold."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = chance = Random(seed)
        self.world = World()
        self.clock = Clock(self.world)
        self.truth = Truth()
        self.services = Services(self.world, self.clock, chance, self.truth)
        partitions = chance.choice((1, 3))
        self.server = Server(self.world, self.clock, chance, partitions, self.services, self.truth)
        self.server.on_broken_disk = self._crash
        self.clients = Clients(self.server, self.services, self.truth, chance)

    def run(self) -> None:
        try:
            with self.server.patched():
                self._restart()
                self._trouble()
                self._quiet()
                Ends(self.server).check()
        finally:
            for disk in self.server.disks:
                disk.close()

    # ------------------------------------------------------------ trouble

    def _trouble(self) -> None:
        """Half a minute of virtual time in which anything goes."""
        chance, world, server = self.chance, self.world, self.server
        length_s = chance.choice((2.0, 10.0, 30.0))
        self.services.faults.streams = chance.choice((0.0, 0.1, 0.3))
        server.post_trouble = chance.choice((0.0, 0.1, 0.4))
        for disk in server.disks:
            disk.fails = chance.choice((0.0, 0.0, 0.02))
            disk.slow = chance.choice((0.0, 0.1, 0.5))
            disk.breaks = chance.choice((0.0, 0.0, 0.0, 0.001))
        for _ in range(chance.choice((1, 3, 6, 9, 14))):
            world.later(chance.random() ** 2 * length_s, self.clients.wish)
        for _ in range(chance.choice((0, 4, 12, 30))):
            world.later(chance.random() * length_s, self.clients.operate)
        for _ in range(chance.choice((0, 0, 1, 2, 5))):
            world.later(chance.random() * length_s, self._crash)
        for _ in range(chance.choice((0, 0, 1, 3))):
            world.later(chance.random() * length_s, self.services.die)
        for _ in range(chance.choice((0, 0, 0, 2))):
            world.later(chance.random() * length_s, self._set_clock)
        if chance.random() < 0.2:
            world.later(chance.random() * length_s, self._fill_disk)
        # Crashes that hit a moment, not an instant: after the nth event from now.
        self._events_to_crash = chance.choice((0, 0, chance.randint(1, 400)))
        end = world.now_s + length_s
        while world.now_s < end:
            if self._events_to_crash and world.events >= self._events_to_crash:
                self._events_to_crash = 0
                self._crash()
            if not world.step(end):
                break

    def _crash(self) -> None:
        if self.server.engine is not None:
            self.server.crash()
            self.world.later(self.chance.choice((0.0, 0.1, 2.0)), self._restart)

    def _restart(self) -> None:
        if self.server.engine is not None:
            return
        try:
            self.server.start()
        except apsw.Error:  # its supervisor tries again
            self.server.give_up()
            self.world.later(0.5, self._restart)
        else:
            self.clients.after_crash()

    def _set_clock(self) -> None:
        self.clock.set(self.chance.choice((-30_000, -500, 500, 30_000)))

    def _fill_disk(self) -> None:
        disk = self.chance.choice(self.server.disks)
        disk.full = True
        self.world.later(self.chance.choice((0.3, 5.0)), self._empty_disk)

    def _empty_disk(self) -> None:
        for disk in self.server.disks:
            disk.full = False

    # ------------------------------------------------------------ quiet

    def _quiet(self) -> None:
        """Everything works again, everything awaited is completed, and all there is to do gets done."""
        server, world = self.server, self.world
        self.services.faults.streams = 0.0
        server.post_trouble = 0.0
        self._empty_disk()
        for disk in server.disks:
            disk.fails = disk.slow = disk.breaks = 0.0
        if server.engine is None:
            world.run_until(world.now_s + ROUND_S)
        if server.post_lost or self.chance.random() < 0.5:
            server.crash()
            self._restart()
        for round_ in range(ROUNDS_MAX):
            world.run_until(world.now_s + ROUND_S)
            left = self._left()
            if not left and not self._timers() and all(wish.over for wish in self.clients.wishes):
                world.run_until(world.now_s + 2 * ROUND_S)  # streams close, sweeps see what has ended
                return
            for id_, status in left:
                if status == 4:
                    self.clients.resume(InvocationId(id_))
            for waiting in list(self.services.waiting):
                self.clients.complete(waiting)
            self.services.waiting.clear()
            if round_ % 10 == 1:
                for key in WORKFLOWS:
                    program = [["complete", name, "late", False] for name in PROMISES]
                    self.clients.want(Aim("W", "ask", key, NO_LOCKS), program)
        told = [f"{id_.hex()} ({status})" for id_, status in self._left()]
        wishes = [str(w.aim) for w in self.clients.wishes if not w.over]
        raise Broken(f"no end in {ROUNDS_MAX * ROUND_S:.0f} quiet seconds: {told}, callers wait for {wishes}")

    def _timers(self) -> bool:
        """Whether some are still to come, as those of sleeps that were killed."""
        return any(disk.connection.execute("SELECT 1 FROM timer").fetchone() for disk in self.server.disks)

    def _left(self) -> list[tuple[bytes, int]]:
        return [
            found
            for disk in self.server.disks
            for found in disk.connection.execute("SELECT id, status FROM invocation WHERE status <> 5")
        ]
