"""An order and everything its checks look at, worked out once."""

from services.risk.core.bodies import OrderTerms
from services.risk.core.positions import HeldMark, Position
from services.risk.core.state import Account, FirmState, OrderRecord
from services.risk.core.terms import Profile, Terms
from services.risk.core.units import BPS, SCALE, SCALE2
from services.risk.core.valuation import name_row, price, rate_mark


class Case:
    """An order in its account; money, quantities and prices in units of 10^-10.

    Worked out when it is made. Of a change `order` is what would be left of the order, and `replaces` the order as it
    stands: what that holds already is counted once. A plain class, as it is made for every order.
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
        replaces: OrderRecord | None,
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
        # What the order adds to the open quantity of its side; of a change less than its quantity.
        own = self.own = 0 if replaces is None else replaces.held
        adds = self.adds = quantity - own if quantity > own else 0
        if order.buy:
            path, other = held + position.open_buy, held - position.open_sell
            path_after = path + adds
            reduces = held < 0 and path_after <= 0
            rest = path - own
        else:
            path, other = held - position.open_sell, held + position.open_buy
            path_after = path - adds
            reduces = held > 0 and path_after >= 0
            rest = path + own
        self.path_after = path_after
        unit = position.unit
        beyond = _beyond(position, mark, profile, order.limit)
        # A change that adds nothing and is no nearer to the market than the order stands already.
        self.backs_off = replaces is not None and adds == 0 and _not_nearer(order, replaces.order)
        worst = abs(path_after) * exposure
        if not reduces:
            # Only what opens is valued beyond the mark: a resting order fills when the market is there.
            opens = quantity if rest == 0 or (rest > 0) == order.buy else max(quantity - abs(rest), 0)
            worst += beyond * opens
            if self.backs_off and replaces is not None:
                # That much beyond it stands already; only what is sold dearer than before comes on top.
                worst -= min(_beyond(position, mark, profile, replaces.order.limit), beyond) * opens
        # Whether it can only bring the position nearer to zero, with all open orders of its side filled; or changes
        # an order so that it is no more, and no nearer to the market, than it is.
        self.reduces = reduces or self.backs_off
        other_worst = abs(other) * exposure
        # The notional of the symbol at the worst its open orders and this one can lead to, and what that adds.
        self.worst_after = -(-(worst if worst > other_worst else other_worst) // SCALE2)
        self.growth = self.worst_after - position.worst
        # The order's worth, of scale 10^-30: a market order's at the collar, a limit order's at the worse of limit and
        # mark. Worse is higher for sells too: what rests above the mark is a larger position when it fills.
        self.worth = quantity * (unit + beyond)
        # What of that the order does not hold already.
        self.adds_worth = adds * unit + quantity * beyond
        plain = terms.underlying is None and terms.currency == account.base_currency
        self.others = () if plain else _others(state, account, terms)


def _beyond(position: Position, mark: HeldMark, profile: Profile, limit: int) -> int:
    """Return by how much a unit may cost more than at the mark: at the limit, without one at the collar."""
    if not limit:
        return position.unit * profile.collar_bps // BPS
    if limit <= mark.price:
        return 0
    return (limit - mark.price) * position.terms.multiplier * position.rate // SCALE


def _not_nearer(order: OrderTerms, stands: OrderTerms) -> bool:
    return order.limit <= stands.limit if order.buy else order.limit >= stands.limit


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
