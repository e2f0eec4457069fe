"""Positions at average cost, and what they are worth."""

from dataclasses import dataclass
from decimal import Context, Decimal

from shared.money import DECIMAL_PLACES, MAX_DIGITS, ZERO, round_amount
from shared.schemas.instruments import Instrument

# Holds the product of any three amounts: folding what happened must work whatever the mark is.
_WIDE = Context(prec=3 * MAX_DIGITS)
_QUANTUM = Decimal(1).scaleb(-DECIMAL_PLACES)


@dataclass(slots=True)
class Holding:
    """A position in one symbol, and what its open orders could still add to it."""

    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    open_buy: Decimal = ZERO
    open_sell: Decimal = ZERO

    def worst_quantity(self, extra_buy: Decimal = ZERO, extra_sell: Decimal = ZERO) -> Decimal:
        """Return the largest absolute position if only the buys, or only the sells, were filled."""
        longest = self.quantity + self.open_buy + extra_buy
        shortest = self.quantity - self.open_sell - extra_sell
        return max(abs(longest), abs(shortest))


@dataclass(frozen=True, slots=True)
class Change:
    """What a fill does to a position."""

    quantity: Decimal
    average_price: Decimal
    realised_pnl: Decimal
    cash: Decimal


def fill(holding: Holding, signed_quantity: Decimal, price: Decimal, fee: Decimal, instrument: Instrument) -> Change:
    """Return what a fill changes, at average cost; a fill through zero closes one position and opens the other.

    `realised_pnl` is before the fee; `cash` is what the account's cash changes by.
    """
    before, average = holding.quantity, holding.average_price
    after = before + signed_quantity
    realised = ZERO
    if before * signed_quantity < 0:
        closed = min(abs(before), abs(signed_quantity))
        gain = (price - average) if before > 0 else (average - price)
        realised = round_amount(gain * closed * instrument.multiplier)
        if after == 0:
            average = ZERO
        elif after * before < 0:
            average = price
    else:
        average = round_amount((average * abs(before) + price * abs(signed_quantity)) / abs(after))
    if instrument.margined:
        cash = realised - fee
    else:
        cash = -round_amount(signed_quantity * price * instrument.multiplier) - fee
    return Change(after, average, realised, cash)


def value_of(holding: Holding, price: Decimal, instrument: Instrument) -> Decimal:
    """Return what a position adds to equity: its worth, or its unrealised profit where it is margined."""
    basis = price - holding.average_price if instrument.margined else price
    return (holding.quantity * basis * instrument.multiplier).quantize(_QUANTUM, context=_WIDE)


def unrealised_pnl(holding: Holding, price: Decimal, instrument: Instrument) -> Decimal:
    """Return the profit a position would give at this price, before fees."""
    return round_amount(holding.quantity * (price - holding.average_price) * instrument.multiplier)
