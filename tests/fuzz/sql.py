"""A stranger's SQL, on tables with one of everything: an answer or a refusal, and soon."""

from __future__ import annotations

import asyncio
import atexit
import re
import tempfile
from collections.abc import Hashable
from functools import cache
from pathlib import Path

from query.story import tell
from query.world import World

from holdfast.query.errors import QueryError
from holdfast.query.runner import ARROW, JSON

SECONDS_MAX = 5.0
DEADLINE_S = 30.0
_QUERY = re.compile(r'"(SELECT [^"\\{}]{5,300})"')
_TESTS = Path(__file__).resolve().parents[1]
_loop = asyncio.new_event_loop()


def queries() -> list[bytes]:
    """Every query that the tests ask, as they wrote it."""
    found = {query for file in (_TESTS / "query").glob("*.py") for query in _QUERY.findall(file.read_text())}
    return [b"\x00" + query.encode() for query in sorted(found)]


@cache
def _world() -> World:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    world = World(Path(folder.name), seconds_max=SECONDS_MAX)
    tell(world)
    atexit.register(world.close)
    return world


def sql(data: bytes) -> Hashable:
    """One query; as JSON or Arrow, as the first byte says."""
    text = data[1:].decode("utf-8", "replace")
    accept = ARROW if data[:1] and data[0] & 1 else JSON
    asked = _world().runner.run(text, accept)
    try:
        content_type, body = _loop.run_until_complete(asyncio.wait_for(asked, DEADLINE_S))
    except QueryError as error:
        return error.status, re.sub(r"[\W\d]+|'.*?'", " ", str(error))[:50]
    return content_type, len(body) > 20
