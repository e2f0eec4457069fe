"""Settings of marketdata."""

from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.retention import Retention
from shared.schemas.base import Identifier, Symbol
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval
from shared.settings import AppSettings, ServiceSettings, base_urls

_NAME = TypeAdapter(Identifier)
_SYMBOL = TypeAdapter(Symbol)
_NO_VPN = frozenset({"", "0", "false", "no", "off", "none"})
_KINDS = ("bars", "ticks", "order_books", "funding_rates")
# A proxy on this machine goes out by a way of its own, which nobody here can hold to the VPN.
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _pairs(text: str) -> dict[str, str]:
    """Return `name=value` of a list; where there is no `=`, the value is the name."""
    return {name.strip(): value.strip() or name.strip() for name, _, value in (e.partition("=") for e in _listed(text))}


class FeedSettings(AppSettings):
    """Which sources of market data there are, in what order they are preferred, and how they are reached."""

    # Read by `keelson network` too, which leaves marketdata's own settings to marketdata.
    service: ClassVar[str] = ""

    primary_source: Identifier | None = Field(
        default=None, description="The source that is preferred to all others; it goes before the list of sources."
    )
    marketdata_sources: str = Field(
        default="",
        description="Sources in the order they are preferred, separated by commas: `ccxt.<exchange>` is polled, "
        "`replay.<name>` replays recorded data, any other name pushes to the ingest routes and is watched.",
    )
    marketdata_source_urls: str = Field(
        default="",
        description="Base URLs of sources, as `name=https://…`, separated by commas: a mirror of an exchange, or what "
        "`keelson network` is to look at for a source that pushes.",
    )
    marketdata_mainland_hosts: str = Field(
        default="", description="More hosts of mainland China, as the ends of their names, separated by commas."
    )
    marketdata_ca_file: Path | None = Field(
        default=None, description="Certificates (PEM) to trust for sources beside the usual ones."
    )
    vpn: str | None = Field(
        default=None,
        description="Name of the network interface of a VPN, such as `wg0`: sources are reached through it or, while "
        "it is down, not at all. Linux.",
    )
    proxy_url: str | None = Field(
        default=None, repr=False, description="HTTP proxy through which sources are reached (CONNECT), as `http://…`."
    )
    china_direct: bool = Field(
        default=False, description="Sources of mainland China are reached directly, past the VPN and the proxy."
    )
    connection_timeout: float = Field(
        default=10.0, gt=0, le=300, description="Seconds a source may take to be reached and to answer one request."
    )

    @field_validator("vpn")
    @classmethod
    def _interface(cls, value: str | None) -> str | None:
        if value is None or value.strip().lower() in _NO_VPN:
            return None
        if value.strip().lower() in {"1", "true", "yes", "on"}:
            raise ValueError("name the network interface of the VPN, such as wg0 or tun0")
        if len(value) > 15 or "/" in value or any(each.isspace() for each in value):
            raise ValueError("is not the name of a network interface")
        return value

    @field_validator("proxy_url")
    @classmethod
    def _proxy(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
            raise ValueError("must be http://host:port of an HTTP proxy")
        return value.rstrip("/")

    @field_validator("marketdata_sources")
    @classmethod
    def _sources(cls, value: str) -> str:
        try:
            return ",".join(dict.fromkeys(_NAME.validate_python(name) for name in _listed(value)))
        except ValidationError:
            raise ValueError("must be names of sources, separated by commas") from None

    @field_validator("marketdata_source_urls")
    @classmethod
    def _urls(cls, value: str) -> str:
        for url in _pairs(value).values():
            base_urls(url)
        return value

    @model_validator(mode="after")
    def _proxy_within_the_vpn(self) -> Self:
        if self.vpn and self.proxy_url and urlsplit(self.proxy_url).hostname in _THIS_MACHINE:
            raise ValueError("TRADING_PROXY_URL is on this machine and cannot be reached through TRADING_VPN; set one")
        return self

    @property
    def sources(self) -> list[str]:
        """Return the sources by name, the preferred one first."""
        first = [self.primary_source] if self.primary_source else []
        return list(dict.fromkeys([*first, *_listed(self.marketdata_sources)]))

    @property
    def source_urls(self) -> dict[str, str]:
        """Return base URLs by the names of sources."""
        return {name: url.rstrip("/") for name, url in _pairs(self.marketdata_source_urls).items()}

    @property
    def mainland_hosts(self) -> list[str]:
        """Return the ends of names of hosts in mainland China that were added to the known ones."""
        return _listed(self.marketdata_mainland_hosts)


class MarketdataSettings(FeedSettings, ServiceSettings):
    """What marketdata needs beside the settings of every service."""

    service: ClassVar[str] = "marketdata"

    marketdata_outbox_seconds: float = Field(
        default=0.5, gt=0, le=60, description="Longest pause between two looks for marks that wait to be published."
    )
    marketdata_roll_up_seconds: float = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="Pause between two looks for roll-ups out of date; of what is read they are current at once.",
    )
    marketdata_monitor_seconds: float = Field(
        default=5.0, gt=0, le=60, description="Pause between two looks at whether live data still come, and agree."
    )
    marketdata_keep_bars_days: int = Field(
        default=0, ge=0, le=36_500, description="Bars older than this are not kept; 0 keeps all."
    )
    marketdata_keep_ticks_days: int = Field(
        default=7_300, ge=0, le=36_500, description="Trades and liquidations older than this are not kept; 0 keeps all."
    )
    marketdata_keep_order_books_days: int = Field(
        default=7_300, ge=0, le=36_500, description="Order books older than this are not kept; 0 keeps all."
    )
    marketdata_keep_market_states_days: int = Field(
        default=0, ge=0, le=36_500, description="Market states older than this are not kept; 0 keeps all."
    )
    marketdata_symbols: str = Field(
        default="",
        description="Instruments to poll, separated by commas; `BTCUSDT=BTC/USDT` where a source calls it otherwise.",
    )
    marketdata_kinds: str = Field(
        default="bars", description="What is polled of them: bars, ticks, order_books, funding_rates."
    )
    marketdata_intervals: str = Field(default="1m", description="Intervals of the bars polled: 1m, 5m, 15m, 1h, 1d.")
    marketdata_poll_seconds: float = Field(
        default=5.0, ge=0.1, le=3600, description="Seconds between two polls of ticks and order books of one symbol."
    )
    marketdata_calls_per_second: float = Field(
        default=5.0, gt=0, le=1000, description="Most calls a second to one source, beside the source's own limit."
    )
    marketdata_replay_folder: Path | None = Field(default=None, description="Folder of data that `replay.…` replays.")
    marketdata_replay_speed: float = Field(
        default=1.0, ge=0, description="How many times faster than recorded; 0 is as fast as it goes."
    )

    marketdata_streams: int = Field(
        default=100, ge=1, le=10_000, description="How many may read `WS /api/v1/marketdata/stream` of one process."
    )
    marketdata_stream_symbols: int = Field(
        default=200, ge=1, le=2_000, description="Most symbols that one stream or one question for marks may name."
    )
    marketdata_stream_send_seconds: float = Field(
        default=10.0, gt=0, le=300, description="A stream whose reader takes longer for one message is closed (1013)."
    )
    marketdata_stream_heartbeat_seconds: float = Field(
        default=5.0, gt=0, le=60, description="After so many seconds without a message a stream says that it is there."
    )

    @field_validator("marketdata_symbols")
    @classmethod
    def _symbols(cls, value: str) -> str:
        try:
            for name in _pairs(value):
                _SYMBOL.validate_python(name)
        except ValidationError:
            raise ValueError("must be symbols, separated by commas") from None
        return value

    @field_validator("marketdata_kinds")
    @classmethod
    def _known_kinds(cls, value: str) -> str:
        if not set(_listed(value)) <= set(_KINDS):
            raise ValueError(f"must be of {', '.join(_KINDS)}")
        return value

    @field_validator("marketdata_intervals")
    @classmethod
    def _known_intervals(cls, value: str) -> str:
        if not set(_listed(value)) <= set(INTERVAL_LENGTH):
            raise ValueError(f"must be of {', '.join(INTERVAL_LENGTH)}")
        return value

    @property
    def symbols(self) -> dict[str, str]:
        """Return what sources call each symbol, by the symbol."""
        return _pairs(self.marketdata_symbols)

    @property
    def kinds(self) -> list[str]:
        """Return what is polled."""
        listed = _listed(self.marketdata_kinds)
        return [kind for kind in _KINDS if kind in listed]

    @property
    def intervals(self) -> list[Interval]:
        """Return the intervals of the bars that are polled."""
        listed = _listed(self.marketdata_intervals)
        return [interval for interval in INTERVAL_LENGTH if interval in listed]

    @property
    def retention(self) -> Retention:
        """Return for how long rows are kept."""
        return Retention(
            {
                Subject.BAR: self.marketdata_keep_bars_days,
                Subject.TICK: self.marketdata_keep_ticks_days,
                Subject.LIQUIDATION: self.marketdata_keep_ticks_days,
                Subject.ORDER_BOOK: self.marketdata_keep_order_books_days,
                Subject.MARKET_STATE: self.marketdata_keep_market_states_days,
            }
        )
