"""Errors as RFC 9457 problem documents."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from shared.logging.context import correlation_id

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """What is wrong with one part of a request; `location` names it, such as `body.quantity`."""

    location: str
    message: str
    code: str


class ProblemDocument(BaseModel):
    """An error as the API returns it (RFC 9457)."""

    type: str = Field(description="Stable identifier of the kind.", examples=["urn:keelson:problem:not-found"])
    title: str
    status: int
    detail: str
    correlation_id: str | None
    errors: list[FieldProblem] = []


class Problem(Exception):
    """An error the caller is told about."""

    type_: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extensions = extensions

    def response(self) -> JSONResponse:
        """Return the problem document as a response."""
        content: dict[str, Any] = {
            "type": f"urn:keelson:problem:{self.type_}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "correlation_id": correlation_id.get(),
            **self.extensions,
        }
        if self.errors:
            content["errors"] = self.errors
        return JSONResponse(content, self.status, self.headers, media_type=MEDIA_TYPE)


class BadRequest(Problem):
    """The request cannot be understood."""

    type_, title, status = "bad-request", "Bad request", 400


class MalformedJson(BadRequest):
    """The body is not JSON."""

    type_, title = "malformed-json", "Malformed JSON"


class Unauthenticated(Problem):
    """No valid token was sent."""

    type_, title, status = "unauthenticated", "Authentication required", 401


class Forbidden(Problem):
    """The token is valid and its roles do not suffice."""

    type_, title, status = "forbidden", "Not permitted", 403


class NotFound(Problem):
    """What was named does not exist."""

    type_, title, status = "not-found", "Not found", 404


class MethodNotAllowed(Problem):
    """The route exists and not for this method."""

    type_, title, status = "method-not-allowed", "Method not allowed", 405


class RequestTimeout(Problem):
    """The body did not come in time."""

    type_, title, status = "request-timeout", "Request timeout", 408


class Conflict(Problem):
    """The request contradicts what is stored."""

    type_, title, status = "conflict", "Conflict", 409


class PayloadTooLarge(Problem):
    """The body is longer than the service takes."""

    type_, title, status = "payload-too-large", "Payload too large", 413


class UnsupportedMediaType(Problem):
    """The body is not in the format the route takes."""

    type_, title, status = "unsupported-media-type", "Unsupported media type", 415


class Misdirected(Problem):
    """Another shard of this service answers for what was named."""

    type_, title, status = "misdirected", "Misdirected request", 421


class Unprocessable(Problem):
    """The request was understood and its content is not valid."""

    type_, title, status = "unprocessable", "Invalid content", 422


class InternalError(Problem):
    """Something failed that should not have."""


class DependencyUnavailable(Problem):
    """Something this service needs does not answer; try again."""

    type_, title, status = "dependency-unavailable", "Dependency unavailable", 503


class ShardsUnconfirmed(Problem):
    """It is done here, and other shards have not said in time that it is done there."""

    # Not 503: a proxy in front of replicas takes that for one that stands by, and would ask the next.
    type_, title, status = "shards-unconfirmed", "Not every shard confirmed", 504


class ShardsUnanswered(Problem):
    """What other shards have is part of the answer, and they have not said it in time."""

    # 504 as above: no other replica of this shard knows better.
    type_, title, status = "shards-unanswered", "Not every shard answered", 504


def declare(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of a route that can give these problems."""
    by_status: dict[int, list[type[Problem]]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, []).append(problem)
    return {
        status: {
            "description": "; ".join(f"{kind.title} (`{kind.type_}`)" for kind in kinds),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status, kinds in sorted(by_status.items())
    }
