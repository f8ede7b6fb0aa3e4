"""What `holdfast dev` writes: its own lines, those of the service and those of the server, told apart."""

from __future__ import annotations

import logging
import textwrap
from typing import TextIO, cast

_RESET, _BOLD, _RED = "\x1b[0m", "\x1b[1m", "\x1b[31m"
_SERVICE, _SERVER = "\x1b[36m", "\x1b[35m"
_COLUMN = 9
_INDENT = " " * (_COLUMN + 2)


class Terminal:
    """Lines to people; colours where it is a terminal.

    Args:
        out: for what `holdfast dev` itself and the service say. err: for what is wrong, and the server's log.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err

    def say(self, text: str) -> None:
        """A line of `holdfast dev`'s own."""
        self._write(self._out, _BOLD, "holdfast", text)

    def plain(self, text: str) -> None:
        """Lines without mark, to be read or pasted."""
        print(text, file=self._out, flush=True)

    def wrong(self, text: str, detail: str = "") -> None:
        """Something to repair; `detail` is a traceback, shown as it is."""
        if detail:
            print(detail.rstrip("\n"), file=self._err, flush=True)
        self._write(self._err, _RED, "holdfast", text)

    def failed(self, text: str, detail: str) -> None:
        """What went wrong in a handler, and what more there is to say of it."""
        self._write(self._err, _RED, "holdfast", text)
        if detail:
            print(textwrap.indent(detail.rstrip("\n"), _INDENT), file=self._err, flush=True)

    def of_service(self, line: str) -> None:
        self._write(self._out, _SERVICE, "service", line)

    def take_server_logs(self, level: str) -> None:
        """From now on the server in this process logs through here."""
        import structlog

        from holdfast.server import logs

        logs.configure(level, "console")
        # Of a text stream, these two use only what it has.
        lines = cast("TextIO", _ServerLines(self))
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.dev.ConsoleRenderer(colors=self._err.isatty()),
            ],
            logger_factory=structlog.PrintLoggerFactory(lines),
        )
        logging.basicConfig(level=logging.WARNING, stream=lines, force=True)

    def of_server(self, line: str) -> None:
        self._write(self._err, _SERVER, "server", line)

    def _write(self, stream: TextIO, colour: str, who: str, text: str) -> None:
        mark = f"{who:<{_COLUMN}}|"
        if stream.isatty():
            mark = f"{colour}{mark}{_RESET}"
        print("\n".join(f"{mark} {line}" for line in text.split("\n")), file=stream, flush=True)


class _ServerLines:
    """A text stream that is only written to, whose lines go to the terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._terminal.of_server(line)
        return len(text)

    def flush(self) -> None:
        """Whole lines are written at once."""
