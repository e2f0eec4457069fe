"""Calls of the command line to the suite: where it answers, with which key, and what a refusal means."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
import stamina
import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console

from cli.paths import var_folder
from cli.supervisor.lock import RunFileError, running_in
from shared.roles import Role
from shared.shards import RIGHT_SHARD_HEADER, SHARD_HEADER

T = TypeVar("T")

_DEFAULT_URL = "http://127.0.0.1:8080"
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})
_RETRY_SECONDS = 60.0
_JSON = "application/json"
# What may pass: too slow, too many, or a service that is away. All else would be refused again.
_PASSING = frozenset({408, 429, 502, 503, 504})
# Errors with which a request may or may not have arrived; ids make it safe to send it again.
_UNREACHABLE = (httpx.TransportError,)

# Retries are told by `notice`, in words; without a handler they would also go to standard error, bare.
logging.getLogger("stamina").addHandler(logging.NullHandler())

error_console = Console(stderr=True, highlight=False)


class CommandError(Exception):
    """A call that gave no usable answer, in one line for the user."""


class Refused(CommandError):
    """The suite answered with a problem document."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(CommandError):
    """The suite does not answer, or says that it cannot just now."""


def api_client(
    url: str | None = None, token_file: Path | None = None, timeout: float = 30.0, *, role: Role = Role.ADMIN
) -> httpx.Client:
    """Return a client of the suite that carries a bearer token.

    The URL is `url`, KEELSON_URL, that of the suite running from this folder, or port 8080 here. The token is
    that of `token_file`, KEELSON_TOKEN, KEELSON_TOKEN_FILE, or the folder's own key: the admin's, or for
    `Role.SERVICE` that of the services.
    Raises CommandError where there is no token to send.
    """
    base = base_url(url)
    token = _token(token_file, role, base)
    return httpx.Client(
        base_url=base,
        headers={"Authorization": f"Bearer {token}"},
        timeout=httpx.Timeout(timeout, connect=5),
        trust_env=False,
    )


def base_url(url: str | None) -> str:
    """Return where the suite answers: `url`, KEELSON_URL, the one running from this folder, or port 8080 here."""
    base = url or os.environ.get("KEELSON_URL") or _own_url()
    if not base.startswith(("http://", "https://")) or not urlsplit(base).hostname:
        raise CommandError(f"{base} is not an http or https URL")
    return base.rstrip("/")


def _own_url() -> str:
    try:
        running = running_in(var_folder())
    except RunFileError as error:
        raise CommandError(str(error)) from None
    return running.url if running else _DEFAULT_URL


def _token(token_file: Path | None, role: Role, url: str) -> str:
    named = None if token_file is not None else os.environ.get("KEELSON_TOKEN")
    if named:
        return _checked(named, "KEELSON_TOKEN")
    named_file = os.environ.get("KEELSON_TOKEN_FILE")
    if token_file is None and named_file:
        token_file = Path(named_file)
    host = urlsplit(url).hostname
    if token_file is None and host not in _THIS_MACHINE:
        # The folder's own key is for its own suite; it must not travel to another's machine.
        raise CommandError(f"name the key for {host}: --token-file FILE, KEELSON_TOKEN or KEELSON_TOKEN_FILE")
    file = token_file or own_key_file(role)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "" if token_file else "; has the suite been started here (make up), or is KEELSON_TOKEN to be set?"
        raise CommandError(f"no token: {file} cannot be read ({type(error).__name__}){hint}") from None
    return _checked(text, str(file))


def own_key_file(role: Role) -> Path:
    """Return where this folder's own key is: the services' for SERVICE, else the admin's."""
    return var_folder() / "keys" / ("service.key" if role is Role.SERVICE else "admin.key")


def _checked(text: str, where: str) -> str:
    token = text.strip()
    # A header takes printable ASCII alone; the message must not show the rest.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError(f"{where} does not hold one token")
    return token


class _Body(NamedTuple):
    content: bytes | None
    media_type: str


class Api:
    """Typed calls over one client, sent again for up to a minute while a service is briefly down.

    Nothing is sent again once `give_up` says so.
    """

    def __init__(
        self,
        client: httpx.Client,
        *,
        notice: Callable[[str], None] | None = None,
        retry_seconds: float = _RETRY_SECONDS,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._notice = notice
        self._retry_seconds = retry_seconds
        self._give_up = give_up
        self.retries = 0

    def get(self, path: str, kind: type[T], params: Mapping[str, str | int] | None = None) -> T:
        """Return what a path holds. Raises Refused or Unavailable."""
        return self.send("GET", path, kind, params=params)

    def send(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: BaseModel | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> T:
        """Send one request and return its answer as a contract. Raises Refused or Unavailable."""
        content = body.model_dump_json(exclude_none=True).encode() if body is not None else None
        return self.send_bytes(method, path, kind, content, params=params)

    def send_bytes(
        self,
        method: str,
        path: str,
        kind: type[T],
        content: bytes | None,
        media_type: str = _JSON,
        params: Mapping[str, str | int] | None = None,
    ) -> T:
        """Send one request with a body of any form and return its answer as a contract. Raises as `send` does."""
        answer = self._answer(method, path, _Body(content, media_type), params)
        try:
            return TypeAdapter(kind).validate_json(answer.content)
        except ValidationError as error:
            raise CommandError(f"{path} answered what this version does not understand: {_first(error)}") from None

    def _answer(self, method: str, path: str, body: _Body, params: Mapping[str, str | int] | None) -> httpx.Response:
        attempts = stamina.retry_context(
            on=lambda error: isinstance(error, Unavailable) and not self._give_up(),
            attempts=None if self._retry_seconds else 1,
            timeout=self._retry_seconds or None,
            wait_initial=0.2,
            wait_max=3.0,
            wait_jitter=0.2,
        )
        for attempt in attempts:
            with attempt:
                if attempt.num > 1:
                    self.retries += 1
                try:
                    return self._once(method, path, body, params)
                except Unavailable as error:
                    self._tell(attempt.num, error)
                    raise
        raise AssertionError("stamina ends with an answer or an error")

    def _tell(self, number: int, error: Unavailable) -> None:
        if self._notice and number == 1 and self._retry_seconds > 0:
            self._notice(f"{error}; trying again for up to {self._retry_seconds:.0f} s")

    def _once(self, method: str, path: str, body: _Body, params: Mapping[str, str | int] | None) -> httpx.Response:
        content = body.content
        headers = {"Content-Type": body.media_type} if content is not None else {}
        try:
            answer = self._client.request(method, path, content=content, params=params, headers=headers)
            if answer.status_code == httpx.codes.MISDIRECTED_REQUEST and RIGHT_SHARD_HEADER in answer.headers:
                headers |= {SHARD_HEADER: answer.headers[RIGHT_SHARD_HEADER]}
                answer = self._client.request(method, path, content=content, params=params, headers=headers)
        except _UNREACHABLE as error:
            base = str(self._client.base_url).rstrip("/")
            raise Unavailable(f"{base} does not answer ({type(error).__name__}). Is it running? make up") from None
        if answer.is_success:
            return answer
        if answer.status_code in _PASSING:
            raise Unavailable(_problem(answer, path))
        raise Refused(answer.status_code, _problem(answer, path))


def _problem(answer: httpx.Response, path: str) -> str:
    """Return a problem document as one line."""
    try:
        document: Any = answer.json()
        detail = f"{document['title']}: {document['detail']}"
        errors = [f"{entry['location']}: {entry['message']}" for entry in document.get("errors", [])[:3]]
        listed = f" ({'; '.join(errors)})" if errors else ""
        known = document.get("correlation_id")
        trace = f" [correlation id {known}]" if known else ""
    except (ValueError, KeyError, TypeError, AttributeError):
        detail, listed, trace = answer.reason_phrase or "no explanation", "", ""
    line = f"{path}: {answer.status_code} {detail}{listed}{trace}"
    return " ".join(line.split())


def _first(error: ValidationError) -> str:
    entry = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}"


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn an error of a call into one line on standard error and exit code 1."""
    try:
        yield
    except CommandError as error:
        error_console.print(f"[red]error[/red]: {_escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
