"""What the portfolio could lose: value at risk and expected shortfall with the order."""

from typing import Final

from services.risk.core.bodies import Broken
from services.risk.core.checks.case import Case
from services.risk.core.scenarios import Scenarios, reserved_pnl, tail_after
from services.risk.core.units import shown
from shared.schemas.decisions import Unit
from shared.schemas.denials import DenialCode

CODES: Final = (
    (DenialCode.VAR_LIMIT, "value at risk"),
    (DenialCode.EXPECTED_SHORTFALL_LIMIT, "expected shortfall"),
)
# A share of nothing is beyond every limit.
_LEAST_EQUITY: Final = 1e-10


def known(case: Case) -> Broken | None:
    """Deny a symbol whose tail cannot be measured where the profile requires it."""
    profile, scenarios = case.profile, case.state.scenarios
    if not profile.var_required or (
        scenarios is not None and case.position.row is not None and scenarios.enough(profile.confidence)
    ):
        return None
    return Broken(
        DenialCode.VAR_UNAVAILABLE,
        f"there are not enough scenarios for {case.order.symbol} at {profile.confidence:g}",
    )


def with_order(scenarios: Scenarios, case: Case) -> tuple[float, float] | None:
    """Return VaR and ES over equity with the order; None where its symbol moves with no returns."""
    held, confidence = case.position, case.profile.confidence
    if case.buy:
        high, low = held.highest + case.adds, held.lowest
    else:
        high, low = held.highest, held.lowest - case.adds
    return _after(scenarios, case, high if high >= -low else low, confidence)


def before(scenarios: Scenarios, case: Case) -> tuple[float, float] | None:
    """Return VaR and ES over equity without the order."""
    return _after(scenarios, case, case.position.reserved, case.profile.confidence)


def _after(scenarios: Scenarios, case: Case, furthest: int, confidence: float) -> tuple[float, float] | None:
    position, account = case.position, case.account
    if position.row is None or not scenarios.enough(confidence):
        return None
    pnl = reserved_pnl(scenarios, account.positions, account.tail)
    found = tail_after(scenarios, pnl, position, furthest, confidence)
    equity = max(shown(account.equity), _LEAST_EQUITY)
    return found[0] / equity, found[1] / equity


def limits(scenarios: Scenarios, case: Case, found: list[Broken]) -> float:
    """Append the limits of VaR and ES the order breaks; return the worst utilisation, 0 where it is not measured."""
    profile = case.profile
    allowed = (profile.value_at_risk, profile.expected_shortfall)
    measured = with_order(scenarios, case) if any(allowed) else None
    if measured is None:
        return 0.0
    worst = 0.0
    for which, limit in enumerate(allowed):
        if not limit:
            continue
        if measured[which] > limit:
            _breach(scenarios, case, found, which, measured[which], limit)
        worst = max(worst, measured[which] / limit)
    return worst


def _breach(scenarios: Scenarios, case: Case, found: list[Broken], which: int, value: float, limit: float) -> None:
    unchanged = before(scenarios, case)
    measured = unchanged[which] if unchanged else 0.0
    if case.reduces and value <= measured:
        return
    code, what = CODES[which]
    message = f"{what} at {case.profile.confidence:g} over {scenarios.source.horizon_days} d"
    found.append(Broken(code, message, Unit.OF_EQUITY, measured, value, limit))
