"""Connections made step by step, so that each step can be timed and named: DNS, TCP, proxy, TLS."""

import os
import queue
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cli.network.model import StepFailed
from services.marketdata.feeds.routing import Route, RouteError, open_socket

_LONGEST_ANSWER = 16 * 1024
# What OpenSSL calls the ways a certificate can be wrong, and what is to be done.
_CERTIFICATES = {
    9: "it is not valid yet: is this machine's clock right?",
    10: "it has expired: the source must renew it; is this machine's clock right?",
    18: "it is signed by itself: name its authority by --ca-file if it is yours",
    19: "its authority is not trusted here: name it by --ca-file if it is yours",
    20: "its authority is not trusted here: name it by --ca-file if it is yours; or somebody in between answers",
    62: "it is another host's: a wrong URL, or somebody in between answers (a proxy, a captive portal)",
}
_PROXY_HINTS = {
    403: "the proxy refuses this host: have it allowed",
    407: "the proxy wants a user and a password: TRADING_PROXY_URL=http://user:password@host:port",
    502: "the proxy cannot reach the source itself",
    503: "the proxy cannot reach the source itself",
    504: "the proxy cannot reach the source itself",
}

Address = tuple[Any, Any, int, str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that each step may take, and certificates to trust beside the usual ones."""

    seconds: float = 10.0
    ca_file: Path | None = None


def resolve(host: str, port: int, seconds: float) -> list[Address]:
    """Return the addresses of a host. Raises StepFailed."""
    answers: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    # The system's resolver has time limits of its own and cannot be stopped.
    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except queue.Empty:
        raise StepFailed(f"no answer within {seconds:g} s", "is the resolver reachable (/etc/resolv.conf)?") from None
    if isinstance(found, OSError):
        hint = "is the name right? If others resolve, it does not exist; if none does, the resolver is away"
        raise StepFailed(f"{host} cannot be resolved: {found.strerror or found}", hint)
    return found


def connect(addresses: list[Address], route: Route, seconds: float) -> tuple[socket.socket, str]:
    """Return a connection to the first address that answers, and that address. Raises StepFailed."""
    failures = []
    for family, kind, protocol, _, address in addresses[:4]:
        try:
            made = open_socket(family, kind, protocol, route.interface)
        except RouteError as error:
            raise StepFailed(str(error), "bring the VPN up; nothing goes out past it") from None
        except OSError as error:
            failures.append(f"{address[0]}: {error.strerror}")
            continue
        try:
            made.settimeout(seconds)
            made.connect(address)
        except OSError as error:
            made.close()
            timed_out = isinstance(error, TimeoutError)
            failures.append(f"{address[0]}: {'no answer' if timed_out else error.strerror or error}")
        else:
            return made, str(address[0])
    refused = any("refused" in failure.lower() for failure in failures)
    hint = (
        "nothing listens there: is the port right, is it running?"
        if refused
        else "a firewall drops it, or the host is away: try another network, or the proxy (TRADING_PROXY_URL)"
    )
    raise StepFailed("; ".join(failures), hint)


def through_proxy(made: socket.socket, proxy: str, host: str, port: int, seconds: float) -> int:
    """Ask a proxy for a tunnel to a host; return its status. Raises StepFailed."""
    parts = urlsplit(proxy)
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(login.encode()).decode()}")
    answer = b""
    with ended_after(made, seconds):
        made.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_ANSWER:
            try:
                # One at a time: what follows the answer belongs to the source.
                byte = made.recv(1)
            except OSError:
                byte = b""
            if not byte:
                raise StepFailed("the proxy gave no answer to CONNECT", "is it an HTTP proxy, and is its port right?")
            answer += byte
    words = answer.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise StepFailed("what answers is no HTTP proxy", "is its port right? A SOCKS proxy is not supported")
    status = int(words[1])
    if status // 100 != 2:
        raise StepFailed(f"the proxy answered {status} to CONNECT", _PROXY_HINTS.get(status, "ask who runs the proxy"))
    return status


def secure(made: socket.socket, host: str, limits: Limits) -> ssl.SSLSocket:
    """Return the connection after its TLS handshake, its certificate checked. Raises StepFailed."""
    try:
        context = ssl.create_default_context()
        if limits.ca_file is not None:
            context.load_verify_locations(limits.ca_file)
    except OSError as error:
        raise StepFailed(f"{limits.ca_file} cannot be read: {error.strerror or error}") from None
    try:
        with ended_after(made, limits.seconds):
            return context.wrap_socket(made, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        hint = _CERTIFICATES.get(error.verify_code, "ask who runs the source")
        raise StepFailed(f"the certificate is not good: {error.verify_message}", hint) from None
    except TimeoutError:
        raise StepFailed(*_silent(limits.seconds)) from None
    except ssl.SSLError as error:
        hint = "is this the port of https? Or the server knows only TLS before 1.2"
        raise StepFailed(f"no handshake: {error.reason or error}", hint) from None
    except OSError as error:
        raise StepFailed(f"cut off: {error.strerror or error}", "a firewall may cut off what it inspects") from None


@contextmanager
def ended_after(made: socket.socket, seconds: float) -> Iterator[None]:
    """Cut a connection off that takes longer: a server that sends a byte now and then resets every other limit.

    Raises TimeoutError where it did.
    """
    handle, late = socket.socket(fileno=os.dup(made.fileno())), threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds * 1.5, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except OSError as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
        timer.join()
        handle.close()
    if late.is_set():
        # To whoever reads, a cut is an end like any other.
        raise TimeoutError


def _silent(seconds: float) -> tuple[str, str]:
    return f"no answer within {seconds:g} s", "it takes connections and says nothing: overloaded, or not this port"
