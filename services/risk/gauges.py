"""The gauges of live accounts, read off the state every second."""

import asyncio
from collections.abc import Sequence
from functools import partial
from math import isnan

from services.risk.core.levels import measures
from services.risk.core.state import Account, FirmState
from services.risk.core.units import SCALE
from services.risk.engine import Engine
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable
from shared.schemas.breakers import BreakerName, BreakerState
from shared.schemas.decisions import RiskLevel

_LOG = get_trading_logger("keelson.risk.gauges", Category.RISK)
_EVERY_SECONDS = 1.0
# Accounts of 50 positions take some 0.1 ms each.
_SLICE = 20
_STATES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_MICROS = 1_000_000
_LEVELS = {level: number for number, level in enumerate(RiskLevel)}


# Their names are an interface, as those of `metrics` are.
_FAMILIES = (
    ("trading_pnl_current", "Profit and loss since the day's start, in the account's currency."),
    ("trading_positions_open", "Symbols held."),
    ("risk_var_current", "Historical value at risk over equity, where it is measured."),
    ("risk_drawdown_current", "Fall from the high-water mark over it."),
    ("risk_leverage_current", "Margined notional over equity."),
    ("risk_level", "0 GREEN, 1 YELLOW, 2 ORANGE, 3 RED, 4 BLACK."),
    ("risk_newest_mark_timestamp_seconds", "Time of the newest mark of what is held; NaN where nothing is."),
    ("risk_reconciliation_breaks", "What differed from the broker when they were last compared."),
    ("risk_fill_doubted", "1 while a fill that is not believed waits for a reconciliation."),
)
_BREAKERS = ("risk_circuit_breaker_state", "0 closed, 1 half open, 2 open.")


class AccountGauges:
    """The gauges of every live account, kept as numbers and written as Prometheus' text when they are asked for.

    A registry takes 0.13 s, in which no order is answered, and 15 MiB for what a thousand accounts have to show; this
    a tenth of each.
    """

    def __init__(self) -> None:
        self._shown: dict[str, tuple[float, ...]] = {}
        self._breakers: dict[str, tuple[int, ...]] = {}

    def take(self, names: Sequence[str], state: FirmState) -> None:
        """Read accounts off the state."""
        for account in [state.accounts[name] for name in names if name in state.accounts]:
            self._shown[account.account_id] = _values(state, account)
            self._breakers[account.account_id] = tuple(_STATES[each.state] for each in account.breakers.values())

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        lines = []
        for index, (name, what) in enumerate(_FAMILIES):
            lines.append(f"# HELP {name} {what}\n# TYPE {name} gauge")
            lines += [
                f'{name}{{account="{account}"}} {_written(values[index])}' for account, values in self._shown.items()
            ]
        name, what = _BREAKERS
        lines.append(f"# HELP {name} {what}\n# TYPE {name} gauge")
        for account, states in self._breakers.items():
            lines += [
                f'{name}{{account="{account}",breaker="{breaker}"}} {state}'
                for breaker, state in zip(BreakerName, states, strict=True)
            ]
        return ("\n".join(lines) + "\n").encode()


async def keep_account_gauges(engine: Engine, gauges: AccountGauges) -> None:
    """Take the gauges of every live account while this process leads, for ever; a simulation is nobody's money.

    A few accounts a question: measuring a thousand at once would hold every order up.
    """
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            names = await engine.read(_live)
            for first in range(0, len(names), _SLICE):
                await engine.read(partial(gauges.take, names[first : first + _SLICE]))
        except DependencyUnavailable:
            # Whoever leads shows them.
            continue
        except Exception:  # whatever it is, a task that ends for ever leaves gauges that stand still
            _LOG.exception("the gauges of accounts could not be taken")


def _live(state: FirmState) -> list[str]:
    return [account.account_id for account in state.by_simulation.get(None, [])]


def _written(value: float) -> str:
    return "NaN" if isnan(value) else repr(float(value))


def _values(state: FirmState, account: Account) -> tuple[float, ...]:
    found = measures(state, account)
    killed = next(state.active_switches(account.account_id, None, None), None) is not None
    return (
        (account.equity - account.start_of_day_equity) / SCALE,
        sum(1 for each in account.positions.values() if each.quantity),
        found.get("value_at_risk", float("nan")),
        found["drawdown"],
        found["leverage"],
        _LEVELS[RiskLevel.BLACK if killed else account.level],
        _newest_mark(account),
        account.breaks,
        account.doubted_fill is not None,
    )


def _newest_mark(account: Account) -> float:
    """Return the time of the newest mark of what is held: 0 where none ever came, NaN where nothing is held."""
    held = [each for each in account.positions.values() if each.quantity]
    if not held:
        return float("nan")
    return max((each.mark.ts for each in held if each.mark is not None), default=0) / _MICROS
