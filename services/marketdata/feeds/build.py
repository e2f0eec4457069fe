"""Make the connectors and the manager that the settings ask for."""

from dataclasses import replace
from datetime import datetime

from services.marketdata.feeds.caller import CallPolicy
from services.marketdata.feeds.ccxt_connector import CcxtConnector, CcxtPlan
from services.marketdata.feeds.ccxt_exchange import Reach
from services.marketdata.feeds.connector import Connector
from services.marketdata.feeds.http_push import HttpPushConnector
from services.marketdata.feeds.manager import Manager, Wiring
from services.marketdata.feeds.replay_connector import ReplayConnector
from services.marketdata.feeds.routing import routing_of
from services.marketdata.settings import MarketdataSettings
from shared.clock import Clock
from shared.settings import SettingsError

CCXT, REPLAY = "ccxt.", "replay."
# Opening an exchange is several requests, each of which may take its time.
_REQUESTS_A_CALL = 3


def build_manager(settings: MarketdataSettings, clock: Clock, wiring: Wiring) -> Manager:
    """Return the manager of the sources in the settings; of none where there are none.

    Raises SettingsError where what a source needs is not set.
    """
    policy = CallPolicy(
        seconds=settings.connection_timeout * _REQUESTS_A_CALL,
        rate=settings.marketdata_calls_per_second,
        burst=max(1, round(settings.marketdata_calls_per_second)),
    )

    def waited(name: str, since: datetime, now: datetime) -> float:
        # What was recorded long ago is not late.
        return 0.0 if name.startswith(REPLAY) else wiring.waited(name, since, now)

    return Manager(connectors(settings, clock), clock, replace(wiring, waited=waited), policy)


def connectors(settings: MarketdataSettings, clock: Clock) -> list[Connector]:
    """Return the connectors of the sources in the settings, in the order they are preferred."""
    return [_connector(name, settings, clock) for name in settings.sources]


def _connector(name: str, settings: MarketdataSettings, clock: Clock) -> Connector:
    if name.startswith(CCXT):
        return _exchange(name, settings, clock)
    return _replay(name, settings, clock) if name.startswith(REPLAY) else HttpPushConnector(name)


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


def _replay(name: str, settings: MarketdataSettings, clock: Clock) -> Connector:
    from services.marketdata.formats.dataset import FormatError
    from services.marketdata.formats.discover import discover

    folder = settings.marketdata_replay_folder
    if folder is None:
        raise SettingsError([f"TRADING_MARKETDATA_REPLAY_FOLDER must be set: {name} is to be replayed"])
    try:
        found = discover(folder)
    except FormatError as error:
        raise SettingsError([f"TRADING_MARKETDATA_REPLAY_FOLDER: {error}"]) from None
    wanted = name.removeprefix(REPLAY)
    # By its name one dataset is replayed; by any other name, all of them together.
    chosen = [dataset for dataset in found if dataset.name == wanted] or found
    return ReplayConnector(name, chosen, clock, speed=settings.marketdata_replay_speed, simulation_id=name)
