"""How close an account is to its limits.

Levels and breakers go by what is held, orders and the shown utilisation by the worst that open orders can make of it.
"""

from typing import Final

from services.risk.core.book import Book, book_of, reserved_book_of
from services.risk.core.breakers import tidy
from services.risk.core.state import UNUSED, Account, FirmState
from services.risk.core.units import SCALE, SCALE2, quotient
from services.risk.core.var.historical import historical
from shared.schemas.breakers import BreakerName
from shared.schemas.decisions import RiskLevel
from shared.schemas.limits import Utilisation

# What a utilisation beyond every measure is shown as: JSON has no infinity.
BEYOND: Final = 1e9
# Share of a limit in use from which the level holds.
FIRST_BAND: Final = 0.6
_BANDS: Final = ((1.0, RiskLevel.RED), (0.8, RiskLevel.ORANGE), (FIRST_BAND, RiskLevel.YELLOW))


def level_of(utilisation: float) -> RiskLevel:
    """Return the level a utilisation stands for."""
    for least, level in _BANDS:
        if utilisation >= least:
            return level
    return RiskLevel.GREEN


def share(value: int, of: int) -> float:
    """Return a value as a fraction of another, `BEYOND` where that is not positive."""
    return tidy(min(quotient(value, of), BEYOND)) if of > 0 else (BEYOND if value > 0 else 0.0)


def measures(state: FirmState, account: Account) -> dict[str, float]:
    """Return every measure that has a limit, of the positions as they are; the tail only where it is measured."""
    equity, start, high = account.equity, account.start_of_day_equity, account.high_water_mark
    sectors: dict[str, int] = {}
    classes: dict[str, int] = {}
    largest = net = 0
    for position in account.positions.values():
        now, terms = position.now, position.terms
        if not now:
            continue
        if now > largest:
            largest = now
        net += position.net
        classes[terms.asset_class] = classes.get(terms.asset_class, 0) + now
        if terms.sector is not None:
            sectors[terms.sector] = sectors.get(terms.sector, 0) + now
    found = {
        "position": share(largest, equity),
        "sector": share(max(sectors.values(), default=0), equity),
        "asset_class": share(max(classes.values(), default=0), equity),
        "gross_exposure": share(account.gross_now, equity),
        "net_exposure": share(abs(net), equity),
        "leverage": share(account.leverage_now, equity),
        "turnover": share(account.turnover, start * SCALE2),
        "daily_loss": share(max(start - equity, 0), start),
        "drawdown": share(max(high - equity, 0), high),
    }
    return _with_tail(found, book_of(state, account))


def reserved(state: FirmState, account: Account) -> dict[str, float]:
    """Return every measure that has a limit as the checks take it: at the worst that open orders can lead to."""
    equity, start, high = account.equity, account.start_of_day_equity, account.high_water_mark
    positions = account.positions.values()
    today = (max(each.highest - each.day_start, each.day_start - each.lowest) * each.exposure for each in positions)
    found = {
        "position": share(max((each.worst for each in positions), default=0), equity),
        "sector": share(max(account.sectors.values(), default=0), equity),
        "asset_class": share(max(account.asset_classes.values(), default=0), equity),
        "gross_exposure": share(account.gross, equity),
        "net_exposure": share(max(account.high, -account.low), equity * SCALE2),
        "leverage": share(account.leverage, equity),
        "initial_margin": share(account.margin, equity * SCALE),
        "intraday_position": share(max(today, default=0), start * SCALE2),
        "turnover": share(account.turnover + account.open_value, start * SCALE2),
        "daily_loss": share(max(start - equity, 0), start),
        "drawdown": share(max(high - equity, 0), high),
    }
    return _with_tail(found, reserved_book_of(state, account))


def _with_tail(found: dict[str, float], book: Book | None) -> dict[str, float]:
    """Return measures with historical VaR and ES of a book beside them, over equity."""
    if book is not None:
        tail = historical(book.pnl, book.equity, book.confidence)
        found["value_at_risk"], found["expected_shortfall"] = tail.value_at_risk, tail.expected_shortfall
    return found


def utilisations(account: Account, found: dict[str, float]) -> list[Utilisation]:
    """Return how much of every limit that is on the measures use."""
    limits = account.profile.limits
    on = {
        "position": limits.max_position_fraction,
        "sector": limits.max_sector_fraction,
        "asset_class": limits.max_asset_class_fraction,
        "gross_exposure": limits.max_gross_exposure,
        "net_exposure": limits.max_net_exposure,
        "leverage": limits.max_leverage,
        "initial_margin": 1.0,
        "intraday_position": limits.max_intraday_position_fraction,
        "turnover": limits.max_turnover,
        "daily_loss": limits.max_daily_loss_fraction,
        "drawdown": limits.max_drawdown_fraction,
        "value_at_risk": limits.max_var_fraction,
        "expected_shortfall": limits.max_expected_shortfall_fraction,
    }
    return [
        Utilisation(name=name, value=value, limit=limit, utilisation=tidy(min(value / limit, BEYOND)))
        for name, value in found.items()
        if (limit := on[name]) is not None
    ]


def standing(account: Account, found: dict[str, float]) -> tuple[RiskLevel, str]:
    """Return the level of an account and why: by the worst share of a limit its positions use."""
    worst = max(utilisations(account, found), key=lambda each: each.utilisation)
    if not worst.utilisation:
        return RiskLevel.GREEN, UNUSED
    return level_of(worst.utilisation), f"{worst.name} uses {worst.utilisation:.0%} of its limit"


def level_now(account: Account, found: dict[str, float]) -> tuple[RiskLevel, str]:
    """Return an account's level and why it holds now: the reason on record is that of the moment it changed."""
    level, why = standing(account, found)
    return account.level, why if level is account.level else account.level_reason


def watched(found: dict[str, float]) -> dict[BreakerName, float]:
    """Return what the breakers look at; VaR only where it is measured."""
    values = {name: found.get(_WATCHED[name]) for name in BreakerName}
    return {name: value for name, value in values.items() if value is not None}


_WATCHED: Final = {
    BreakerName.VAR: "value_at_risk",
    BreakerName.DRAWDOWN: "drawdown",
    BreakerName.DAILY_LOSS: "daily_loss",
    BreakerName.LEVERAGE: "leverage",
    BreakerName.CONCENTRATION: "position",
}
