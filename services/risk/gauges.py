"""The gauges of live accounts, read off the state every second."""

import asyncio
from collections.abc import Sequence
from functools import partial

from services.risk.core.levels import measures
from services.risk.core.state import Account, FirmState
from services.risk.core.units import SCALE
from services.risk.engine import Engine
from services.risk.metrics import (
    BREAKERS,
    DRAWDOWN,
    FILL_DOUBTED,
    LEVEL,
    LEVERAGE,
    NEWEST_MARK,
    PNL,
    POSITIONS,
    RECONCILIATION_BREAKS,
    VAR,
)
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable
from shared.schemas.breakers import BreakerState
from shared.schemas.decisions import RiskLevel

_LOG = get_trading_logger("keelson.risk.gauges", Category.RISK)
_EVERY_SECONDS = 1.0
# Accounts of 50 positions take some 0.1 ms each.
_SLICE = 20
_STATES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_MICROS = 1_000_000
_LEVELS = {level: number for number, level in enumerate(RiskLevel)}


async def keep_account_gauges(engine: Engine) -> None:
    """Set the gauges of every live account while this process leads, for ever; a simulation is nobody's money.

    A few accounts a question: measuring a thousand at once would hold every order up.
    """
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            names = await engine.read(_live)
            for first in range(0, len(names), _SLICE):
                await engine.read(partial(_show, names[first : first + _SLICE]))
        except DependencyUnavailable:
            # Whoever leads shows them.
            continue
        except Exception:  # whatever it is, a task that ends for ever leaves gauges that stand still
            _LOG.exception("the gauges of accounts could not be set")


def _live(state: FirmState) -> list[str]:
    return [account.account_id for account in state.by_simulation.get(None, [])]


def _show(names: Sequence[str], state: FirmState) -> None:
    for account in [state.accounts[name] for name in names if name in state.accounts]:
        name, found = account.account_id, measures(state, account)
        PNL.labels(name).set((account.equity - account.start_of_day_equity) / SCALE)
        POSITIONS.labels(name).set(sum(1 for each in account.positions.values() if each.quantity))
        DRAWDOWN.labels(name).set(found["drawdown"])
        LEVERAGE.labels(name).set(found["leverage"])
        VAR.labels(name).set(found.get("value_at_risk", float("nan")))
        NEWEST_MARK.labels(name).set(_newest_mark(account))
        RECONCILIATION_BREAKS.labels(name).set(account.breaks)
        FILL_DOUBTED.labels(name).set(account.doubted_fill is not None)
        killed = next(state.active_switches(name, None, None), None) is not None
        LEVEL.labels(name).set(_LEVELS[RiskLevel.BLACK if killed else account.level])
        for breaker_name, breaker in account.breakers.items():
            BREAKERS.labels(name, breaker_name).set(_STATES[breaker.state])


def _newest_mark(account: Account) -> float:
    """Return the time of the newest mark of what is held: 0 where none ever came, NaN where nothing is held."""
    held = [each for each in account.positions.values() if each.quantity]
    if not held:
        return float("nan")
    return max((each.mark.ts for each in held if each.mark is not None), default=0) / _MICROS
