"""The server and the agent, as the demo starts and kills them.

`Dev` is one `holdfast dev`, as while developing: the server runs in it, the agent is its child, which it
starts again whenever that has died. `Apart` is the two programs on their own, as in production, for agents
and servers that `holdfast dev` does not run; there the demo starts the dead again.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from typing import Protocol

from examples.claim_demo.processes import Child, listens
from examples.claim_demo.server_view import DemoError, ServerView, until

IN_PROCESS = re.compile(r"in process (\d+)\b.*\n")
OWN_LINE = re.compile(r"^holdfast \| ((?:the service|serving) .*)$", re.MULTILINE)


class Application(Protocol):
    """What the story needs of either. Everything here raises DemoError when it does not happen.

    Attributes:
        server_pids, service_pids: one per life, oldest first.
    """

    @property
    def server_pids(self) -> Sequence[int]: ...

    @property
    def service_pids(self) -> Sequence[int]: ...

    def start(self) -> None:
        """Both, for the first time or after `kill_server`; returns when the agent can be called."""

    def kill_server(self) -> None:
        """kill -9; returns when the agent is gone, too."""

    def kill_service(self) -> None:
        """kill -9 to the agent alone; returns when it is gone."""

    def service_again(self) -> None:
        """After `kill_service`: returns when the agent is there again."""

    def service_gone(self) -> bool:
        """Whether nobody listens where the agent is called."""
        ...

    def news(self) -> list[tuple[str, str]]:
        """(who, what) of starts since last asked."""
        ...


class Dev:
    """One `holdfast dev`. What it prints is all that is known of it."""

    def __init__(self, child: Child, service_port: int) -> None:
        self._child = child
        self._port = service_port
        self._heard = 0
        self._news: list[tuple[str, str]] = []
        self.service_pids: list[int] = []

    @property
    def server_pids(self) -> Sequence[int]:
        return self._child.pids

    def start(self) -> None:
        again = bool(self._child.pids)
        pid = self._child.start()
        service = until("holdfast dev to serve the agent", self._next_service)
        how = "the same command again, on the same state" if again else "started on an empty folder"
        self._news = [("dev", f"{how}: server in process {pid}, agent in process {service}")]

    def kill_server(self) -> None:
        self._child.kill()

    def kill_service(self) -> None:
        try:
            os.kill(self.service_pids[-1], signal.SIGKILL)
        except ProcessLookupError:
            raise DemoError("the agent ended by itself; the last lines of holdfast dev are below") from None
        until("the agent to be gone", lambda: self.service_gone() or self._told() is not None or None)

    def service_again(self) -> None:
        before = self._heard
        until("holdfast dev to start the agent again", self._next_service)
        said = self._child.output()[before : self._heard]
        self._news = [("dev", f"says: {line}") for line in OWN_LINE.findall(said)]

    def service_gone(self) -> bool:
        return not listens(self._port)

    def news(self) -> list[tuple[str, str]]:
        news, self._news = self._news, []
        return news

    def _next_service(self) -> int | None:
        """The process of the agent's next life, once it is told."""
        if (told := self._told()) is None:
            self._child.check_alive()
            return None
        self._heard = told.end()
        self.service_pids.append(int(told[1]))
        return self.service_pids[-1]

    def _told(self) -> re.Match[str] | None:
        """The first line about a process of the agent that was not heard yet."""
        return IN_PROCESS.search(self._child.output(), self._heard)


class Apart:
    """The server and the agent as programs of their own."""

    def __init__(self, server: Child, service: Child, view: ServerView, service_port: int) -> None:
        self._server = server
        self._service = service
        self._view = view
        self._port = service_port
        self._news: list[tuple[str, str]] = []

    @property
    def server_pids(self) -> Sequence[int]:
        return self._server.pids

    @property
    def service_pids(self) -> Sequence[int]:
        return self._service.pids

    def start(self) -> None:
        again = bool(self._server.pids)
        self._server.start()
        self._service.start()
        until("the server to answer", self._ready)
        where = f"http://127.0.0.1:{self._port}"
        if not again:  # the server remembers
            until("the service to be found", lambda: self._alive() and self._view.register(where))
        how = "started again, on the same data directory" if again else "started on an empty data directory"
        until("the agent to listen", self._listening)
        self._news = [
            ("server", f"{how}, process {self._server.pids[-1]}"),
            ("agent", f"started, process {self._service.pids[-1]}"),
        ]

    def kill_server(self) -> None:
        self._server.strike()
        self._service.strike()
        self._server.kill()
        self._service.kill()

    def kill_service(self) -> None:
        self._service.kill()

    def service_again(self) -> None:
        self._service.start()
        until("the agent to listen", self._listening)
        self._news = [("agent", f"started again, process {self._service.pids[-1]}")]

    def service_gone(self) -> bool:
        return not listens(self._port)

    def news(self) -> list[tuple[str, str]]:
        news, self._news = self._news, []
        return news

    def _ready(self) -> bool | None:
        return self._alive() and self._view.ready()

    def _listening(self) -> bool | None:
        return (self._alive() and listens(self._port)) or None

    def _alive(self) -> bool:
        self._server.check_alive()
        self._service.check_alive()
        return True
