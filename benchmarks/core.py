"""Decisions a second of the core alone, every check included, in an account of fifty positions.

Each order is decided and folded, as the engine does it; nothing is stored. By the interpreter and, after
`keelson compile`, in machine code, without value at risk and with it (500 scenarios), by turns in one run, as ratios
to the interpreter without: `python -m benchmarks.core`.
"""

import gc
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median

import numpy as np

from services.risk.compiled import compiled
from services.risk.core.bodies import OrderTerms, Quote
from services.risk.core.commands import (
    ApplyFill,
    Command,
    OpenAccount,
    PlaceOrder,
    SetInstruments,
    SetMarks,
    SetScenarios,
)
from services.risk.core.decide import decide
from services.risk.core.evolve import evolve
from services.risk.core.outcome import Refused
from services.risk.core.state import FirmState
from services.risk.core.step import step
from services.risk.core.units import SCALE, micros
from shared.schemas.accounts import AccountCreate
from shared.schemas.instruments import AssetClass, Instrument, ScenarioSet
from shared.schemas.limits import Limits
from shared.schemas.orders import Fill

ROUNDS = 5
ORDERS = 20_000
AT_ONCE = 1_000
SYMBOLS = [f"X{number}" for number in range(50)]
NOW = datetime.now(UTC)
# Every check is made, and nothing is denied.
LIMITS = Limits(
    max_mark_age_seconds=86_400,
    max_messages_per_second=10**9,
    max_message_burst=10**9,
    max_repeated_executions=10**9,
    max_open_orders=10**9,
    max_net_exposure=1000,
    max_turnover=1000,
    max_intraday_position_fraction=1000,
    max_order_value=Decimal(10**9),
    max_order_quantity=Decimal(10**9),
    max_var_fraction=100,
    max_expected_shortfall_fraction=100,
    duplicate_window_ms=1,
)


def desk(scenarios: bool) -> FirmState:
    """Return a firm with one account that holds fifty positions."""
    state = FirmState()

    def do(command: Command) -> None:
        assert not isinstance(step(state, command, micros(NOW)), Refused)

    do(
        SetInstruments(
            tuple(
                Instrument(
                    symbol=symbol,
                    currency="USD",
                    asset_class=AssetClass.EQUITY,
                    sector=f"sector-{number % 8}",
                    tick_size=Decimal("0.01"),
                    average_daily_volume=Decimal(10**9),
                )
                for number, symbol in enumerate(SYMBOLS)
            ),
            "bench",
        )
    )
    account = AccountCreate(account_id="main", base_currency="USD", initial_cash=Decimal(10**11), limits=LIMITS)
    do(OpenAccount(account, "bench"))
    do(SetMarks(None, tuple(Quote(symbol, 100 * SCALE, micros(NOW)) for symbol in SYMBOLS)))
    if scenarios:
        draw = np.random.default_rng(0)
        returns = {symbol: draw.normal(0, 0.01, 500).tolist() for symbol in SYMBOLS}
        do(SetScenarios(ScenarioSet(name="drawn", returns=returns), "bench"))
    for symbol in SYMBOLS:
        do(PlaceOrder("main", OrderTerms(f"first-{symbol}", "bench", symbol, True, 100 * SCALE), "bench"))
        fill = Fill(
            trade_id=symbol,
            client_order_id=f"first-{symbol}",
            price=Decimal(100),
            quantity=Decimal(100),
            ts_event=NOW,
        )
        do(ApplyFill("main", fill, "bench"))
    return state


def decisions_per_second(scenarios: bool) -> float:
    """Return the median over groups of orders, all of which are approved."""
    state = desk(scenarios)
    orders = [
        PlaceOrder(
            "main",
            OrderTerms(f"o{number}", f"s{number % 4}", SYMBOLS[number % 50], number % 3 != 0, (1 + number % 7) * SCALE),
            "bench",
        )
        for number in range(ORDERS)
    ]
    seconds, now = [], micros(NOW)
    for first in range(0, ORDERS, AT_ONCE):
        begun = time.perf_counter()
        for order in orders[first : first + AT_ONCE]:
            now += 10
            events = decide(state, order, now)
            assert not isinstance(events, Refused)
            for event in events:
                evolve(state, event, state.last_seq + 1)
        seconds.append(time.perf_counter() - begun)
    assert len(state.accounts["main"].open_orders) == ORDERS
    return AT_ONCE / median(seconds)


def measured(interpreted: bool) -> tuple[float, float] | None:
    """Return decisions a second without and with value at risk in a process of its own; None where not compiled."""
    environment = {**os.environ, "KEELSON_INTERPRETED": "1" if interpreted else ""}
    command = [sys.executable, "-m", "benchmarks.core", "once"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return None if (said[0] == "True") is interpreted else (float(said[1]), float(said[2]))


def main() -> None:
    """Print decisions a second, and ratios to the interpreter's without value at risk."""
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for how, interpreted in (("interpreted", True), ("machine code", False)):
            rates = measured(interpreted)
            if rates is None:
                print("the core is not compiled: keelson compile")
                continue
            for what, rate in zip(("every check but VaR", "and VaR"), rates, strict=True):
                found.setdefault(f"{how}, {what}", []).append(rate)
    base = median(next(iter(found.values())))
    for name, rates_of in found.items():
        print(f"{name:34} {median(rates_of):>9,.0f} decisions/s  {median(rates_of) / base:5.2f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["once"]:
        # As the service has it.
        gc.set_threshold(50_000, 20, 1_000)
        print(compiled(), decisions_per_second(scenarios=False), decisions_per_second(scenarios=True))
    else:
        main()
