"""kill -9, SIGSTOP and SIGCONT, of the server and of the services, one trouble after another."""

import random
import signal
import time
from collections.abc import Callable

from tests.harness import Process

from .world import World, signal_all

PAUSE_S = (0.05, 0.5)
DOWN_S = (0.0, 0.2)
STOPPED_S = (0.05, 0.7)
STOPS = 0.15
KILLED_WHILE_STARTING = 0.35
KILLED_WHILE_STOPPED = 0.15
STARTING_S = (0.2, 1.2)
SERVICES_WAITED_FOR = 0.5


class Faults:
    """Strikes a world until told otherwise; after a strike the server is up, after `heal` everything is."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.kills = 0
        self.stops = 0
        self._chance = chance
        self._server = (
            world.server.process,
            lambda: world.server.process.wait_healthy(world.server._healthy),
        )
        self._services = [
            (service.process, lambda service=service: service.wait_healthy()) for service in world.services
        ]

    def strike(self) -> None:
        """One trouble, somewhere."""
        chance = self._chance
        time.sleep(chance.uniform(*PAUSE_S))
        victims = chance.choice(
            (
                [self._server],
                [self._server],
                [self._server],
                self._services[:1],
                self._services[1:],
                self._services,
                [self._server, *self._services],
                [self._server, chance.choice(self._services)],
            )
        )
        if chance.random() < STOPS:
            self._stop(victims)
        else:
            self._kill(victims)

    def _kill(self, victims: list[tuple[Process, Callable[[], None]]]) -> None:
        for process, _ in victims:
            process.kill9()
            self.kills += 1
        time.sleep(self._chance.uniform(*DOWN_S))
        # Whichever comes back first meets the others missing.
        back = self._chance.sample(victims, len(victims))
        for process, _ in back:
            process.start()
        if self._chance.random() < KILLED_WHILE_STARTING:
            time.sleep(self._chance.uniform(*STARTING_S))
            for process, _ in back:
                process.kill9()
                self.kills += 1
                process.start()
        for process, wait_healthy in back:
            if process is self._server[0] or self._chance.random() < SERVICES_WAITED_FOR:
                wait_healthy()

    def heal(self) -> None:
        """Everything is up."""
        for _, wait_healthy in (self._server, *self._services):
            wait_healthy()

    def _stop(self, victims: list[tuple[Process, Callable[[], None]]]) -> None:
        for process, _ in victims:
            signal_all(process, signal.SIGSTOP)
            self.stops += 1
        time.sleep(self._chance.uniform(*STOPPED_S))
        if self._chance.random() < KILLED_WHILE_STOPPED:
            self._kill(victims)
            return
        for process, _ in victims:
            signal_all(process, signal.SIGCONT)
