"""Settings of the sources: what is taken, and what is refused with its name and without its value."""

import os

import pytest

from services.marketdata.settings import FeedSettings, MarketdataSettings
from services.ml.settings import MlSettings
from services.risk.settings import RiskSettings
from shared.settings import AppSettings, SettingsError, load_settings

pytestmark = pytest.mark.unit

OF_THE_DESK = {
    "TRADING_PRIMARY_SOURCE": "ccxt.binance",
    "TRADING_VPN": "wg0",
    "TRADING_PROXY_URL": "http://proxy.desk:3128",
    "TRADING_CHINA_DIRECT": "1",
    "TRADING_CONNECTION_TIMEOUT": "4",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith("TRADING_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TRADING_DATABASE_URL", "postgresql://keelson:bTq8-wv2Nf0zLr@db/keelson")
    monkeypatch.setenv("TRADING_REDIS_URL", "redis://redis:6379/0")
    return monkeypatch


@pytest.mark.parametrize("cls", [AppSettings, RiskSettings, MlSettings, MarketdataSettings, FeedSettings])
def test_one_env_with_all_of_them_serves_every_service(cls: type[AppSettings], environment: pytest.MonkeyPatch) -> None:
    for name, value in OF_THE_DESK.items():
        environment.setenv(name, value)
    environment.setenv("TRADING_MARKETDATA_OUTBOX_SECONDS", "1")
    load_settings(cls)


def test_they_are_read(environment: pytest.MonkeyPatch) -> None:
    for name, value in OF_THE_DESK.items():
        environment.setenv(name, value)
    environment.setenv("TRADING_MARKETDATA_SOURCES", " ccxt.okx , ccxt.binance,ccxt.okx")
    environment.setenv("TRADING_MARKETDATA_SYMBOLS", "BTCUSDT=BTC/USDT, ETHUSDT")
    environment.setenv("TRADING_MARKETDATA_KINDS", "ticks,bars")
    environment.setenv("TRADING_MARKETDATA_INTERVALS", "1d,1m")
    environment.setenv("TRADING_MARKETDATA_SOURCE_URLS", "ccxt.okx=https://mirror.desk/")
    settings = load_settings(MarketdataSettings)
    assert settings.sources == ["ccxt.binance", "ccxt.okx"]
    assert settings.symbols == {"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETHUSDT"}
    assert (settings.kinds, settings.intervals) == (["bars", "ticks"], ["1m", "1d"])
    assert settings.source_urls == {"ccxt.okx": "https://mirror.desk"}
    assert (settings.vpn, settings.china_direct, settings.connection_timeout) == ("wg0", True, 4)


@pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
def test_no_vpn(value: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_VPN", value)
    assert load_settings(FeedSettings).vpn is None


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("TRADING_VPN", "true", "name the network interface"),
        ("TRADING_VPN", "wg0; rm -rf", "not the name of a network interface"),
        ("TRADING_PROXY_URL", "socks5://user:hunter2@p:1080", "must be http://host:port"),
        ("TRADING_PROXY_URL", "proxy:3128", "must be http://host:port"),
        ("TRADING_CONNECTION_TIMEOUT", "0", "greater than 0"),
        ("TRADING_PRIMARY_SOURCE", "a b", "pattern"),
        ("TRADING_MARKETDATA_SOURCES", "ok,not ok", "must be names of sources"),
        ("TRADING_MARKETDATA_SOURCE_URLS", "a=ftp://b", "must be an http"),
        ("TRADING_MARKETDATA_SYMBOLS", "btc/usdt", "must be symbols"),
        ("TRADING_MARKETDATA_KINDS", "bars,news", "must be of bars"),
        ("TRADING_MARKETDATA_INTERVALS", "2m", "must be of 1m"),
    ],
)
def test_a_bad_value_is_named_and_not_shown(name: str, value: str, named: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=named) as caught:
        load_settings(MarketdataSettings)
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_proxy_here_cannot_be_reached_through_a_vpn(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_VPN", "wg0")
    environment.setenv("TRADING_PROXY_URL", "http://127.0.0.1:7890")
    with pytest.raises(SettingsError, match="TRADING_PROXY_URL is on this machine"):
        load_settings(FeedSettings)
