"""How close an account is to its limits."""

from dataclasses import dataclass

from services.risk.core.checks.context import BEYOND, share
from services.risk.core.state import Account, FirmState
from shared.money import ZERO
from shared.schemas.decisions import RiskLevel
from shared.schemas.limits import Utilisation

# Share of a limit in use from which the level holds.
_BANDS = ((1.0, RiskLevel.RED), (0.8, RiskLevel.ORANGE), (0.6, RiskLevel.YELLOW))


@dataclass(frozen=True, slots=True)
class Standing:
    """The level of an account, why, and how much of each limit it uses."""

    level: RiskLevel
    reason: str
    utilisations: list[Utilisation]


def level_of(utilisation: float) -> RiskLevel:
    """Return the level a utilisation stands for."""
    return next((level for least, level in _BANDS if utilisation >= least), RiskLevel.GREEN)


def standing(state: FirmState, account: Account) -> Standing:
    """Return where an account stands now, by its positions and without its open orders' worst case."""
    used = utilisations(state, account)
    switches = state.active_switches(account.account_id, None, None)
    if switches:
        return Standing(RiskLevel.BLACK, f"{switches[0].scope} is stopped: {switches[0].reason}", used)
    worst = max(used, key=lambda each: each.utilisation)
    level = level_of(worst.utilisation)
    return Standing(level, f"{worst.name} uses {min(worst.utilisation, BEYOND):.0%} of its limit", used)


def utilisations(state: FirmState, account: Account) -> list[Utilisation]:
    """Return how much of each limit is used."""
    limits, equity = account.limits.limits, state.equity(account)
    largest = margined = ZERO
    for symbol, holding in account.holdings.items():
        instrument = state.instruments[symbol]
        notional = abs(holding.quantity) * state.price(account, symbol) * instrument.multiplier
        largest = max(largest, notional)
        if instrument.margined:
            margined += notional
    start, high = account.start_of_day_equity, account.high_water_mark
    measured = [
        ("position", share(largest, equity), limits.max_position_fraction),
        ("leverage", share(margined, equity), limits.max_leverage),
        ("daily_loss", share(max(start - equity, ZERO), start), limits.max_daily_loss_fraction),
        ("drawdown", share(max(high - equity, ZERO), high), limits.max_drawdown_fraction),
    ]
    return [
        Utilisation(name=name, value=value, limit=limit, utilisation=min(value / limit, BEYOND))
        for name, value, limit in measured
    ]
