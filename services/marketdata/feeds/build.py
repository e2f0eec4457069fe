"""Make the connectors and the manager that the settings ask for."""

from dataclasses import replace
from datetime import datetime

from services.marketdata.core.thresholds import DEFAULTS, Thresholds
from services.marketdata.feeds.caller import CallPolicy
from services.marketdata.feeds.ccxt_connector import CcxtConnector, CcxtPlan
from services.marketdata.feeds.ccxt_exchange import Reach
from services.marketdata.feeds.connector import Connector
from services.marketdata.feeds.http_push import HttpPushConnector
from services.marketdata.feeds.manager import Manager, Wiring
from services.marketdata.feeds.recording import ThresholdsOf, WatchedStream
from services.marketdata.feeds.replay_connector import ReplayConnector
from services.marketdata.feeds.routing import routing_of
from services.marketdata.settings import MarketdataSettings
from shared.clock import Clock
from shared.settings import SettingsError

CCXT, REPLAY = "ccxt.", "replay."
# Opening an exchange is several requests, each of which may take its time.
_REQUESTS_A_CALL = 3


async def _defaults(_: str) -> Thresholds:
    return DEFAULTS


def build_manager(
    settings: MarketdataSettings, clock: Clock, wiring: Wiring, thresholds_of: ThresholdsOf = _defaults
) -> Manager:
    """Return the manager of the sources in the settings; of none where there are none.

    `thresholds_of` says by which bands the raw streams of a symbol are judged. Raises SettingsError where what a source
    needs is not set.
    """
    policy = CallPolicy(
        seconds=settings.connection_timeout * _REQUESTS_A_CALL,
        rate=settings.marketdata_calls_per_second,
        burst=max(1, round(settings.marketdata_calls_per_second)),
    )

    def waited(name: str, since: datetime, now: datetime) -> float:
        # What was recorded long ago is not late.
        return 0.0 if name.startswith(REPLAY) else wiring.waited(name, since, now)

    return Manager(connectors(settings, clock, thresholds_of), clock, replace(wiring, waited=waited), policy)


def connectors(settings: MarketdataSettings, clock: Clock, thresholds_of: ThresholdsOf) -> list[Connector]:
    """Return the connectors of the sources in the settings, in the order they are preferred."""
    return [_connector(name, settings, clock, thresholds_of) for name in settings.sources]


def _connector(name: str, settings: MarketdataSettings, clock: Clock, thresholds_of: ThresholdsOf) -> Connector:
    if name.startswith(CCXT):
        return _exchange(name, settings, clock)
    return _replay(name, settings, clock, thresholds_of) if name.startswith(REPLAY) else HttpPushConnector(name)


def _exchange(name: str, settings: MarketdataSettings, clock: Clock) -> Connector:
    if not settings.symbols:
        raise SettingsError([f"TRADING_MARKETDATA_SYMBOLS must be set: {name} is to be polled"])
    plan = CcxtPlan(
        name.removeprefix(CCXT), settings.symbols, settings.kinds, settings.intervals, settings.marketdata_poll_seconds
    )
    reach = Reach(
        settings.connection_timeout,
        settings.source_urls.get(name),
        routing_of(settings).route,
        settings.marketdata_ca_file,
    )
    return CcxtConnector(name, plan, reach, clock)


def _replay(name: str, settings: MarketdataSettings, clock: Clock, thresholds_of: ThresholdsOf) -> Connector:
    from services.marketdata.formats.dataset import FormatError
    from services.marketdata.formats.discover import discover_all

    folder = settings.marketdata_replay_folder
    if folder is None:
        raise SettingsError([f"TRADING_MARKETDATA_REPLAY_FOLDER must be set: {name} is to be replayed"])
    try:
        found = discover_all(folder)
    except FormatError as error:
        raise SettingsError([f"TRADING_MARKETDATA_REPLAY_FOLDER: {error}"]) from None
    wanted = name.removeprefix(REPLAY)
    # By its name one dataset is replayed, by the beginning of their names those of a group, such as the trades, quotes
    # and books of one stream; by any other name, all of them together.
    group = [dataset for dataset in found if dataset.name.startswith(f"{wanted}-")]
    chosen = [dataset for dataset in found if dataset.name == wanted] or group or found
    recordings = [each if each.raw is None else WatchedStream(each, each.raw, thresholds_of) for each in chosen]
    return ReplayConnector(name, recordings, clock, speed=settings.marketdata_replay_speed, simulation_id=name)
