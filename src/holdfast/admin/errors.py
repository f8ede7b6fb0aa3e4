"""Refusals as HTTP answers: `{"message", "restate_code"}` from routes, plain text where parsing failed."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from holdfast.catalog.errors import CatalogError, CatalogFileError
from holdfast.core.outcome import Refused
from holdfast.protocol.errors import ManifestError
from holdfast.query.errors import QueryError

RETRY_QUERY_AFTER_S = 1

# What a deployment answers, or does not, is not the client's mistake.
_CODE_STATUSES = {
    "META0003": 500,
    "META0012": 500,
    "META0013": 500,
    "META0014": 500,
    "META0015": 500,
    "META0004": 409,
    "META0006": 409,
}


class RequestError(Exception):
    """A refusal; `code` is a META code of docs/errors.md where there is one."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class UnreadableRequest(Exception):
    """A path or body that cannot be parsed; the answer is plain text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def invalid_field(field: str, reason: str) -> RequestError:
    return RequestError(400, f"The request field '{field}' is invalid. Reason: {reason}")


def invalid_parameter(name: str, reason: str) -> RequestError:
    return RequestError(400, f"The query parameter '{name}' is invalid. Reason: {reason}")


def missing(what: str, name: str) -> RequestError:
    return RequestError(404, f"The requested {what} '{name}' does not exist")


def unavailable(refused: Refused) -> RequestError:
    """A refusal that the route has no words for, such as a partition that cannot commit."""
    return RequestError(refused.code, refused.message)


def body_too_large(limit_bytes: int) -> str:
    return f"the request body is larger than the {limit_bytes} bytes this interface accepts"


def error_response(status: int, message: str, code: str | None = None) -> JSONResponse:
    return JSONResponse({"message": message, "restate_code": code}, status)


def install(app: FastAPI) -> None:
    """Make `app` answer every refusal in this interface's form."""

    @app.exception_handler(RequestError)
    async def request_error(_: Request, error: RequestError) -> Response:
        return error_response(error.status, error.message, error.code)

    @app.exception_handler(UnreadableRequest)
    async def unreadable(_: Request, error: UnreadableRequest) -> Response:
        return PlainTextResponse(error.text, error.status)

    @app.exception_handler(CatalogError)
    @app.exception_handler(ManifestError)
    async def coded(_: Request, error: CatalogError | ManifestError) -> Response:
        if isinstance(error, CatalogFileError):
            return error_response(503, f"[{error.code}] {error.message}", error.code)
        status = _CODE_STATUSES.get(error.code, 400)
        return error_response(status, f"[{error.code}] {error.message}", error.code)

    @app.exception_handler(QueryError)
    async def query_error(_: Request, error: QueryError) -> Response:
        response = error_response(error.status, error.message)
        if error.status == 429:
            response.headers["retry-after"] = str(RETRY_QUERY_AFTER_S)
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return PlainTextResponse("Failed to parse the request body as JSON", 400)
        if first["loc"][0] == "path":
            return Response(status_code=404)
        where = ".".join(str(part) for part in first["loc"])
        if first["loc"][0] != "body":
            return PlainTextResponse(f"Failed to deserialize {where}: {first['msg']}", 400)
        text = f"Failed to deserialize the JSON body into the target type: {where}: {first['msg']}"
        return PlainTextResponse(text, 422)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        if error.status_code == 413:
            return error_response(413, error.detail)
        if error.status_code == 400:
            return PlainTextResponse(error.detail, 400)
        return Response(status_code=error.status_code, headers=error.headers)
