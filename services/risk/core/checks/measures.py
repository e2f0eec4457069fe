"""Measures with a limit: how much each is with the order, how much it was before, and how much it may be.

They are taken all at once, as tuples in the order of `MEASURES`: comparing and dividing those costs a fraction of what
a call for each would. A measure passes where it is at most its cap; both are whole numbers of one scale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.risk.core.checks.case import Case
from services.risk.core.state import Account
from services.risk.core.units import SCALE, SCALE2
from shared.schemas.decisions import Unit
from shared.schemas.denials import DenialCode


@dataclass(frozen=True, slots=True)
class Measure:
    """What a breach of a measure is called, and how it is shown: as a share of `base`."""

    code: DenialCode
    what: str
    unit: Unit
    base: Callable[[Account], int]


def _equity(scale: int) -> Callable[[Account], int]:
    return lambda account: account.equity * scale


def _start(scale: int) -> Callable[[Account], int]:
    return lambda account: account.start_of_day_equity * scale


# In the order of the tuples of `with_order`, `before` and `Caps.shared`.
MEASURES: Final[tuple[Measure, ...]] = (
    Measure(DenialCode.POSITION_LIMIT, "position in the symbol", Unit.OF_EQUITY, _equity(1)),
    Measure(DenialCode.SECTOR_LIMIT, "positions in the sector", Unit.OF_EQUITY, _equity(1)),
    Measure(DenialCode.ASSET_CLASS_LIMIT, "positions in the asset class", Unit.OF_EQUITY, _equity(1)),
    Measure(DenialCode.GROSS_EXPOSURE_LIMIT, "gross exposure", Unit.OF_EQUITY, _equity(1)),
    Measure(DenialCode.NET_EXPOSURE_LIMIT, "net exposure", Unit.OF_EQUITY, _equity(SCALE2)),
    Measure(DenialCode.LEVERAGE_LIMIT, "margined notional", Unit.OF_EQUITY, _equity(1)),
    Measure(
        DenialCode.INTRADAY_POSITION_LIMIT,
        "change of the position today",
        Unit.OF_START_OF_DAY_EQUITY,
        _start(SCALE2),
    ),
    Measure(DenialCode.TURNOVER_LIMIT, "turnover today", Unit.OF_START_OF_DAY_EQUITY, _start(SCALE2)),
    Measure(DenialCode.BUYING_POWER, "initial margin", Unit.OF_EQUITY, _equity(SCALE)),
    Measure(DenialCode.DAILY_LOSS_LIMIT, "loss of the day", Unit.OF_START_OF_DAY_EQUITY, _start(1)),
    Measure(
        DenialCode.DRAWDOWN_LIMIT,
        "fall from the high-water mark",
        Unit.OF_HIGH_WATER_MARK,
        lambda account: account.high_water_mark,
    ),
)


def with_order(case: Case) -> tuple[int, ...]:
    """Return the measures as they would be at the worst that open orders and this one can lead to.

    Position, sector, asset class, gross exposure, net exposure (all buys filled and no sells, or the reverse),
    margined notional, change of the position since the day began, turnover, initial margin, loss of the day, fall
    from the high-water mark. What an instrument takes no part in is 0. What reduces counts neither as a change of
    the position nor as turnover: nobody is kept in a position for having held it since yesterday.
    """
    account, held, terms, growth = case.account, case.position, case.terms, case.growth
    low, high, change = account.low, account.high, case.adds * case.direction
    if case.buy == (change >= 0):
        high += abs(change)
    else:
        low -= abs(change)
    day = held.day_start
    up, down, turnover = held.quantity + held.open_buy - day, day - held.quantity + held.open_sell, account.turnover
    if not case.reduces:
        turnover += case.adds_worth
        if case.buy:
            up += case.adds
        else:
            down += case.adds
    return (
        case.worst_after,
        0 if terms.sector is None else account.sectors.get(terms.sector, 0) + growth,
        account.asset_classes.get(terms.asset_class, 0) + growth,
        account.gross + growth,
        high if high > -low else -low,
        account.leverage + growth if terms.margined else 0,
        (up if up > down else down) * case.exposure,
        turnover + account.open_value,
        account.margin + growth * terms.margin,
        account.start_of_day_equity - account.equity,
        account.high_water_mark - account.equity,
    )


def before(case: Case) -> tuple[int, ...]:
    """Return the measures as they are without the order, at the worst that open orders can lead to."""
    account, held, terms = case.account, case.position, case.terms
    return (
        held.worst,
        0 if terms.sector is None else account.sectors.get(terms.sector, 0),
        account.asset_classes.get(terms.asset_class, 0),
        account.gross,
        max(account.high, -account.low),
        account.leverage if terms.margined else 0,
        max(held.highest - held.day_start, held.day_start - held.lowest) * case.exposure,
        account.turnover + account.open_value,
        account.margin,
        account.start_of_day_equity - account.equity,
        account.high_water_mark - account.equity,
    )
