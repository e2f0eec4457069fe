"""An account's books, kept apart from the engine's and in exact fractions: what it must come to as well."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from math import floor

from services.risk.core.positions import Position
from services.risk.core.state import Account, FirmState
from services.risk.core.units import SCALE
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.limits import Limits
from tests.unit.risk.desk import START

ZERO = Fraction(0)
# How far what is traded here can jump.
_JUMPS = {AssetClass.EQUITY: Fraction(1, 5), AssetClass.FUTURE: Fraction(1, 5), AssetClass.OPTION: None}


def places(value: Fraction) -> Fraction:
    """Return a value rounded to ten places, halves to even."""
    return Fraction(round(value * SCALE), SCALE)


@dataclass
class Replacing:
    name: str
    quantity: Fraction
    limit: Fraction | None


@dataclass
class Sent:
    """An approved order."""

    name: str
    strategy: str
    symbol: str
    buy: bool
    quantity: Fraction
    leaves: Fraction
    limit: Fraction | None
    parent: str | None
    open: bool = True
    replacing: Replacing | None = None

    @property
    def filled(self) -> Fraction:
        return self.quantity - self.leaves

    @property
    def held(self) -> Fraction:
        if not self.open:
            return ZERO
        if self.replacing is None:
            return self.leaves
        return max(self.leaves, self.replacing.quantity - self.filled)

    def put_in_force(self) -> None:
        assert self.replacing is not None
        self.leaves = max(self.replacing.quantity - self.filled, ZERO)
        self.quantity, self.limit, self.replacing = self.replacing.quantity, self.replacing.limit, None

    def end(self) -> None:
        self.open, self.replacing = False, None


@dataclass
class Holding:
    quantity: Fraction = ZERO
    average: Fraction = ZERO
    cost: Fraction = ZERO
    day_start: Fraction = ZERO


@dataclass
class Books:
    """Cash, holdings and orders of one account in USD."""

    cash: Fraction
    start: Fraction
    high: Fraction
    instruments: dict[str, Instrument]
    holdings: dict[str, Holding] = field(default_factory=dict)
    orders: dict[str, Sent] = field(default_factory=dict)
    # Cash paid in, and what was taken over from the broker.
    paid_in: Fraction = ZERO
    realised: Fraction = ZERO
    fees: Fraction = ZERO
    executed: Fraction = ZERO
    of_parents: dict[str, Fraction] = field(default_factory=dict)
    # Whether a fill waits for the broker, what fills gained beside the mark, and when the day began.
    doubted: bool = False
    gained: Fraction = ZERO
    day_begun: datetime = START

    def open(self, symbol: str | None = None) -> list[Sent]:
        return [each for each in self.orders.values() if each.open and symbol in {None, each.symbol}]

    def held(self, symbol: str, buy: bool) -> Fraction:
        return sum((each.held for each in self.open(symbol) if each.buy is buy), ZERO)

    def limits(self, symbol: str, buy: bool) -> list[Fraction]:
        """Return the prices that rest, those of replacements included."""
        found = [each.limit for each in self.open(symbol) if each.buy is buy]
        found += [each.replacing.limit for each in self.open(symbol) if each.buy is buy and each.replacing]
        return sorted(each for each in found if each is not None)

    def holding(self, symbol: str) -> Holding:
        return self.holdings.setdefault(symbol, Holding())

    def fill(self, order: Sent, quantity: Fraction, price: Fraction, fee: Fraction, state: FirmState) -> None:
        """Book an execution at average cost."""
        held, terms = self.holding(order.symbol), self.instruments[order.symbol]
        signed, factor = quantity if order.buy else -quantity, Fraction(terms.multiplier) * rate(state, terms.currency)
        after, realised, paid, before = held.quantity + signed, ZERO, places(signed * price * factor), held.cost
        if held.quantity * signed < 0:
            closed = min(abs(held.quantity), quantity)
            gain = price - held.average if held.quantity > 0 else held.average - price
            realised = places(gain * closed * factor)
            if after * held.quantity <= 0:
                held.average, held.cost = price if after else ZERO, places(after * price * factor)
            else:
                held.cost = places(held.cost * after / held.quantity)
        else:
            held.average = places((held.average * abs(held.quantity) + price * quantity) / abs(after))
            held.cost += paid
        held.quantity = after
        if terms.margined:
            held.cost = ZERO
            self.cash += realised - fee
        else:
            realised = held.cost - before - paid
            self.cash -= paid + fee
        self.realised += realised
        self.fees += fee
        self.executed += price * quantity * factor
        if order.parent is not None:
            self.of_parents[order.parent] = self.of_parents.get(order.parent, ZERO) + quantity
        if order.open and quantity > order.leaves:
            # The venue took the replacement without a word.
            order.put_in_force()
        order.leaves -= quantity
        if order.open and order.leaves == 0 and order.replacing is None:
            order.end()

    def doubts(
        self, order: Sent, quantity: Fraction, price: Fraction, fee: Fraction, state: FirmState, limits: Limits
    ) -> bool:
        """Count what an execution gains, before it is booked, and tell whether it is believed."""
        terms, mark = self.instruments[order.symbol], _fraction(state.marks[None, order.symbol].price)
        worth_ = quantity * Fraction(terms.multiplier) * rate(state, terms.currency)
        away = Fraction(floor(abs(mark - price) * worth_ * SCALE), SCALE)
        gain = places((mark - price) * worth_ * (1 if order.buy else -1)) - fee
        self.gained = max(self.gained + gain, ZERO)
        if limits.fill_doubt_fraction is None:
            return False
        share, jump = Fraction(str(limits.fill_doubt_fraction)), _JUMPS[terms.asset_class]
        least = Fraction(1, SCALE)
        believed = share * max(self.equity(state), least)
        far = jump is None or abs(mark - price) > jump * mark
        together = gain > 0 and self.gained > share * max(self.start, least)
        return together or abs(fee) > believed or (far and away > believed)

    def begin_day(self, now: datetime, begins: datetime, equity: Fraction) -> None:
        """Begin a day, but that of a session that had begun before the day did: days rolled in a row are one."""
        if begins <= self.day_begun or now < self.day_begun:
            return
        self.day_begun, self.gained = max(now, begins), ZERO
        self.start, self.executed = equity, ZERO
        for held in self.holdings.values():
            held.day_start = held.quantity

    def agree(self, gained: Fraction, equity: Fraction) -> None:
        """Take in that the broker's books are these, by which so much was gained that is no profit."""
        if not self.doubted:
            self.start += gained
            self.high += gained
        self.doubted, self.gained = False, ZERO
        self.note_high(equity)

    def note_high(self, equity: Fraction) -> None:
        """Keep the highest equity, unless it may be made up."""
        if not self.doubted:
            self.high = max(self.high, equity)

    def value(self, symbol: str, state: FirmState) -> Fraction:
        held, terms = self.holding(symbol), self.instruments[symbol]
        mark = state.marks.get((None, symbol))
        price = _fraction(mark.price) if mark else held.average
        cost = held.average if terms.margined else ZERO
        return held.quantity * (price - cost) * Fraction(terms.multiplier) * rate(state, terms.currency)

    def adopt(self, symbol: str, quantity: Fraction, mark: Fraction, state: FirmState) -> None:
        """Take the broker's quantity over, at the average price known here or else the mark."""
        held, terms = self.holding(symbol), self.instruments[symbol]
        if held.quantity == quantity:
            return
        average, before = (held.average or mark) if quantity else ZERO, held.cost
        if terms.margined:
            held.cost = ZERO
        elif held.quantity * quantity > 0:
            held.cost = places(held.cost * quantity / held.quantity)
        else:
            held.cost = places(quantity * average * Fraction(terms.multiplier) * rate(state, terms.currency))
        held.quantity, held.average = quantity, average
        self.paid_in += held.cost - before

    def equity(self, state: FirmState) -> Fraction:
        return self.cash + sum((self.value(symbol, state) for symbol in self.holdings), ZERO)

    def reduces(self, symbol: str, buy: bool, adds: Fraction) -> bool:
        """Tell whether an order brings a position nearer to zero, all open orders of its side filled."""
        held = self.holding(symbol).quantity
        if buy:
            return held < 0 and held + self.held(symbol, True) + adds <= 0
        return held > 0 and held - self.held(symbol, False) - adds >= 0

    def measures(self, symbol: str, state: FirmState) -> dict[str, Fraction]:
        """Return what an order in a symbol is measured by, all open orders at their worst."""
        chosen = self.instruments[symbol]
        total = dict.fromkeys(("position", "asset_class", "sector", "gross", "leverage", "margin"), ZERO)
        low = high = waiting = ZERO
        for each in self.instruments.values():
            held = self.holding(each.symbol)
            buys, sells = self.held(each.symbol, True), self.held(each.symbol, False)
            unit, direction = worth(state, each)
            least, most = held.quantity - sells, held.quantity + buys
            worst = max(abs(least), abs(most)) * max(unit, abs(direction))
            low += min(least * direction, most * direction)
            high += max(least * direction, most * direction)
            waiting += (buys + sells) * unit
            total["gross"] += worst
            total["margin"] += worst * _margin(each)
            total["asset_class"] += worst if each.asset_class is chosen.asset_class else 0
            total["sector"] += worst if chosen.sector and each.sector == chosen.sector else 0
            total["leverage"] += worst if chosen.margined and each.margined else 0
            if each is chosen:
                total["position"] = worst
                change = max(most - held.day_start, held.day_start - least)
                total["intraday"] = change * max(unit, abs(direction))
        equity = self.equity(state)
        losses = {"daily_loss": self.start - equity, "drawdown": self.high - equity}
        return {**total, **losses, "net": max(high, -low), "turnover": self.executed + waiting}

    def caps(self, limits: Limits, state: FirmState) -> Iterator[tuple[str, Fraction]]:
        """Yield the measures that have a limit, and how much each may be."""
        equity = self.equity(state)
        of = {
            "position": (limits.max_position_fraction, equity),
            "asset_class": (limits.max_asset_class_fraction, equity),
            "sector": (limits.max_sector_fraction, equity),
            "gross": (limits.max_gross_exposure, equity),
            "net": (limits.max_net_exposure, equity),
            "leverage": (limits.max_leverage, equity),
            "margin": (1, equity),
            "daily_loss": (limits.max_daily_loss_fraction, self.start),
            "drawdown": (limits.max_drawdown_fraction, self.high),
            "intraday": (limits.max_intraday_position_fraction, self.start),
            "turnover": (limits.max_turnover, self.start),
        }
        for name, (share, base) in of.items():
            if share is not None:
                yield name, Fraction(str(share)) * max(base, ZERO)


def rate(state: FirmState, currency: str) -> Fraction:
    """Return a currency's rate in USD, from the direct mark or else from the inverse one."""
    if currency == "USD":
        return Fraction(1)
    direct = state.marks.get((None, f"{currency}/USD"))
    if direct is not None:
        return _fraction(direct.price)
    inverse = state.marks.get((None, f"USD/{currency}"))
    return places(1 / _fraction(inverse.price)) if inverse else ZERO


def worth(state: FirmState, terms: Instrument) -> tuple[Fraction, Fraction]:
    """Return what one unit is worth in USD, and what it counts for with its direction: an option by its delta."""
    mark, factor = state.marks.get((None, terms.symbol)), Fraction(terms.multiplier) * rate(state, terms.currency)
    unit = _fraction(mark.price) * factor if mark else ZERO
    underlying = state.marks.get((None, terms.underlying)) if terms.underlying else None
    if underlying is None:
        return unit, unit
    delta = Fraction(1) if mark is None or mark.delta is None else _fraction(mark.delta)
    return unit, delta * _fraction(underlying.price) * factor


def differences(account: Account, books: Books) -> list[str]:
    """Return where the engine's books are not these, to the last digit."""
    found = [
        f"{name}: {_fraction(ours)} is not {theirs}"
        for name, ours, theirs in (
            ("cash", account.cash, books.cash),
            ("realised", account.realised_pnl, books.realised),
            ("fees", account.fees, books.fees),
            ("paid in", account.paid_in, books.paid_in),
        )
        if _fraction(ours) != theirs
    ]
    for symbol in books.instruments:
        position, held = account.positions.get(symbol), books.holding(symbol)
        ours = (
            (position.quantity, position.average_price, position.cost, position.open_buy, position.open_sell)
            if position
            else (0, 0, 0, 0, 0)
        )
        theirs = (held.quantity, held.average, held.cost, books.held(symbol, True), books.held(symbol, False))
        if tuple(map(_fraction, ours)) != theirs:
            found.append(f"{symbol}: {ours} is not {tuple(map(float, theirs))}")
        for buy in (True, False):
            prices = _resting(position, buy) if position else []
            if list(map(_fraction, prices)) != books.limits(symbol, buy):
                found.append(f"{symbol}: {prices} do not rest")
    return found


def _resting(position: Position, buy: bool) -> list[int]:
    resting, gone = (position.bids, position.bids_gone) if buy else (position.asks, position.asks_gone)
    # The best is one that does rest.
    assert not gone or gone[0] != resting[0]
    return sorted(abs(price) for price in (Counter(resting) - Counter(gone)).elements())


def _fraction(value: int) -> Fraction:
    return Fraction(value, SCALE)


def _margin(terms: Instrument) -> Fraction:
    if terms.initial_margin is not None:
        return Fraction(str(terms.initial_margin))
    return Fraction(1, 5) if terms.margined else Fraction(1, 2)
