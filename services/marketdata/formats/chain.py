"""What the option chain formats share."""

from collections.abc import Iterable
from decimal import Decimal

from shared.schemas.marketdata import OptionQuote, OptionRight


def total_open_interest(quotes: Iterable[OptionQuote], right: OptionRight) -> Decimal | None:
    """Return the open interest of all calls, or all puts, that have one; None if none has."""
    known = [quote.open_interest for quote in quotes if quote.right is right and quote.open_interest is not None]
    return sum(known, Decimal(0)) if known else None
