"""Look at one target: by which way, DNS, TCP, proxy, TLS, HTTP and the clock, each timed and judged."""

import http.client
import json
import socket
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cli.network.model import STEPS, Report, Step, StepFailed, Target, Verdict
from cli.network.wire import Address, Limits, connect, ended_after, resolve, secure, through_proxy
from services.marketdata.core.thresholds import DEFAULTS
from services.marketdata.feeds.routing import DIRECT, Route, RouteError, Routing, interface_address
from shared.clock import Clock
from shared.version import VERSION

T = TypeVar("T")
_DAY = 86_400.0
_EXPIRES_SOON_DAYS = 14
_LONGEST_BODY = 64 * 1024
# A Date header tells the second that has begun.
_HALF_A_SECOND = 0.5
_HTTP_HINTS = {
    401: "it wants a key for this address",
    403: "it refuses this machine: a wrong region, a blocked address, or a firewall in front of it",
    404: "it is there and has no such page: is the URL right?",
    418: "it has banned this address for asking too often: wait",
    429: "it was asked too often: wait, and lower TRADING_MARKETDATA_CALLS_PER_SECOND",
    451: "it does not serve this region: reach it through TRADING_VPN or TRADING_PROXY_URL from one it serves",
}
_CLOCK_HINT = "set this machine's clock by NTP (chronyc tracking, timedatectl); if it is right, the source's is wrong"


@dataclass(slots=True)
class _Answer:
    """What came of a request: when it went out and its headers came in, by this machine's clock, in seconds."""

    status: int
    date: str | None
    body: bytes
    sent: float
    received: float


def probe(target: Target, routing: Routing, limits: Limits, clock: Clock) -> Report:
    """Return how a target is reached; what needs a step that failed is skipped."""
    if target.url is None:
        hint = "it pushes, or its address is not known: TRADING_MARKETDATA_SOURCE_URLS names one"
        return Report(target, "none", [Step("route", Verdict.SKIPPED, "nothing to reach", hint=hint)])
    looking = _Looking(target, target.url, routing, limits, clock)
    steps = looking.steps()
    done = {step.name for step in steps}
    missing = [Step(name, Verdict.SKIPPED, "not reached") for name in STEPS if name not in done]
    return Report(target, str(looking.route), sorted([*steps, *missing], key=lambda step: STEPS.index(step.name)))


class _Looking:
    """One look at one target; the connection goes from step to step."""

    def __init__(self, target: Target, url: str, routing: Routing, limits: Limits, clock: Clock) -> None:
        parts = urlsplit(url)
        self._target = target
        self._limits = limits
        self._clock = clock
        self._https = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._netloc = parts.netloc.rpartition("@")[2]
        self._port = parts.port or (443 if self._https else 80)
        self._path = parts.path.rstrip("/") + target.path
        self.route: Route = routing.route(self._host) if self._host else DIRECT
        self._done: list[Step] = []

    def steps(self) -> list[Step]:
        """Return the steps up to the first that failed."""
        made: socket.socket | None = None
        try:
            self._timed("route", self._way)
            addresses = self._timed("dns", self._names)
            made = self._timed("tcp", lambda: self._connected(addresses))
            if self.route.proxy is not None:
                proxy, plain = self.route.proxy, made
                self._timed("proxy", lambda: self._tunnel(plain, proxy))
            else:
                self._add(Step("proxy", Verdict.SKIPPED, "none"))
            if self._https:
                bare = made
                made = self._timed("tls", lambda: self._secured(bare))
            else:
                self._add(Step("tls", Verdict.SKIPPED, "plain http"))
            whole = made
            answer = self._timed("http", lambda: self._asked(whole))
            self._add(self._judge_clock(answer))
        except StepFailed:
            pass
        finally:
            if made is not None:
                made.close()
        return self._done

    def _timed(self, name: str, work: Callable[[], tuple[Step, T]]) -> T:
        began = perf_counter()
        try:
            step, value = work()
        except (StepFailed, OSError) as error:
            took = (perf_counter() - began) * 1000
            failure = error if isinstance(error, StepFailed) else StepFailed(f"{type(error).__name__} {error}".strip())
            self._add(Step(name, Verdict.FAILED, failure.detail, took, failure.hint))
            raise failure from None
        took = (perf_counter() - began) * 1000 if step.milliseconds is None else step.milliseconds
        self._add(Step(name, step.verdict, step.detail, took, step.hint, step.data))
        return value

    def _add(self, step: Step) -> None:
        self._done.append(step)

    def _way(self) -> tuple[Step, None]:
        if self.route.interface is not None:
            try:
                address = interface_address(self.route.interface)
            except RouteError as error:
                raise StepFailed(str(error), "bring the VPN up; nothing goes out past it") from None
            return Step("route", Verdict.OK, f"{self.route} ({address})"), None
        return Step("route", Verdict.OK, str(self.route)), None

    def _names(self) -> tuple[Step, list[Address]]:
        host, port, whose = self._host, self._port, ""
        if self.route.proxy is not None:
            parts = urlsplit(self.route.proxy)
            host, port, whose = parts.hostname or "", parts.port or 80, "the proxy; it resolves the source itself: "
        found = resolve(host, port, self._limits.seconds)
        shown = list(dict.fromkeys(str(each[4][0]) for each in found))
        return Step("dns", Verdict.OK, whose + ", ".join(shown[:4]), data={"addresses": len(shown)}), found

    def _connected(self, addresses: list[Address]) -> tuple[Step, socket.socket]:
        made, address = connect(addresses, self.route, self._limits.seconds)
        return Step("tcp", Verdict.OK, address), made

    def _tunnel(self, made: socket.socket, proxy: str) -> tuple[Step, None]:
        status = through_proxy(made, proxy, self._host, self._port, self._limits.seconds)
        return Step("proxy", Verdict.OK, f"CONNECT {status}"), None

    def _secured(self, made: socket.socket) -> tuple[Step, ssl.SSLSocket]:
        began = perf_counter()
        secured = secure(made, self._host, self._limits)
        took = (perf_counter() - began) * 1000
        certificate: Any = secured.getpeercert() or {}
        expires = ssl.cert_time_to_seconds(certificate["notAfter"])
        days = (expires - self._clock.now().timestamp()) / _DAY
        protocol = secured.version() or "none"
        detail = f"{protocol}, certificate good for {days:.0f} days"
        soon = days < _EXPIRES_SOON_DAYS
        hint = "the certificate must be renewed soon" if soon else ""
        data: dict[str, float | str] = {"protocol": protocol, "expires_in_days": round(days, 2)}
        return Step("tls", Verdict.WARNING if soon else Verdict.OK, detail, took, hint, data), secured

    def _asked(self, made: socket.socket) -> tuple[Step, _Answer]:
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = made
        headers = {"Host": self._netloc, "User-Agent": f"keelson/{VERSION}", "Accept": "*/*", "Connection": "close"}
        try:
            with closing(connection), ended_after(made, self._limits.seconds):
                sent, began = self._clock.now().timestamp(), perf_counter()
                connection.request("GET", self._path, headers=headers)
                response = connection.getresponse()
                took = perf_counter() - began
                body = response.read(_LONGEST_BODY)
        except TimeoutError:
            hint = "it takes connections and says nothing: overloaded, or not this port"
            raise StepFailed(f"no answer within {self._limits.seconds:g} s", hint) from None
        except (OSError, http.client.HTTPException) as error:
            hint = "is it an HTTP server? It, or something in between, may cut off what it does not like"
            raise StepFailed(f"no HTTP answer: {type(error).__name__}", hint) from None
        answer = _Answer(response.status, response.getheader("Date"), body, sent, sent + took)
        return self._judge_answer(answer), answer

    def _judge_answer(self, answer: _Answer) -> Step:
        took = (answer.received - answer.sent) * 1000
        verdict, hint = Verdict.OK, _HTTP_HINTS.get(answer.status, "")
        if answer.status >= 500 or answer.status in {403, 418, 451}:
            verdict, hint = Verdict.FAILED, hint or "the source is in trouble itself: wait, or use another source"
        elif answer.status >= 400:
            verdict = Verdict.WARNING
        elif took >= (DEFAULTS["response_time"].warning or 0):
            verdict, hint = Verdict.WARNING, "it is slow: a far region, a crowded line, or an overloaded source"
        data: dict[str, float | str] = {"status": answer.status, "time_to_first_byte_ms": round(took, 3)}
        return Step("http", verdict, f"status {answer.status}", took, hint, data)

    def _judge_clock(self, answer: _Answer) -> Step:
        told = _server_time(self._target, answer)
        if told is None:
            return Step("clock", Verdict.SKIPPED, "the answer tells no time")
        moment, doubt, whence = told
        # As NTP does it: the server read its clock somewhere between sending and receiving.
        offset = moment - (answer.sent + answer.received) / 2
        doubt += (answer.received - answer.sent) / 2
        bands = DEFAULTS["clock_skew"]
        surely = max(0.0, abs(offset) - doubt)
        verdict = Verdict.OK
        if bands.critical is not None and surely >= bands.critical:
            verdict = Verdict.FAILED
        elif bands.warning is not None and surely >= bands.warning:
            verdict = Verdict.WARNING
        detail = f"source {offset:+.3f} s, give or take {doubt:.3f} s, by its {whence}"
        data: dict[str, float | str] = {
            "offset_seconds": round(offset, 6),
            "uncertainty_seconds": round(doubt, 6),
            "by": whence,
        }
        return Step("clock", verdict, detail, None, "" if verdict is Verdict.OK else _CLOCK_HINT, data)


def _server_time(target: Target, answer: _Answer) -> tuple[float, float, str] | None:
    """Return the server's time in seconds, what it may be off by in itself, and where it was read."""
    if target.time_at and answer.status < 400:
        with suppress(ValueError, KeyError, IndexError, TypeError):
            value: Any = json.loads(answer.body)
            for key in target.time_at:
                value = value[key]
            return float(value) * target.time_unit, target.time_unit / 2, "time"
    try:
        return parsedate_to_datetime(answer.date or "").timestamp() + _HALF_A_SECOND, _HALF_A_SECOND, "Date"
    except (ValueError, TypeError):
        return None
