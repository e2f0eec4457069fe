"""An order and everything its checks look at, worked out once."""

from services.risk.core.bodies import OrderTerms
from services.risk.core.positions import HeldMark, Position
from services.risk.core.state import Account, FirmState
from services.risk.core.terms import Terms
from services.risk.core.units import BPS, SCALE, SCALE2
from services.risk.core.valuation import name_row, price, rate_mark


class Case:
    """An order in its account; money, quantities and prices in units of 10^-10.

    Worked out when it is made; `replaces` is what an order being replaced holds already. A plain class, as it is made
    for every order.
    """

    # The marks beside the symbol's own that it is valued with, and their names.
    others: tuple[tuple[str, HeldMark], ...]

    def __init__(
        self,
        state: FirmState,
        account: Account,
        order: OrderTerms,
        now: int,
        terms: Terms,
        mark: HeldMark,
        position: Position | None,
        replaces: int | None,
    ) -> None:
        if position is None:
            position = Position(terms)
            name_row(state, position)
            price(state, account, position)
        self.state, self.account, self.order, self.now = state, account, order, now
        self.terms, self.mark, self.position, self.buy = terms, mark, position, order.buy
        profile = self.profile = account.profile
        held, quantity = position.quantity, order.quantity
        # What one unit counts for in exposures, without and with its direction.
        exposure = self.exposure = position.exposure
        self.direction = position.direction
        # What the order adds to the open quantity of its side; of a replacement less than its quantity.
        adds = self.adds = quantity if replaces is None else max(quantity - replaces, 0)
        if order.buy:
            path, other = held + position.open_buy, held - position.open_sell
            path_after = path + adds
            reduces = held < 0 and path_after <= 0
        else:
            path, other = held - position.open_sell, held + position.open_buy
            path_after = path - adds
            reduces = held > 0 and path_after >= 0
        unit = position.unit
        if not order.limit:
            beyond = unit * profile.collar_bps // BPS
        elif order.limit > mark.price:
            beyond = (order.limit - mark.price) * terms.multiplier * position.rate // SCALE
        else:
            beyond = 0
        worst = abs(path_after) * exposure
        if not reduces:
            # Only what opens is valued beyond the mark: a resting order fills when the market is there.
            worst += beyond * (quantity if path == 0 or (path > 0) == order.buy else max(quantity - abs(path), 0))
            reduces = adds == 0
        # Whether it can only bring the position nearer to zero, with all open orders of its side filled.
        self.reduces = reduces
        other_worst = abs(other) * exposure
        # The notional of the symbol at the worst its open orders and this one can lead to, and what that adds.
        self.worst_after = -(-(worst if worst > other_worst else other_worst) // SCALE2)
        self.growth = self.worst_after - position.worst
        # The order's worth, of scale 10^-30: a market order's at the collar, a limit order's at the worse of limit and
        # mark. Worse is higher for sells too: what rests above the mark is a larger position when it fills.
        self.worth = quantity * (unit + beyond)
        plain = terms.underlying is None and terms.currency == account.base_currency
        self.others = () if plain else _others(state, account, terms)


def _others(state: FirmState, account: Account, terms: Terms) -> tuple[tuple[str, HeldMark], ...]:
    found = []
    if terms.currency != account.base_currency:
        rate, _ = rate_mark(state, account, terms.currency)
        if rate is not None:
            found.append((f"{terms.currency} in {account.base_currency}", rate))
    if terms.underlying is not None:
        underlying = state.mark(account, terms.underlying)
        if underlying is not None:
            found.append((terms.underlying, underlying))
    return tuple(found)
