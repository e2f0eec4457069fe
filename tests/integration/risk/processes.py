"""Risk as processes of their own, to be killed, paused and raced."""

import os
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from shared.roles import Role
from tests.harness import Tokens
from tests.integration.risk.client import BASE
from tests.warm import Forked, Warm

_START_SECONDS = 60


class Start(Protocol):
    """Make a service on this test's servers, unless others are named; settings by their names."""

    def __call__(self, **settings: object) -> "RiskProcess": ...


class RiskProcess:
    """A risk service; ended with the block, however it stands."""

    service = "risk"
    probe = "/readyz"

    def __init__(self, database_url: str, redis_url: str, tokens: Tokens, folder: Path, **settings: object) -> None:
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TRADING_")},
            "TRADING_DATABASE_URL": database_url,
            "TRADING_REDIS_URL": redis_url,
            "TRADING_API_KEYS_FILE": str(tokens.file),
            "TRADING_LOG_LEVEL": "ERROR",
            "TRADING_LOG_STDOUT": "false",
            "TRADING_LOG_FILE": str(folder / f"risk-{id(self)}.json"),
            **{f"TRADING_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._tokens = tokens
        self._folder = folder
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(2048)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._process: Forked | None = None
        self._lifeline: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._listener.close()

    def set(self, **settings: object) -> None:
        """Change settings, for the next start."""
        self._environment |= {f"TRADING_{name.upper()}": str(value) for name, value in settings.items()}

    def start(self) -> None:
        reading, self._lifeline = os.pipe()
        with (self._folder / "risk.err").open("ab") as errors:
            self._process = Warm.made().start(
                self.service, self._environment, self._listener.fileno(), reading, errors.fileno()
            )
        os.close(reading)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process = None
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def close(self) -> None:
        """Give its port up too: from now on it refuses connections instead of keeping them."""
        self._listener.close()

    def open_files(self) -> int:
        """Return how many files and connections it has open."""
        assert self._process is not None
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self, role: Role = Role.SERVICE, **options: Any) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        return httpx.AsyncClient(
            base_url=self.url + BASE,
            headers=self._tokens.auth(role),
            limits=limits,
            timeout=options.pop("timeout", 10),
            **options,
        )

    def ready(self) -> bool:
        try:
            return httpx.get(self.url + self.probe, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    def await_ready(self, seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not self.ready():
            assert time.monotonic() < deadline, (self._folder / "risk.err").read_text()
            time.sleep(0.02)
