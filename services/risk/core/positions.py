"""Positions at average cost, what their open orders could make of them, and what they are worth."""

from collections import Counter
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from services.risk.core.terms import Terms
from services.risk.core.units import SCALE, SCALE2, SCALE3, half_even
from shared.schemas.base import Severity

# So many prices that rest no longer are no burden.
_FEW: Final = 64


@dataclass(slots=True)
class HeldMark:
    """A price risk values at; one that jumped waits in `suspect` until a later one confirms it."""

    price: int
    ts: int
    delta: int | None = None
    quality: Severity = Severity.OK
    suspect: int = 0
    # When the suspect price was seen first.
    suspect_ts: int = 0
    # The price before the newest stretch of `jump_confirm_seconds` began, and when that was: small steps in no time
    # are a jump too.
    anchor: int = 0
    anchor_ts: int = 0


@dataclass(slots=True)
class Position:
    """A position in one symbol, and its share of every measure of its account.

    Quantities, prices and money are in units of 10^-10; the worth of one unit of quantity in those of 10^-20.
    """

    terms: Terms
    mark: HeldMark | None = None
    quantity: int = 0
    average_price: int = 0
    # What was paid for the open quantity, in the account's currency at the rates it was bought at, below zero where
    # it was sold short; nothing is paid for what is margined.
    cost: int = 0
    open_buy: int = 0
    open_sell: int = 0
    day_start: int = 0
    # Own resting limit prices, which an order of the other side must not reach: heaps, the best first, bids negated.
    # What rests no longer waits in the second of each until it is the best.
    bids: list[int] = field(default_factory=list)
    asks: list[int] = field(default_factory=list)
    bids_gone: list[int] = field(default_factory=list)
    asks_gone: list[int] = field(default_factory=list)
    # The worth of one unit now in the account's currency.
    unit: int = 0
    # The rate of the instrument's currency in the account's.
    rate: int = SCALE
    # What one unit counts for in exposures, with the sign of its direction: of an option the delta's share.
    direction: int = 0
    exposure: int = 0
    # Whose returns in the scenarios it moves with, its own or its underlying's, None where there are none; and what
    # one unit counts for beside them: its worth where they are its own, else as `direction`.
    row: str | None = None
    moves: int = 0
    # Of the account's sums, what this position is: kept, so that a change takes out exactly what was put in.
    value: int = 0
    now: int = 0
    worst: int = 0
    # Signed notionals if all open sells, or buys, were filled: products, of scale 10^-30.
    low: int = 0
    high: int = 0
    # Initial margin, of scale 10^-20.
    margin: int = 0
    # Worth of open orders, of scale 10^-30.
    open_value: int = 0

    @property
    def highest(self) -> int:
        """Return the quantity if all open buys, and no sells, were filled."""
        return self.quantity + self.open_buy

    @property
    def lowest(self) -> int:
        """Return the quantity if all open sells, and no buys, were filled."""
        return self.quantity - self.open_sell

    @property
    def reserved(self) -> int:
        """Return the quantity furthest from zero that open orders can lead to."""
        high, low = self.quantity + self.open_buy, self.quantity - self.open_sell
        return high if high >= -low else low

    @property
    def net(self) -> int:
        """Return the exposure as it is, negative where the position gains from a fall."""
        return self.now if (self.quantity > 0) == (self.direction >= 0) else -self.now

    def weigh(self) -> None:
        """Take anew what one unit counts for beside the returns of its row."""
        self.moves = self.unit if self.row == self.terms.symbol else self.direction

    def measure_reserved(self) -> None:
        """Take anew what open orders have a part in."""
        high, low = self.quantity + self.open_buy, self.quantity - self.open_sell
        self.worst = -(-(high if high > -low else -low) * self.exposure // SCALE2)
        self.margin = self.worst * self.terms.margin
        self.open_value = (self.open_buy + self.open_sell) * self.unit
        direction = self.direction
        if direction >= 0:
            self.low, self.high = low * direction, high * direction
        else:
            self.low, self.high = high * direction, low * direction

    def measure(self) -> None:
        """Take every measure anew, from the quantities and what a unit is worth."""
        self.measure_reserved()
        quantity = self.quantity
        self.now = -(-abs(quantity) * self.exposure // SCALE2)
        if not quantity:
            self.value = 0
        elif self.terms.margined:
            cost = self.average_price * self.terms.multiplier
            self.value = half_even(quantity * (self.unit * SCALE - cost * self.rate), SCALE3)
        else:
            self.value = half_even(quantity * self.unit, SCALE2)

    def rest(self, buy: bool, price: int) -> None:
        """Note a resting limit price."""
        if buy:
            heappush(self.bids, -price)
        else:
            heappush(self.asks, price)

    def unrest(self, buy: bool, price: int) -> None:
        """Forget a resting limit price."""
        if buy:
            resting, gone, key = self.bids, self.bids_gone, -price
        else:
            resting, gone, key = self.asks, self.asks_gone, price
        heappush(gone, key)
        while gone and gone[0] == resting[0]:
            heappop(gone)
            heappop(resting)
        if len(gone) > _FEW and 2 * len(gone) > len(resting):
            resting[:] = (Counter(resting) - Counter(gone)).elements()
            heapify(resting)
            gone.clear()


@dataclass(frozen=True, slots=True)
class Change:
    """What a fill makes of a position; money in the account's currency, the price in the instrument's."""

    quantity: int
    average_price: int
    cost: int
    realised_pnl: int
    cash: int


def fill(position: Position, signed: int, price: int, fee: int, rate: int) -> Change:
    """Return what a fill changes, at average cost; one through zero closes a position and opens the other.

    `realised_pnl` is before the fee; `cash` is what the account's cash changes by; `rate` is that of the
    instrument's currency in the account's, of scale 10^-10. What is realised is what was paid less what the cost
    grew by: whole numbers all, so that cash, cost and profit always come to the same.
    """
    held, average, terms = position.quantity, position.average_price, position.terms
    after, worth = held + signed, terms.multiplier * rate
    closed, opened = 0, signed
    if held * signed < 0:
        closed, opened = (-held, after) if after * held < 0 else (signed, 0)
    if not closed:
        average_after = half_even(average * abs(held) + price * abs(signed), abs(after))
    else:
        average_after = price if opened else average if after else 0
    if terms.margined:
        realised = half_even((average - price) * closed * worth, SCALE3)
        return Change(after, average_after, 0, realised, realised - fee)
    paid = half_even(signed * price * worth, SCALE3)
    if not closed:
        cost = position.cost + paid
    elif opened:
        cost = half_even(opened * price * worth, SCALE3)
    else:
        cost = half_even(position.cost * abs(after), abs(held))
    return Change(after, average_after, cost, cost - position.cost - paid, -paid - fee)


def adopted_cost(position: Position, quantity: int, average: int, rate: int) -> int:
    """Return the cost of a position that is taken over from the broker.

    What was held at the same average price keeps what it cost a unit; all else was bought at the rate of now.
    """
    if position.terms.margined:
        return 0
    if average == position.average_price and position.quantity * quantity > 0:
        return half_even(position.cost * abs(quantity), abs(position.quantity))
    return half_even(quantity * average * position.terms.multiplier * rate, SCALE3)


def unrealised_pnl(position: Position) -> int:
    """Return the profit a position would give at its mark, before fees, in the account's currency."""
    return position.value - position.cost
