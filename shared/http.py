"""Calls from one service to another."""

import ssl
from collections.abc import Generator
from functools import cache
from pathlib import Path

import httpx

from shared.logging.context import correlation_id
from shared.settings import AppSettings


class ServiceAuth(httpx.Auth):
    """Send the service token and the correlation id of the work at hand."""

    def __init__(self, settings: AppSettings) -> None:
        self._token = settings.service_token
        self._file = settings.service_token_file
        self._read: tuple[int, str] | None = None

    def token(self) -> str | None:
        """Return the token as it is now, None where there is none."""
        return self._token.get_secret_value() if self._token else self._from_file(self._file)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the headers; a token file is read again when it changed."""
        token = self.token()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        current = correlation_id.get()
        if current:
            request.headers["X-Correlation-ID"] = current
        yield request

    def _from_file(self, path: Path | None) -> str | None:
        if path is None:
            return None
        try:
            changed = path.stat().st_mtime_ns
            if self._read is None or self._read[0] != changed:
                self._read = (changed, path.read_text(encoding="utf-8").strip())
        except OSError:
            return None
        return self._read[1]


@cache
def _certificates() -> ssl.SSLContext:
    # To read them takes 30 ms: once for all clients of a process.
    return httpx.create_ssl_context()


def service_client(settings: AppSettings, base_url: str) -> httpx.AsyncClient:
    """Return a client for one other service, with its token, correlation ids and time limits."""
    return httpx.AsyncClient(
        base_url=base_url,
        auth=ServiceAuth(settings),
        verify=_certificates(),
        timeout=httpx.Timeout(10, connect=2),
        limits=httpx.Limits(max_connections=20, max_keepalive_connections=10),
        # Proxies of the environment are not for calls between services.
        trust_env=False,
    )
