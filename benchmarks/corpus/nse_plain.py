"""What is wrong in the real NSE chains, found without any code of the project: plain Python over the text of the file.

The labels of the scorecard's real part. Shares are compared with the catalogue's bands, written out here.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import groupby
from math import exp
from pathlib import Path
from statistics import median

_IST = timedelta(hours=5, minutes=30)
_HOLIDAYS = {date(2025, 10, 21), date(2025, 10, 22), date(2025, 11, 5)}
# The hour of Muhurat trading on a holiday.
_MUHURAT = (datetime(2025, 10, 21, 13, 45), datetime(2025, 10, 21, 14, 45))  # noqa: DTZ001
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# Of these one must do for all expiries of a snapshot: the one with which most strikes agree.
_RATES = [0.06 + 0.005 * i for i in range(11)]


@dataclass(slots=True)
class Leg:
    """The cells of a call or a put as numbers; None where empty."""

    expiry: date
    strike: float
    right: str
    interest: float | None
    volatility: float | None
    last: float | None
    bid: float | None
    ask: float | None
    quantities: list[float]

    @property
    def quoted(self) -> bool:
        return bool(self.bid and self.ask and 0 < self.bid <= self.ask)


@dataclass(slots=True)
class Plain:
    """One snapshot: its labels, and how much was compared and found."""

    moment: datetime
    is_open: bool
    labels: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)


def in_session(moment: datetime) -> bool:
    """Return whether NSE's derivatives traded at a moment of October or November 2025."""
    local = (moment + _IST).replace(tzinfo=None)
    if local.date() in _HOLIDAYS or local.weekday() >= 5:
        return _MUHURAT[0] <= local < _MUHURAT[1]
    return time(9, 15) <= local.time() < time(15, 30)


def plain_snapshots(path: Path) -> Iterator[Plain]:
    """Yield every snapshot with what is wrong in it."""
    before: list[list[str]] = []
    polls, first = 0, datetime.min  # noqa: DTZ901
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        next(reader)
        for stamp, rows in groupby(reader, key=lambda row: row[0]):
            moment = datetime.fromisoformat(stamp)
            cells = [row[1:] for row in rows]
            plain = Plain(moment, in_session(moment))
            same = cells == before
            if not plain.is_open:
                polls = 0
            elif same and polls:
                polls += 1
            else:
                polls, first = 1, moment
            before = cells
            _label(plain, polls >= 3, "stale_content")
            _label(plain, polls >= 2 and (moment - first).total_seconds() >= 300, "stale_age")
            plain.counts["polls_the_same"] = int(same)
            _read(plain, cells)
            yield plain


def _label(plain: Plain, is_fault: bool, code: str) -> None:
    if is_fault:
        plain.labels.add(code)


def _read(plain: Plain, rows: list[list[str]]) -> None:
    legs = [leg for row in rows for leg in _legs(row)]
    spots = [float(row[3]) for row in rows if row[3]]
    spot = max(set(spots), key=spots.count) if spots else 0.0
    _label(plain, not plain.is_open, "outside_session")
    _label(plain, not spots, "required_field_missing")
    _label(plain, not legs, "optional_field_missing")
    _label(plain, len(set(spots)) > 1, "spot_several")
    _label(plain, 0.0 in spots, "spot_zero")
    plain.counts |= {
        "legs": len(legs),
        "last_zero": sum(leg.last == 0 for leg in legs),
        "volatility_zero": sum(leg.volatility == 0 for leg in legs),
        "interest_not_whole": sum(leg.interest is not None and leg.interest % 1 > 0 for leg in legs),
        "interest_in_thirds": sum(
            leg.interest is not None and leg.interest % 1 > 0 and abs(leg.interest * 3 - round(leg.interest * 3)) < 1e-6
            for leg in legs
        ),
        "crossed": sum(bool(leg.bid and leg.ask and leg.bid > leg.ask) for leg in legs),
    }
    # Lots of 75 were lots of 25 when far expiries were listed: thirds are what they are counted in.
    _label(plain, plain.counts["interest_not_whole"] > plain.counts["interest_in_thirds"], "open_interest_fractional")
    _label(plain, any((leg.interest or 0) < 0 for leg in legs), "open_interest_negative")
    _label(plain, any(min([*leg.quantities, 0]) < 0 for leg in legs), "quantity_negative")
    if legs:
        _listing(plain, legs, spot)
    if legs and plain.is_open:
        _label(plain, plain.counts["crossed"] > 0, "quote_crossed")
        _books(plain, legs, spot)


def _listing(plain: Plain, legs: list[Leg], spot: float) -> None:
    usable: dict[tuple[date, float], bool] = {}
    for leg in legs:
        key = (leg.expiry, leg.strike)
        usable[key] = usable.get(key, False) or leg.quoted or bool(leg.last)
    _label(plain, sum(not use for use in usable.values()) / len(usable) >= 0.7, "strikes_filtered")
    near = [leg.right for leg in legs if 0.9 * spot <= leg.strike <= 1.1 * spot]
    calls = near.count("C")
    _label(plain, bool(near) and abs(calls - (len(near) - calls)) / len(near) >= 0.15, "call_put_balance")
    plain.counts["calls"], plain.counts["puts"] = (sum(leg.right == right for leg in legs) for right in "CP")


def _books(plain: Plain, legs: list[Leg], spot: float) -> None:
    series: dict[tuple[str, date], list[Leg]] = defaultdict(list)
    for leg in legs:
        if leg.quoted:
            series[leg.right, leg.expiry].append(leg)
    quoted = [leg for chain in series.values() for leg in chain]
    _label(plain, sum(leg.bid == leg.ask for leg in quoted) / len(quoted) >= 0.01, "quote_locked")
    stated = [
        leg
        for leg in quoted
        if leg.volatility is not None and leg.last != 0 and 0.9 * spot <= leg.strike <= 1.1 * spot
        and (leg.strike >= spot if leg.right == "C" else leg.strike <= spot)
    ]  # fmt: skip
    wrong = sum(leg.volatility == 0 or (leg.volatility or 0) > 200 for leg in stated)
    _label(plain, wrong / len(stated) >= 0.1, "implied_volatility")
    for step, suffix in ((0.0, "_strictly"), (0.05, "")):
        pairs, triples = _across_strikes(series, step)
        for name, (number, broken) in (("strike_monotony", pairs), ("butterfly", triples)):
            plain.counts[f"{name}{suffix}"] = broken
            plain.counts[f"{name}_compared"] = number
    _label(
        plain, plain.counts["strike_monotony"] / plain.counts["strike_monotony_compared"] >= 0.005, "strike_monotony"
    )
    _label(plain, plain.counts["butterfly"] / plain.counts["butterfly_compared"] >= 0.02, "butterfly")
    _parity(plain, series, spot)


def _across_strikes(series: dict[tuple[str, date], list[Leg]], step: float) -> tuple[tuple[int, int], tuple[int, int]]:
    pairs = broken_pairs = triples = broken_triples = 0
    gain = step + 1e-6
    for (right, _), chain in series.items():
        # In the order in which prices fall.
        chain.sort(key=lambda leg: leg.strike, reverse=right == "P")
        for i, leg in enumerate(chain):
            if i:
                pairs += 1
                broken_pairs += (leg.bid or 0) > (chain[i - 1].ask or 0) + gain
            if 0 < i < len(chain) - 1:
                dear, cheap = chain[i - 1], chain[i + 1]
                part = abs(cheap.strike - leg.strike) / abs(cheap.strike - dear.strike)
                triples += 1
                broken_triples += (leg.bid or 0) > part * (dear.ask or 0) + (1 - part) * (cheap.ask or 0) + gain
    return (pairs, broken_pairs), (triples, broken_triples)


def _parity(plain: Plain, series: dict[tuple[str, date], list[Leg]], spot: float) -> None:
    today = plain.moment.date()
    # By expiry: years, and the strike with its bounds of C - P.
    expiries: list[tuple[float, list[tuple[float, float, float]]]] = []
    for (right, expiry), calls in series.items():
        puts = {leg.strike: leg for leg in series.get(("P", expiry), [])} if right == "C" else {}
        both = [(c, puts[c.strike]) for c in calls if c.strike in puts and 0.9 * spot <= c.strike <= 1.1 * spot]
        if len(both) >= 4:
            bounds = [(c.strike, (c.bid or 0) - (p.ask or 0), (c.ask or 0) - (p.bid or 0)) for c, p in both]
            expiries.append((max((expiry - today).days, 0) / 365, bounds))
    strikes = sum(len(bounds) for _, bounds in expiries)
    broken = strikes - max(sum(_agree(*expiry, rate, spot * 1e-4) for expiry in expiries) for rate in _RATES)
    plain.counts |= {
        "put_call_parity_compared": strikes,
        "put_call_parity": broken,
        "put_call_parity_strictly": strikes
        - max(sum(_agree(*expiry, rate, 0.0) for expiry in expiries) for rate in _RATES),
        "put_call_parity_by_median_of_mids": sum(_off_the_median(*expiry, spot * 1e-4) for expiry in expiries),
    }
    _label(plain, broken / strikes >= 0.02, "put_call_parity")


def _off_the_median(years: float, bounds: list[tuple[float, float, float]], allowed: float) -> int:
    """Count what one finds who takes the median of the mids for the forward, and 6.5 % for the rate."""
    levels = [(low + exp(-0.065 * years) * strike, high + exp(-0.065 * years) * strike) for strike, low, high in bounds]
    level = median((low + high) / 2 for low, high in levels)
    return sum(not low - allowed <= level <= high + allowed for low, high in levels)


def _agree(years: float, bounds: list[tuple[float, float, float]], rate: float, allowed: float) -> int:
    """Return with how many strikes one forward agrees, by walking over the ends of what each allows."""
    discount = exp(-rate * years)
    ends = [(low + discount * strike - allowed, 0) for strike, low, _ in bounds]
    ends += [(high + discount * strike + allowed, 1) for strike, _, high in bounds]
    depth = most = 0
    for _, is_end in sorted(ends):
        depth += -1 if is_end else 1
        most = max(most, depth)
    return most


def _legs(row: list[str]) -> Iterator[Leg]:
    day, month, year = row[1].split("-")
    expiry = date(int(year), _MONTHS.index(month) + 1, int(day))
    for right, at in (("C", 4), ("P", 12)):
        if any(row[at : at + 8]):
            interest, _, volatility, last, bid_size, bid, ask, ask_size = (
                float(cell) if cell else None for cell in row[at : at + 8]
            )
            sizes = [size for size in (bid_size, bid, ask, ask_size, last) if size is not None]
            yield Leg(expiry, float(row[2]), right, interest, volatility, last, bid, ask, sizes)
