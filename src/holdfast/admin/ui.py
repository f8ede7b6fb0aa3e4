"""The web UI: the built files of `ui/`, under `/ui`.

Owns        which file a path means, and the headers that keep a page from running what it must not.
Promises    hashed assets may be cached for ever and nothing else; any other path of the UI is its one page,
            so that an address somebody shares opens where it was copied; only the build is served.
Never does  data: the page asks the same admin interface as everybody else.

The build is read into memory at the first request: it is small, and the server then has no open question
about paths, links or files that change under it. Without a build (a clone where nobody ran npm) the page says
how to make one.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

BUILD = Path(__file__).parent / "ui_dist"
COMPRESS_FROM_BYTES = 1024
PAGE = "index.html"

_SECURITY = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"

_NOT_BUILT = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Holdfast</title></head>
<body>
<h1>The UI is not built</h1>
<p>This server runs from sources whose UI has not been built. With Node 20 or newer installed:</p>
<pre>make ui</pre>
<p>Then start the server again. Installed packages bring the UI with them and need no Node.</p>
<p>Everything the UI shows is also told by the command line: <code>holdfast invocations list</code>.</p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    gzipped: bytes | None
    content_type: str
    cache: str
    tag: str


class Ui:
    """An ASGI application for the paths under `/ui`.

    Args:
        build: the folder that `make ui` fills; it need not exist.
    """

    def __init__(self, build: Path = BUILD) -> None:
        self._build = build

    @cached_property
    def _files(self) -> dict[str, _File]:
        return _read(self._build)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = self._answer(scope["method"], _inside(scope), Headers(scope=scope))
        await response(scope, receive, send)

    def _answer(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        if method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={**_SECURITY, "allow": "GET, HEAD"})
        if PAGE not in self._files:
            status = 200 if path in ("", PAGE) else 404
            return Response(_NOT_BUILT, status, {**_SECURITY, "cache-control": _ASK_AGAIN}, "text/html")
        file = self._files.get(path)
        if file is None:
            if path.startswith("assets/") or ("." in path and "/" not in path):
                # A page of an older build asking for what is gone must hear so, not get HTML as a script.
                return Response(status_code=404, headers=_SECURITY)
            file = self._files[PAGE]
        own = {**_SECURITY, "cache-control": file.cache, "etag": file.tag, "vary": "accept-encoding"}
        if file.tag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=own)
        body = file.body
        if file.gzipped is not None and "gzip" in headers.get("accept-encoding", ""):
            body = file.gzipped
            own["content-encoding"] = "gzip"
        return Response(body, 200, own, file.content_type)


def _inside(scope: Scope) -> str:
    """The path below `/ui/`, where this application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).lstrip("/")


def _read(build: Path) -> dict[str, _File]:
    """Every file of the build by its path; none when there is no build."""
    files: dict[str, _File] = {}
    for file in sorted(build.rglob("*")):
        if not file.is_file():
            continue
        name = file.relative_to(build).as_posix()
        body = file.read_bytes()
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if name.endswith(".js"):
            content_type = "text/javascript"
        zipped = gzip.compress(body, mtime=0) if len(body) >= COMPRESS_FROM_BYTES else None
        cache = _FOR_EVER if name.startswith("assets/") else _ASK_AGAIN
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        files[name] = _File(body, zipped, content_type, cache, tag)
    return files
