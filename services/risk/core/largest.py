"""The largest quantity of a denied order that would have passed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from services.risk.core.bodies import Broken, OrderTerms
from services.risk.core.checks import Evaluation, evaluate
from services.risk.core.checks.case import Case
from services.risk.core.state import Account, FirmState, OrderRecord
from shared.schemas.denials import DenialCode

# A smaller order would break these too: there is no largest quantity that would have passed.
_WHATEVER_THE_SIZE: Final = frozenset(
    {
        DenialCode.NOT_RECONCILED,
        DenialCode.INSTRUMENT_UNKNOWN,
        DenialCode.INSTRUMENT_NOT_TRADABLE,
        DenialCode.TICK_SIZE,
        DenialCode.MESSAGE_RATE,
        DenialCode.REPEATED_EXECUTION,
        DenialCode.PRICE_COLLAR,
        DenialCode.FX_RATE_MISSING,
        DenialCode.MARK_MISSING,
        DenialCode.MARK_STALE,
        DenialCode.MARK_QUALITY,
        DenialCode.MAX_OPEN_ORDERS,
        DenialCode.SELF_MATCH,
        DenialCode.VAR_UNAVAILABLE,
    }
)
# Broken by this very quantity, not by what is more.
_OF_THIS_SIZE: Final = frozenset({DenialCode.DUPLICATE_ORDER, DenialCode.LOT_SIZE})
# In proportion to the order, not to what it adds; nor is what reduces let off.
_OF_THE_ORDER: Final = frozenset(
    {DenialCode.MAX_ORDER_QUANTITY, DenialCode.MAX_ORDER_VALUE, DenialCode.LIQUIDITY_LIMIT}
)
# So many more tries than halving takes, at most: what is guessed may be wrong all the time.
_SPARE: Final = 8
# What a line cannot tell: a float holds 53 bits.
_NOISE_BITS: Final = 48
# Guesses in a row that do not halve what is left.
_GUESSES: Final = 2
# A line that rises so slowly tells nothing.
_FAR: Final = 1e6


def largest_passing(
    state: FirmState,
    account: Account,
    order: OrderTerms,
    now: int,
    found: Evaluation,
    replaces: OrderRecord | None = None,
) -> int:
    """Return the largest quantity, in whole lots and at most the order's, that would pass; 0 where none would.

    `found` is what the checks found for the order. What passes at one size passes at every smaller one.
    """
    case = found.case
    if case is None or any(each.code in _WHATEVER_THE_SIZE for each in found.broken):
        return 0
    lot = state.instruments[order.symbol].lot

    def evaluated(lots: int) -> Evaluation:
        return evaluate(state, account, replace(order, quantity=lots * lot), now, replaces)

    return search((order.quantity - 1) // lot, Clues(case, found, lot), evaluated) * lot


def search(most: int, clues: "Clues", evaluated: Callable[[int], Evaluation]) -> int:
    """Return the number of lots, at most `most`, that pass where one more does not; more than `most` do not.

    Like bisection it keeps a number that passes and one that does not, and ends where they are neighbours. Between
    them it tries what the clues say, as a secant does, and halves where they lead nowhere: it never takes more than
    `_SPARE` tries on top of what halving takes.
    """
    # `low` lots pass, or are none; more than `high` do not, or were not asked for.
    low, high = 0, most
    tries, turn, aside = most.bit_length() + _SPARE, 0, 0
    while low < high:
        tries -= 1
        width = high - low
        lots = 0
        if width.bit_length() <= tries:
            if turn < _GUESSES and low < clues.guess <= high:
                lots, turn = clues.guess, turn + 1
            else:
                lots, aside = clues.beside(aside, low, high), aside + 1
        if not low < lots <= high:
            lots = (low + high + 1) // 2
        found = evaluated(lots)
        if found.broken:
            high = lots - 1
            clues.fails(lots, found)
        else:
            low = lots
            clues.passes(lots, found)
        if 2 * (high - low) < width:
            turn = aside = 0
    return low


class Clues:
    """Where an order would begin to pass, by what the checks found at other sizes; everything in lots.

    Each broken rule is taken as a straight line in the quantity, and so is the worst share of a limit that is used.
    """

    def __init__(self, case: Case, found: Evaluation, lot: int) -> None:
        order, held = case.order, case.position
        self._lot = lot
        # A quantity that adds nothing, as an order being replaced holds it; and the most that only closes.
        self._nothing = order.quantity - case.adds
        if case.buy:
            near, far, closes = held.highest, -held.lowest, held.quantity < 0
        else:
            near, far, closes = -held.lowest, held.highest, held.quantity > 0
        self._closing = self._nothing + (max(-near, 0) if closes else 0)
        # Up to there the open orders of the other side lead further from zero than those of its own.
        turning = self._nothing + max(far - near - 1, 0)
        self._bends = (self._closing // lot, self._closing // lot + 1, turning // lot, turning // lot + 1)
        # The smallest quantity that is broken, and before it a larger one.
        self._quantity, self._broken = order.quantity, found.broken
        self._larger = 0
        self._values: dict[DenialCode, float] = {}
        # Numbers and shares: of the smallest that fails, of the largest two that pass.
        self._above, self._above_share = -(-order.quantity // lot), found.worst
        self._low, self._low_share = 0, 0.0
        self._lower, self._lower_share = 0, 0.0
        # Where all that is broken would hold.
        self.guess = self._guessed()

    def fails(self, lots: int, found: Evaluation) -> None:
        """Note what is found of a number that does not pass."""
        self._larger = self._quantity
        self._values = {each.code: each.value for each in self._broken if each.value is not None}
        self._quantity, self._broken = lots * self._lot, found.broken
        self._above, self._above_share = lots, found.worst
        self.guess = self._guessed()

    def passes(self, lots: int, found: Evaluation) -> None:
        """Note what is found of a number that passes."""
        self._lower, self._lower_share = self._low, self._low_share
        self._low, self._low_share = lots, found.worst

    def beside(self, turn: int, low: int, high: int) -> int:
        """Return what to try where the guess leads nowhere, by turns; what is not within the two is the middle."""
        if turn == 0:
            noise = (self._quantity >> _NOISE_BITS) // self._lot
            return low + 1 + noise if self.guess <= low else high - noise
        for bend in self._bends:
            if low < bend <= high:
                return bend
        if turn == 1:
            return self._low + self._step(self._above_share - self._low_share, self._above - self._low)
        if turn == 2:
            return self._low + self._step(self._low_share - self._lower_share, self._low - self._lower)
        return 0

    def _guessed(self) -> int:
        return min([self._room(each) for each in self._broken]) // self._lot

    def _room(self, broken: Broken) -> int:
        """Return the quantity at which a broken rule would begin to hold."""
        quantity, code, value, limit = self._quantity, broken.code, broken.value, broken.limit
        if code in _OF_THIS_SIZE:
            return quantity - 1
        if broken.measured is None or value is None or limit is None:
            return self._closing
        beyond = value - limit
        larger = self._values.get(code)
        nothing = 0 if code in _OF_THE_ORDER else self._nothing
        if larger is not None and larger > value:
            # Through the last two: exact where nothing bends between them and the limit.
            back = float(self._larger - quantity) * (beyond / (larger - value))
        elif value > broken.measured:
            # Through what there is without the order: exact where it bends nowhere.
            back = float(quantity - nothing) * (beyond / (value - broken.measured))
        else:
            back = float(quantity)
        room = quantity - round(back) if back < quantity else 0
        # Rather too much by a hair, which whole lots forgive, than too little.
        room += room >> _NOISE_BITS
        return room if code in _OF_THE_ORDER or code is DenialCode.PARENT_EXCEEDED else max(room, self._closing)

    def _step(self, rise: float, run: int) -> int:
        """Return how far from the largest that passes a line comes to a share of 1."""
        left = 1.0 - self._low_share
        if rise <= 0.0 or left >= rise * _FAR:
            return 0
        return round(float(run) * (left / rise))
