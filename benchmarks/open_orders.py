"""What an order costs with none, a hundred and ten thousand open in its account: decided and folded, and then ended.

Microseconds each, and ratios to an account with none, by turns in one run: `python -m benchmarks.open_orders`. The open
orders are limit orders, spread over fifty symbols, or all in the symbol and on the side of those that are measured.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median

from services.risk.core.bodies import OrderTerms, Quote
from services.risk.core.commands import CloseOrder, Command, OpenAccount, PlaceOrder, SetInstruments, SetMarks
from services.risk.core.outcome import Refused
from services.risk.core.state import FirmState
from services.risk.core.step import step
from services.risk.core.units import SCALE, micros, units
from shared.schemas.accounts import AccountCreate
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.limits import Limits
from shared.schemas.orders import OrderClose, OrderStatus

OPEN = (0, 100, 10_000)
ROUNDS = 150
AT_ONCE = 40
NOW = micros(datetime.now(UTC))
SYMBOLS = [f"X{number}" for number in range(50)]
CLOSE = OrderClose(reason="bench")
LIMITS = Limits(
    max_mark_age_seconds=86_400,
    max_messages_per_second=10**9,
    max_message_burst=10**9,
    max_repeated_executions=10**9,
    max_open_orders=10**9,
    price_collar_bps=10_000,
)


@dataclass
class Desk:
    """An account with so many open orders, and what orders cost in it."""

    symbol_of: Callable[[int], str]
    open: int
    state: FirmState = field(default_factory=FirmState)
    count: int = 0
    decided: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.do(
            SetInstruments(
                tuple(
                    Instrument(symbol=symbol, currency="USD", asset_class=AssetClass.EQUITY, tick_size=Decimal("0.01"))
                    for symbol in SYMBOLS
                ),
                "bench",
            )
        )
        account = AccountCreate(account_id="main", base_currency="USD", initial_cash=Decimal(10**12), limits=LIMITS)
        self.do(OpenAccount(account, "bench"))
        self.do(SetMarks(None, tuple(Quote(symbol, units(Decimal(100)), NOW) for symbol in SYMBOLS)))
        for number in range(self.open):
            self.do(self.order(number))
        assert len(self.state.accounts["main"].open_orders) == self.open

    def do(self, command: Command) -> None:
        assert not isinstance(step(self.state, command, NOW), Refused)

    def order(self, number: int) -> PlaceOrder:
        self.count += 1
        # Prices all over the book: where they are put in is anywhere in it.
        limit = (5_000 + self.count * 7_919 % 5_000) * SCALE // 100
        return PlaceOrder(
            "main", OrderTerms(f"o{self.count}", "bench", self.symbol_of(number), True, SCALE, limit), "bench"
        )

    def measure(self) -> None:
        """Time some orders, and their ends; as many are open afterwards as before."""
        orders = [self.order(number) for number in range(AT_ONCE)]
        ends = [
            CloseOrder("main", each.order.client_order_id, OrderStatus.CANCELLED, CLOSE, "bench") for each in orders
        ]
        for commands, times in ((orders, self.decided), (ends, self.ended)):
            started = time.perf_counter()
            for command in commands:
                step(self.state, command, NOW)
            times.append((time.perf_counter() - started) / AT_ONCE * 1e6)
        account = self.state.accounts["main"]
        assert len(account.open_orders) == self.open
        for each in orders:
            # Not to be measured: what has ended is forgotten with its day.
            assert account.orders.pop(each.order.client_order_id).decided.verdict.approved


def compare(what: str, symbol_of: Callable[[int], str]) -> None:
    """Measure by turns, each turn in another order, and print."""
    desks = [Desk(symbol_of, count) for count in OPEN]
    gc.collect()
    gc.freeze()
    for number in range(ROUNDS):
        for turn in range(len(desks)):
            desks[(number + turn) % len(desks)].measure()
    print(what)
    none = desks[0]
    for desk in desks:
        figures = []
        for mine, base in ((desk.decided, none.decided), (desk.ended, none.ended)):
            ratio = median(one / other for one, other in zip(mine, base, strict=True))
            figures.append(f"{median(mine):7.2f} us  {ratio:6.3f}")
        print(f"  {desk.open:6,} open   decided {figures[0]}   ended {figures[1]}")
    gc.unfreeze()


def main() -> None:
    compare("spread over fifty symbols", lambda number: SYMBOLS[number % len(SYMBOLS)])
    compare("all in one symbol", lambda number: SYMBOLS[0])


if __name__ == "__main__":
    main()
