"""Which executions are not believed, and what an account's gained beside the mark until now.

A false fill makes money by its price or by its fee. One large enough is found by itself; many small ones only together.
"""

from typing import Final

from services.risk.core.state import Account, FirmState
from services.risk.core.terms import OFF, Terms
from services.risk.core.units import SCALE, SCALE3, half_even

# Doubted long before; beyond it the sum would not fit its field.
_MOST_GAIN: Final = 10**17 * SCALE


def doubted(state: FirmState, account: Account, terms: Terms, signed: int, price: int, fee: int, rate: int) -> bool:
    """Tell whether a fill is not believed before the broker's cash and positions agree.

    It is not where its fee, or where it is further from the mark than it can jump what that makes in money, is more
    than the profile believes; nor where by it the fills together gain more than that of the equity of the day's start.
    """
    profile = account.profile
    if _beyond_belief(state, account, terms, abs(signed) * terms.multiplier * rate, price, fee):
        return True
    gain = gain_of(state, account, terms.symbol, signed, price, fee, terms.multiplier * rate)
    return gain > 0 and (account.fills_gain + gain) * SCALE > profile.fill_doubt * max(account.start_of_day_equity, 1)


def _beyond_belief(state: FirmState, account: Account, terms: Terms, size: int, price: int, fee: int) -> bool:
    """Tell whether a fill alone is further from the mark than it can jump, and by more money than is believed.

    `size` is of scale 10^-30. Where an instrument may jump as far as it likes, such as an option, the money decides,
    and so it does of a fee.
    """
    believed = account.profile.fill_doubt * max(account.equity, 1)
    if abs(fee) * SCALE > believed:
        return True
    mark = state.mark(account, terms.symbol)
    if mark is None:
        return False
    away = abs(price - mark.price)
    far = terms.max_jump == OFF or away * SCALE > terms.max_jump * mark.price
    return far and away * size // SCALE3 * SCALE > believed


def gain_of(state: FirmState, account: Account, symbol: str, signed: int, price: int, fee: int, worth: int) -> int:
    """Return what a fill gained beside the mark, less its fee, in the account's currency; below zero a loss.

    `worth` is that of one unit of quantity at a price of one, of scale 10^-20. Without a mark there is only the fee.
    """
    mark = state.mark(account, symbol)
    if mark is None:
        return -fee
    return half_even((mark.price - price) * signed * worth, SCALE3) - fee


def count_gain(account: Account, gain: int) -> None:
    """Add what a fill gained to the sum of those before it, which never falls below zero.

    So it is the largest sum of any unbroken row of fills that ends with the newest (Page's cumulative sum, 1954): fees
    and spreads that were truly paid make no room for false gains after them. What is lost after a gain lowers the sum,
    as it takes back what may be made up in the account's equity.
    """
    account.fills_gain = min(max(account.fills_gain + gain, 0), _MOST_GAIN)


def forget_gain(account: Account) -> None:
    """Begin the sum anew: positions and cash agree with the broker's, or a day begins."""
    account.fills_gain = 0
