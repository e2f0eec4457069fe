"""Open an exchange of ccxt: by which way it is reached, and what its numbers are.

The library is an extra: it is imported here, when a source of it is opened, and takes a second and 50 MB.
"""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.marketdata.feeds.ccxt_rows import exact
from services.marketdata.feeds.errors import FeedError, Unsupported
from services.marketdata.feeds.routing import DIRECT, Route, open_socket


@dataclass(frozen=True, slots=True)
class Reach:
    """How an exchange is reached: seconds a request may take, another base URL, the way there, certificates."""

    timeout: float = 10.0
    url: str | None = None
    route: Callable[[str], Route] = field(default=lambda _: DIRECT)
    ca_file: Path | None = None


def open_exchange(exchange_id: str, swaps: bool, reach: Reach) -> Any:
    """Return an exchange whose session the caller closes; `swaps` where perpetuals are asked for too.

    ccxt turns the numbers in an answer into floats; here it leaves them the text they came as (`number = str`), so
    that a price is the exchange's own digits and no float was in between.
    Raises FeedError where ccxt is not installed, Unsupported where it does not know the exchange.
    """
    ccxt, kind = _known(exchange_id)
    route = reach.route(_host(reach.url or _base_url(kind())))
    config: dict[str, Any] = {
        "enableRateLimit": True,
        "timeout": int(reach.timeout * 1000),
        "number": str,
        "enableLastResponseHeaders": True,
        "aiohttp_trust_env": False,
        # Of an exchange that has many kinds of markets, those that are asked for.
        "options": {"fetchMarkets": {"types": ["spot", "linear"] if swaps else ["spot"]}},
        "session": _session(route, reach.ca_file),
    }
    if route.proxy:
        config["aiohttp_proxy"] = route.proxy
    made = kind(config)
    # It needs a key, and only tells what can be withdrawn.
    made.has["fetchCurrencies"] = False

    def refuse(_: Any) -> bool:
        # Asked of a good answer that is no JSON, which ccxt would hand on as a text, and read as no rows at all.
        raise ccxt.BadResponse(f"{exchange_id} answered something that is no JSON")

    made.is_text_response = refuse
    # Levels are what ccxt makes floats of all the same; as decimals they keep their digits, and their order.
    made.parse_order_book_bid_ask = _level
    if reach.url:
        made.urls["api"] = _moved(made.urls["api"], reach.url)
    return made


def _level(level: Any, price: Any = 0, amount: Any = 1, _: Any = 2) -> list[Decimal]:
    return [exact(level[price]), exact(level[amount])]


def address_of(exchange_id: str) -> str:
    """Return an exchange's base URL. Raises FeedError as `open_exchange` does."""
    return _base_url(_known(exchange_id)[1]())


def _known(exchange_id: str) -> tuple[Any, Any]:
    try:
        import ccxt.async_support as ccxt
    except ImportError as error:
        raise FeedError("ccxt is not installed: pip install -r requirements/feeds.lock") from error
    kind = getattr(ccxt, exchange_id, None)
    if exchange_id not in ccxt.exchanges or kind is None:
        raise Unsupported(f"ccxt knows no exchange {exchange_id!r}")
    return ccxt, kind


async def close_exchange(exchange: Any) -> None:
    """Close an exchange and the session it was given."""
    session = exchange.session
    # ccxt waits here for connections of its own; it has none.
    exchange.timeout_on_exit = 0
    await exchange.close()
    if session is not None:
        await session.close()


def _session(route: Route, ca_file: Path | None) -> Any:
    import aiohttp

    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)

    def bound(address: Any) -> socket.socket:
        family, kind, protocol = address[:3]
        return open_socket(family, kind, protocol, route.interface)

    connector = aiohttp.TCPConnector(ssl=context, limit=8, socket_factory=bound)
    return aiohttp.ClientSession(connector=connector, trust_env=False)


def _base_url(exchange: Any) -> str:
    """Return the first base URL of an exchange, for the rules of routing: all are of one company."""
    urls = exchange.urls.get("api")
    while isinstance(urls, dict):
        urls = urls.get("public") or urls.get("rest") or next(iter(urls.values()))
    return exchange.implode_params(urls, {"hostname": exchange.hostname or ""}) if urls else ""


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]


def _moved(urls: Any, base: str) -> Any:
    """Return the URLs of an exchange with another scheme and host, their paths unchanged."""
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    path = str(urls).partition("://")[2].partition("/")[2]
    return f"{base}/{path}" if path else base
