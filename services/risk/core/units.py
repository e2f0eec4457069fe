"""Fixed point: amounts as whole numbers of 10^-10, time as whole microseconds.

Comparing whole numbers is exact as decimals are, and many times as fast.
"""

from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from operator import truediv
from typing import Final

from shared.money import DECIMAL_PLACES

SCALE: Final[int] = 10**DECIMAL_PLACES
SCALE2: Final[int] = SCALE**2
SCALE3: Final[int] = SCALE**3
# Basis points in one.
BPS: Final = 10_000
# Sums of many amounts have more digits than one amount may.
_WIDE: Final = Context(prec=60)
# No live market's time lies before 2000; one that does was read in another unit, or never set.
LIVE_SINCE: Final[int] = 946_684_800_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def units(amount: Decimal) -> int:
    """Return an amount, or a price or quantity, in units of 10^-10."""
    return int(amount.scaleb(DECIMAL_PLACES, _WIDE))


def amount(value: int) -> Decimal:
    """Return the decimal of units of 10^-10."""
    return Decimal(value).scaleb(-DECIMAL_PLACES, _WIDE)


def of_float(fraction: float) -> int:
    """Return a fraction as it is written in units of 10^-10, so that 0.1 is a tenth exactly."""
    return units(round(Decimal(str(fraction)), DECIMAL_PLACES))


def text(value: int) -> str:
    """Return the shortest plain decimal of units of 10^-10, as `shared.money.format_decimal` does."""
    whole, rest = divmod(abs(value), SCALE)
    digits = f"{whole}.{rest:010d}".rstrip("0") if rest else str(whole)
    return f"-{digits}" if value < 0 else digits


def parse(shown: str) -> int:
    """Return the units of what `text` wrote."""
    whole, _, rest = shown.partition(".")
    value = int(whole) * SCALE
    if rest:
        part = int(rest.ljust(DECIMAL_PLACES, "0"))
        value += -part if shown[0] == "-" else part
    return value


def quotient(value: int, by: int) -> float:
    """Return the float nearest to a quotient of whole numbers, however large they are.

    By a function and not by `/`, which machine code takes of floats: where they are rounded first, it may differ in
    the last bit.
    """
    found: float = truediv(value, by)
    return found


def shown(value: int) -> float:
    """Return units of 10^-10 as they are shown."""
    return quotient(value, SCALE)


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient rounded to the nearest whole number, halves to even; the denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and whole & 1):
        return whole + 1
    return whole


def micros(moment: datetime) -> int:
    """Return microseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return the datetime, in UTC, of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def stamp(value: int) -> str:
    """Return microseconds since 1970 as `shared.schemas.base.format_utc` writes them."""
    seconds, rest = divmod(value, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z" if rest else f"{_second(seconds)}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


@lru_cache(maxsize=256)
def parse_stamp(shown: str) -> int:
    """Return the microseconds of what `stamp` wrote."""
    return micros(datetime.fromisoformat(shown))
