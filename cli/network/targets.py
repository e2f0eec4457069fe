"""Where sources and Keelson's own services answer, and where an exchange says what time it is."""

from collections.abc import Sequence

from cli.network.model import Target
from services.marketdata.settings import FeedSettings

_MILLISECOND, _NANOSECOND, _SECOND = 1e-3, 1e-9, 1.0
# Exchanges that tell the time to better than the second a Date header has: base URL, path, where it is, its unit.
_EXCHANGES: dict[str, tuple[str, str, tuple[str | int, ...], float]] = {
    "binance": ("https://api.binance.com", "/api/v3/time", ("serverTime",), _MILLISECOND),
    "binanceusdm": ("https://fapi.binance.com", "/fapi/v1/time", ("serverTime",), _MILLISECOND),
    "bitget": ("https://api.bitget.com", "/api/v2/public/time", ("data", "serverTime"), _MILLISECOND),
    "bybit": ("https://api.bybit.com", "/v5/market/time", ("result", "timeNano"), _NANOSECOND),
    "coinbaseexchange": ("https://api.exchange.coinbase.com", "/time", ("epoch",), _SECOND),
    "gate": ("https://api.gateio.ws", "/api/v4/spot/time", ("server_time",), _MILLISECOND),
    "kucoin": ("https://api.kucoin.com", "/api/v1/timestamp", ("data",), _MILLISECOND),
    "okx": ("https://www.okx.com", "/api/v5/public/time", ("data", 0, "ts"), _MILLISECOND),
}


def targets(settings: FeedSettings, asked: Sequence[str], services: bool) -> list[Target]:
    """Return what is to be looked at: URLs and sources that were asked for, else those of the settings."""
    names = list(asked) or ([] if services else settings.sources)
    found = [_by_url(name) if "://" in name else _of_source(name, settings) for name in names]
    return found + (_of_keelson(settings) if services else [])


def _by_url(url: str) -> Target:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return Target(host, f"{scheme}://{host}", slash + path or "/")


def _of_source(name: str, settings: FeedSettings) -> Target:
    override = settings.source_urls.get(name)
    exchange = name.removeprefix("ccxt.") if name.startswith("ccxt.") else ""
    if exchange in _EXCHANGES:
        url, path, time_at, unit = _EXCHANGES[exchange]
        return Target(name, override or url, path, time_at, unit)
    return Target(name, override or (_address(exchange) if exchange else None))


def _address(exchange: str) -> str | None:
    """Return the base URL that ccxt knows, None where it is not installed or knows none."""
    from services.marketdata.feeds.ccxt_exchange import address_of
    from services.marketdata.feeds.errors import FeedError

    try:
        return address_of(exchange)
    except FeedError:
        return None


def _of_keelson(settings: FeedSettings) -> list[Target]:
    shards = settings.risk_urls
    urls = {f"keelson.risk{f'.{number}' if len(shards) > 1 else ''}": url for number, url in enumerate(shards)}
    urls |= {
        "keelson.marketdata": settings.marketdata_url,
        "keelson.ml": settings.ml_url,
        "keelson.reporting": settings.reporting_url,
    }
    return [Target(name, url, "/healthz") for name, url in urls.items()]
