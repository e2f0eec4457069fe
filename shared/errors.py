"""Turn what routes raise into problem documents."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from shared.database import UNAVAILABLE
from shared.logging import Category, get_trading_logger
from shared.problems import (
    BadRequest,
    DependencyUnavailable,
    InternalError,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Problem,
    Unprocessable,
    UnsupportedMediaType,
)

_LOG = get_trading_logger("keelson.errors", Category.SYSTEM)
_BY_STATUS: dict[int, type[Problem]] = {
    kind.status: kind for kind in (BadRequest, NotFound, MethodNotAllowed, PayloadTooLarge, Unprocessable)
}
# What Python's parser says otherwise than as a JSONDecodeError; the first that fits counts.
_NOT_JSON: dict[type[BaseException], str] = {
    UnicodeDecodeError: "it is not text in UTF-8",
    RecursionError: "it is nested too deeply",
    ValueError: "a number has too many digits",
}
# A batch can have thousands of bad rows; the first few say what is wrong.
_MOST_ERRORS = 20
_READS = frozenset({"GET", "HEAD"})
_RETRY = {"Retry-After": "1"}


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of an app with a problem document."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
        Problem: _problem,
        RequestValidationError: _invalid,
        WebSocketRequestValidationError: _invalid,
        HTTPException: _http,
        DataError: _data,
        psycopg.DataError: _data,
        RedisError: _redis,
        **dict.fromkeys(UNAVAILABLE, _database),
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _problem(_: Request, problem: Problem) -> Response:
    return problem.response()


async def _invalid(
    request: HTTPConnection, error: RequestValidationError | WebSocketRequestValidationError
) -> Response:
    entries = error.errors()
    if any(entry["loc"] == ("body",) and isinstance(entry.get("input"), bytes) for entry in entries):
        # What is not announced as JSON reaches validation as it came.
        sent = request.headers.get("content-type") or "no Content-Type"
        return UnsupportedMediaType(f"Send the body as application/json; it came with {sent[:100]}").response()
    if any(entry["type"] == "json_invalid" for entry in entries):
        reason = entries[0].get("ctx", {}).get("error", "not JSON")
        return MalformedJson(f"The body is not valid JSON: {reason}").response()
    errors = [
        {
            "location": ".".join(str(part) for part in entry["loc"]),
            "message": str(entry["msg"]).removeprefix("Value error, "),
            "code": str(entry["type"]),
        }
        for entry in entries[:_MOST_ERRORS]
    ]
    count = f"{len(entries)} problems" if len(entries) > 1 else "1 problem"
    shown = f", the first {_MOST_ERRORS} listed" if len(entries) > _MOST_ERRORS else ""
    return Unprocessable(f"The request has {count}{shown}", errors=errors).response()


async def _http(_: Request, error: HTTPException) -> Response:
    reason = next((text for kind, text in _NOT_JSON.items() if isinstance(error.__cause__, kind)), None)
    if error.status_code == BadRequest.status and reason:
        return MalformedJson(f"The body is not valid JSON: {reason}").response()
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        kind = InternalError if error.status_code >= 500 else BadRequest
    return kind(str(error.detail), headers=error.headers).response()


async def _data(_: Request, error: DataError | psycopg.DataError) -> Response:
    # NUL characters and numbers beyond their column: the caller's content, found by PostgreSQL.
    said = error.orig if isinstance(error, DataError) else error
    reason = str(said).splitlines()[0] if said else "bad value"
    return Unprocessable(f"A value cannot be stored: {reason}").response()


async def _database(request: HTTPConnection, error: Exception) -> Response:
    _LOG.error("PostgreSQL does not answer", reason=type(error).__name__, error=str(error))
    # What was lost may have been the word on a commit: only the caller's repetition tells.
    what = (
        ""
        if request.scope.get("method", "GET") in _READS
        else "; what was sent is stored whole or not at all, send the same again"
    )
    return DependencyUnavailable(f"PostgreSQL does not answer{what}", headers=_RETRY).response()


async def _redis(_: Request, error: Exception) -> Response:
    _LOG.error("Redis does not answer", reason=type(error).__name__, error=str(error))
    return DependencyUnavailable("Redis does not answer", headers=_RETRY).response()
