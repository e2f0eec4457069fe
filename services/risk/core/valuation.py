"""What positions are worth, and the sums over them that the checks compare."""

from functools import lru_cache

from services.risk.core.positions import HeldMark, Position
from services.risk.core.state import Account, FirmState
from services.risk.core.terms import Terms
from services.risk.core.units import SCALE, SCALE2, half_even


def position_in(state: FirmState, account: Account, symbol: str) -> Position:
    """Return the position in a symbol; a new, empty one where there was none."""
    position = account.positions.get(symbol)
    if position is None:
        position = Position(state.instruments[symbol])
        account.positions[symbol] = position
        enlist(state, account, position)
        price(state, account, position)
    return position


def enlist(state: FirmState, account: Account, position: Position) -> None:
    """Note which marks value a position, and which returns it moves with."""
    name_row(state, position)
    key = account.account_id, position.terms.symbol
    for each in _valued_by(account, position.terms):
        state.valued_by.setdefault((account.simulation_id, each), {})[key] = (account, position)


def name_row(state: FirmState, position: Position) -> None:
    """Note which returns a position moves with, and with how much a unit: once, and not at every order."""
    position.row = None if state.scenarios is None else state.scenarios.row_of(position.terms)
    position.weigh()


def rate_mark(state: FirmState, account: Account, currency: str) -> tuple[HeldMark | None, bool]:
    """Return the mark of a currency's rate in the account's, and whether it is the inverse that is marked."""
    symbol, inverse = rate_symbols(currency, account.base_currency)
    direct = state.marks.get((account.simulation_id, symbol))
    if direct is not None:
        return direct, False
    return state.marks.get((account.simulation_id, inverse)), True


@lru_cache(maxsize=1_024)
def rate_symbols(currency: str, base: str) -> tuple[str, str]:
    """Return the symbol whose mark is what one unit of a currency is worth in another, and that of the inverse."""
    return f"{currency}/{base}", f"{base}/{currency}"


def rate_of(state: FirmState, account: Account, currency: str) -> int:
    """Return a currency's rate in the account's, of scale 10^-10; 0 where none is known.

    An inverse is rounded to ten places: a fill is booked at what its row in the journal says, and a position must be
    worth what was paid for it at the same price.
    """
    if currency == account.base_currency:
        return SCALE
    mark, inverse = rate_mark(state, account, currency)
    if mark is None:
        return 0
    return half_even(SCALE2, mark.price) if inverse else mark.price


def price(state: FirmState, account: Account, position: Position) -> None:
    """Take what one unit of a position is worth from the marks; its cost where there is no mark."""
    mark = position.mark = state.marks.get((account.simulation_id, position.terms.symbol))
    unit, direction, rate = unit_worth(state, account, position.terms, mark, position.average_price)
    position.unit, position.direction, position.rate = unit, direction, rate
    position.exposure = max(unit, abs(direction))
    position.weigh()


def unit_worth(
    state: FirmState, account: Account, terms: Terms, mark: HeldMark | None, otherwise: int = 0
) -> tuple[int, int, int]:
    """Return what one unit is worth and what it counts for in exposures, of scale 10^-20, and its currency's rate.

    An option counts for its delta's share of its underlying, or for its premium where that is more; an
    unknown delta counts as 1.
    """
    rate = SCALE if terms.currency == account.base_currency else rate_of(state, account, terms.currency)
    unit = (mark.price if mark else otherwise) * terms.multiplier
    if rate != SCALE:
        unit = half_even(unit * rate, SCALE)
    underlying = state.mark(account, terms.underlying) if terms.underlying else None
    if underlying is None:
        return unit, unit, rate
    delta = SCALE if mark is None or mark.delta is None else mark.delta
    return unit, half_even(delta * underlying.price * terms.multiplier * rate, SCALE2), rate


def settle(account: Account, position: Position) -> None:
    """Put a position whose quantity or worth changed into the account's sums."""
    account.tail.stale = True
    value, now = position.value, position.now
    before = position.worst, position.low, position.high, position.margin, position.open_value
    position.measure()
    account.value += position.value - value
    account.gross_now += position.now - now
    if position.terms.margined:
        account.leverage_now += position.now - now
    _add(account, position, *before)
    account.equity = account.cash + account.value
    account.caps = None


def settle_reserved(account: Account, position: Position) -> None:
    """Put a position whose open quantities alone changed into the account's sums."""
    before = position.worst, position.low, position.high, position.margin, position.open_value
    position.measure_reserved()
    _add(account, position, *before)


def _add(account: Account, position: Position, worst: int, low: int, high: int, margin: int, open_value: int) -> None:
    terms, more = position.terms, position.worst - worst
    account.low += position.low - low
    account.high += position.high - high
    account.margin += position.margin - margin
    account.open_value += position.open_value - open_value
    if not more:
        return
    account.gross += more
    if terms.margined:
        account.leverage += more
    if terms.sector is not None:
        account.sectors[terms.sector] = account.sectors.get(terms.sector, 0) + more
    account.asset_classes[terms.asset_class] = account.asset_classes.get(terms.asset_class, 0) + more


def change_terms(state: FirmState, terms: Terms) -> None:
    """Put new terms of an instrument into the positions in it, and their sums under the new names."""
    for account in state.accounts.values():
        position = account.positions.get(terms.symbol)
        if position is None:
            continue
        _take_out(account, position)
        for each in _valued_by(account, position.terms):
            del state.valued_by[account.simulation_id, each][account.account_id, terms.symbol]
        position.terms = terms
        enlist(state, account, position)
        price(state, account, position)
        settle(account, position)


def _take_out(account: Account, position: Position) -> None:
    kept = position.quantity, position.open_buy, position.open_sell
    position.quantity = position.open_buy = position.open_sell = 0
    settle(account, position)
    position.quantity, position.open_buy, position.open_sell = kept


def _valued_by(account: Account, terms: Terms) -> list[str]:
    found = [terms.symbol]
    if terms.underlying is not None:
        found.append(terms.underlying)
    if terms.currency != account.base_currency:
        found += rate_symbols(terms.currency, account.base_currency)
    return found
