"""Managers out of settings."""

import pytest

from cli.paths import ROOT
from services.marketdata.feeds.build import build_manager
from services.marketdata.feeds.manager import Wiring
from services.marketdata.settings import MarketdataSettings
from shared.settings import SettingsError
from tests.conftest import MakeSettings
from tests.integration.marketdata.feeds.desk import CLOCK, running
from tests.integration.marketdata.feeds.sources import Sink, until

pytestmark = pytest.mark.integration


def test_the_sources_of_the_settings_in_their_order(make_settings: MakeSettings) -> None:
    settings = make_settings(
        MarketdataSettings,
        primary_source="nse.option_chain",
        marketdata_sources="ccxt.binance,nse.option_chain,ccxt.okx",
        marketdata_symbols="BTCUSDT=BTC/USDT",
    )
    manager = build_manager(settings, CLOCK, Wiring(Sink()))
    assert [view.source for view in manager.snapshot()] == ["nse.option_chain", "ccxt.binance", "ccxt.okx"]
    assert manager.runner("nse.option_chain") is None
    assert manager.runner("ccxt.okx") is not None


async def test_recorded_data_are_replayed_and_not_late(make_settings: MakeSettings) -> None:
    settings = make_settings(
        MarketdataSettings,
        marketdata_sources="replay.binance-btcusdt-1m",
        marketdata_replay_folder=ROOT / "data" / "sample",
        marketdata_replay_speed=0,
    )
    sink = Sink()
    manager = build_manager(settings, CLOCK, Wiring(sink))
    async with running(manager):
        await until(lambda: len(sink.batches) > 1)
        await manager.look()
        (view,) = manager.snapshot()
    assert view.components["stale_age"] == 1.0
    assert {batch.simulation_id for batch in sink.batches} == {"replay.binance-btcusdt-1m"}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"marketdata_sources": "ccxt.binance"}, "TRADING_MARKETDATA_SYMBOLS must be set"),
        ({"marketdata_sources": "replay.x"}, "TRADING_MARKETDATA_REPLAY_FOLDER must be set"),
        ({"marketdata_sources": "replay.x", "marketdata_replay_folder": "nowhere"}, "no such folder"),
    ],
)
def test_what_is_missing_is_named(make_settings: MakeSettings, values: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        build_manager(make_settings(MarketdataSettings, **values), CLOCK, Wiring(Sink()))
