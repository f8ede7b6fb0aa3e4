"""The outermost layer of the interface: versions in the path, body limits, content types.

Plain ASGI around the application, so that routes are written once and for bounded bodies. A path prefix `/v2`
to `/v4` is taken off and remembered as `scope["admin_api_version"]`; without one it is the newest.

Bodies must say that they are JSON. Browsers send forms and plain text to any address without asking first, so
a page somebody merely visits could otherwise register a deployment with a server on their machine.
"""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.admin.errors import body_too_large, error_response

API_VERSION_MIN = 2
API_VERSION_MAX = 4

_PREFIX = re.compile(r"/v(\d{1,3})(?=/|$)")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_PREVIEW = re.compile(r"/internal/services/[^/]+/serdes/")  # takes a payload of any kind and changes nothing
_JSON = re.compile(r"application/([\w.-]+\+)?json\s*(;.*)?", re.IGNORECASE)


class Edge:
    """Wraps the application `app`; bodies above `body_bytes_max` are refused."""

    def __init__(self, app: ASGIApp, body_bytes_max: int) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._enter(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, self._bounded(receive), send)

    def _enter(self, scope: Scope) -> Response | None:
        """Take the version off the path and judge the headers; a response when that is the end of it."""
        scope["admin_api_version"] = API_VERSION_MAX
        found = _PREFIX.match(scope["path"])
        if found is not None:
            version = int(found[1])
            if version < API_VERSION_MIN:
                return PlainTextResponse(
                    f"Unsupported Admin API version V{version}. This server supports versions between "
                    f"V{API_VERSION_MIN} and V{API_VERSION_MAX}.",
                    400,
                )
            if version > API_VERSION_MAX:
                return Response(status_code=404)
            scope["admin_api_version"] = version
            scope["path"] = scope["path"][found.end() :] or "/"
            scope["raw_path"] = scope["path"].encode()
        request = Request(scope)
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._body_bytes_max:
            return error_response(413, body_too_large(self._body_bytes_max))
        if scope["method"] in _BODY_METHODS and (length != "0" or "transfer-encoding" in request.headers):
            content_type = request.headers.get("content-type", "")
            if not _JSON.fullmatch(content_type) and not _PREVIEW.match(scope["path"]):
                return PlainTextResponse("Expected request with `Content-Type: application/json`", 415)
        return None

    def _bounded(self, receive: Receive) -> Receive:
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._body_bytes_max:
                raise HTTPException(413, body_too_large(self._body_bytes_max))
            return message

        return bounded
