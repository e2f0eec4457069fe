"""One service process: serve an app on a socket the supervisor opened, and end with the supervisor."""

import argparse
import asyncio
import os
import resource
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli.supervisor.protocol import HttpProtocol
from cli.supervisor.sockets import MOST_BYTES, WebSocketProtocol
from shared.problems import DependencyUnavailable

_DRAIN_SECONDS = 5
_FILES = 65_536
_STOPPING = DependencyUnavailable("The suite is being stopped; what this request did is unknown")
_APPS = {
    "risk": "services.risk.main",
    "marketdata": "services.marketdata.main",
    "ml": "services.ml.main",
    "reporting": "services.reporting.main",
    "front": "gateway.front",
}


class EndInOrder:
    """Answer what is still in flight when the server's patience ends, in place of a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            # Only the server's end cancels a request. An answer that has begun stays unfinished: its caller sees that.
            if scope["type"] != "http":
                raise
            if not begun:
                await _STOPPING.response()(scope, receive, send)


def serve(name: str, descriptor: int, lifeline: int) -> int:
    """Serve until told to stop or until the other end of the lifeline is gone; return the exit code."""
    _take_files()
    app = import_module(_APPS[name]).create()
    config = uvicorn.Config(
        EndInOrder(app),
        loop="uvloop",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=MOST_BYTES,
        # Small messages; a dictionary for each connection costs more than it saves.
        ws_per_message_deflate=False,
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        # Only the front is reached by others, and it says whom it speaks for.
        proxy_headers=name != "front",
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_watch, args=(lifeline, server), daemon=True).start()
    server.run(sockets=[socket.socket(fileno=descriptor)])
    return 0 if server.started else 1


def _take_files() -> None:
    """Take as many open files as may be taken: each connection is one, and who has no key can open them too."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now == resource.RLIM_INFINITY or now >= enough:
        return
    # Some systems allow fewer than they say.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


def _watch(lifeline: int, server: uvicorn.Server) -> None:
    """Stop the server once the supervisor has ended, however it ended."""
    while os.read(lifeline, 1):
        pass
    server.should_exit = True
    time.sleep(_DRAIN_SECONDS + 5)
    os._exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=_APPS)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    given = parser.parse_args()
    sys.exit(serve(given.name, given.fd, given.lifeline))
