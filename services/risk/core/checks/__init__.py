"""Pre-trade checks, one function each, in the order in which they are run."""

from collections.abc import Callable

from services.risk.core.checks.context import Finding, OrderContext
from services.risk.core.checks.exposure import leverage, position
from services.risk.core.checks.instruments import known, lot_size, same_currency, tick_size, tradable
from services.risk.core.checks.losses import daily_loss, drawdown, equity_positive
from services.risk.core.checks.marks import mark_fresh, mark_known
from services.risk.core.checks.orders import really_reduces
from services.risk.core.checks.switches import kill_switch
from shared.schemas.decisions import DenialReason

Check = Callable[[OrderContext], Finding | None]

# A failed one ends the list: what follows has nothing to measure with.
FATAL: tuple[Check, ...] = (kill_switch, known, same_currency, mark_known)
CHECKS: tuple[Check, ...] = (
    tradable,
    lot_size,
    tick_size,
    mark_fresh,
    really_reduces,
    equity_positive,
    position,
    leverage,
    daily_loss,
    drawdown,
)


def run(context: OrderContext) -> list[Finding]:
    """Return what every check found; only the first where that one is fatal."""
    for check in FATAL:
        finding = check(context)
        if finding is not None and not finding.passed:
            return [finding]
    return [finding for check in CHECKS if (finding := check(context)) is not None]


def reasons(findings: list[Finding]) -> list[DenialReason]:
    """Return why an order is denied; none where every check passed."""
    return [finding.reason() for finding in findings if not finding.passed]


def worst_utilisation(findings: list[Finding]) -> float:
    """Return the highest share of a limit the order would use, 0 where none was measured."""
    return max((finding.utilisation for finding in findings if finding.utilisation is not None), default=0.0)
