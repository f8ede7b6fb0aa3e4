"""The admin interface as commands use it: the standard library's HTTP, and errors in words for a terminal."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from http.client import HTTPException
from typing import TypeAlias, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from holdfast.cli import exit_codes

ADMIN_DEFAULT = "http://localhost:9070"
ADMIN_VARIABLE = "HOLDFAST_ADMIN"
ANSWER_WITHIN_S = 30.0
ANSWER_BYTES_MAX = 256 * 1024 * 1024
_SHOWN_CHARS_MAX = 300

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Row: TypeAlias = Mapping[str, Json]
"""Columns that are NULL are left out."""


class AdminError(Exception):
    """The server cannot be asked, or says no; the text is for the user.

    Attributes:
        exit_code: of the command that this ends.
        status: of the server's answer; 0: there was none.
    """

    def __init__(self, message: str, exit_code: int, status: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.status = status


class Admin:
    """A server's admin interface.

    Args:
        url: such as http://localhost:9070.
    Raises:
        AdminError: `url` is none.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise AdminError(f"{url!r} is no address; expected one such as {ADMIN_DEFAULT}", exit_codes.USAGE)
        self.url = url.rstrip("/")

    def request(
        self, method: str, path: str, body: Json = None, parameters: Mapping[str, str] | None = None
    ) -> Json:
        """The JSON of the answer; as `send`."""
        return self.send(method, path, body, parameters)[1]

    def send(
        self, method: str, path: str, body: Json = None, parameters: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """(status, JSON of the answer or None when it is empty).

        Raises:
            AdminError: nobody there, or an answer that is no success.
        """
        address = f"{self.url}/{path}" + (f"?{urlencode(parameters)}" if parameters else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"accept": "application/json"}
        if data is not None:
            headers["content-type"] = "application/json"
        request = Request(address, data=data, headers=headers, method=method)
        try:
            # Without proxies: admin interfaces are not reached through those for the world outside.
            with build_opener(ProxyHandler({})).open(request, timeout=ANSWER_WITHIN_S) as response:
                status = int(response.status)
                answer = response.read(ANSWER_BYTES_MAX + 1)
        except HTTPError as error:
            raise AdminError(_said(error), exit_codes.REFUSED, error.code) from None
        except (URLError, HTTPException, OSError) as error:
            raise AdminError(self._unreachable(error), exit_codes.UNREACHABLE) from None
        if len(answer) > ANSWER_BYTES_MAX:
            raise AdminError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes", exit_codes.REFUSED)
        if not answer:
            return status, None
        try:
            return status, cast("Json", json.loads(answer))
        except ValueError:
            raise self._not_admin("its answer is not JSON") from None

    def query(self, sql: str) -> list[Row]:
        """The rows of a SELECT. Raises AdminError."""
        answer = self.request("POST", "query", {"query": sql})
        rows = answer.get("rows") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise self._not_admin("its answer to a query has no rows")
        return cast("list[Row]", rows)

    def _not_admin(self, why: str) -> AdminError:
        return AdminError(f"{self.url} is not an admin interface: {why}", exit_codes.UNREACHABLE)

    def _unreachable(self, error: Exception) -> str:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ConnectionRefusedError):
            return (
                f"nothing listens at {self.url}; start a server (holdfast dev, holdfast server) or give the "
                f"address of its admin interface with --admin or the variable {ADMIN_VARIABLE}"
            )
        return f"cannot reach the admin interface at {self.url}: {reason}"


def add_admin_option(parser: argparse.ArgumentParser) -> None:
    """`--admin`."""
    default = os.environ.get(ADMIN_VARIABLE) or ADMIN_DEFAULT
    parser.add_argument(
        "--admin",
        default=default,
        metavar="URL",
        help=f"the server's admin interface [the variable {ADMIN_VARIABLE}, else {ADMIN_DEFAULT}]",
    )


def add_admin_options(parser: argparse.ArgumentParser) -> None:
    """`--admin` and `--json`."""
    add_admin_option(parser)
    parser.add_argument("--json", action="store_true", help="JSON, one object per line")


def segment(text: str) -> str:
    """Text as one part of a path."""
    return quote(text, safe="")


def quoted(text: str) -> str:
    """Text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _said(error: HTTPError) -> str:
    """The server's own words, if it has some."""
    text = error.read(64 * 1024).decode("utf-8", "replace")
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(
        message := cast("dict[str, object]", answer).get("message"), str
    ):
        return message
    return f"the server answered {error.code}: {text[:_SHOWN_CHARS_MAX] or error.reason}"
