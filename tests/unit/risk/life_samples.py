"""What a life is made of: instruments, prices, limits, kill switches."""

from decimal import Decimal

from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.kill_switches import KillScope
from shared.schemas.limits import Limits
from tests.unit.risk.desk import wide

EURO = Instrument(
    symbol="EURO", currency="EUR", asset_class=AssetClass.EQUITY, sector="cars", tick_size=Decimal("0.01")
)
EUFUT = Instrument(
    symbol="EUFUT",
    currency="EUR",
    asset_class=AssetClass.FUTURE,
    tick_size=Decimal("0.5"),
    multiplier=Decimal(10),
    margined=True,
)
CALL = Instrument(
    symbol="CALL",
    currency="USD",
    asset_class=AssetClass.OPTION,
    sector="cars",
    tick_size=Decimal("0.01"),
    multiplier=Decimal(100),
    underlying="STOCK",
)
STOCK = Instrument(
    symbol="STOCK", currency="USD", asset_class=AssetClass.EQUITY, sector="cars", tick_size=Decimal("0.01")
)
RATES = [
    Instrument(symbol=symbol, currency=symbol[-3:], asset_class=AssetClass.FX, tick_size=Decimal("0.0001"))
    for symbol in ("EUR/USD", "USD/EUR")
]
TRADED = {each.symbol: each for each in (STOCK, CALL, EURO, EUFUT)}
SHARES = {"STOCK": 1, "CALL": 30, "EURO": 1, "EUFUT": 10}
PRICES = {"STOCK": 100, "CALL": 5, "EURO": 40, "EUFUT": 400}
STRATEGIES = ("trend", "carry")
PARENTS = {"parent-1": Decimal(60), "parent-2": Decimal(300)}
LIMITS = (
    wide(max_position_fraction=3, max_mark_age_seconds=86_400, fill_doubt_fraction=0.05),
    wide(
        max_position_fraction=0.4,
        max_leverage=1,
        max_gross_exposure=1.5,
        max_net_exposure=0.8,
        max_mark_age_seconds=86_400,
    ),
    Limits(
        max_position_fraction=1,
        max_sector_fraction=1,
        max_asset_class_fraction=2,
        breaker_cool_down_seconds=30,
        max_mark_age_seconds=86_400,
    ),
    wide(
        max_turnover=4,
        max_mark_age_seconds=86_400,
        max_intraday_position_fraction=0.5,
        max_daily_loss_fraction=0.1,
        kill_margin=1.5,
        fill_doubt_fraction=0.01,
    ),
)
# What is held is beyond these, so that the level is RED.
SMALL = wide(max_position_fraction=0.001, max_mark_age_seconds=86_400)
SCOPES = (
    (KillScope.FIRM, None),
    (KillScope.ACCOUNT, "main"),
    (KillScope.STRATEGY, "trend"),
    (KillScope.SYMBOL, "EUFUT"),
)
