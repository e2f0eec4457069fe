"""Judge trades, books, funding rates and liquidations: those of one symbol at a time, oldest first."""

from dataclasses import dataclass, field

import numpy as np

from services.marketdata.core.flags import Flags, Floats, Longs, Mask
from services.marketdata.core.outliers import outlier_scores
from services.marketdata.core.stream.lanes import SPREAD_FLOOR
from services.marketdata.core.thresholds import DEFAULTS, Thresholds

_NONE: Floats = np.empty(0)
_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class EventSeries:
    """What the rows of one symbol have in common; times are microseconds since 1970.

    `now` is None where they are not live. `before` are usable prices before them, oldest first; `in_session` says of
    each row whether its market was open. `lead` is by how many seconds the source's clock is known to be ahead of ours.
    """

    ts: Longs
    now: int | None = None
    before: Floats = field(default_factory=lambda: _NONE)
    thresholds: Thresholds = DEFAULTS
    in_session: Mask | None = None
    lead: float = 0.0


def judge_trades(series: EventSeries, price: Floats, quantity: Floats) -> Flags:
    """Return what is wrong with each trade, or liquidation."""
    flags = _flags(series)
    flags.count(series.thresholds, "price_not_positive", price <= 0, "the price is zero or negative")
    flags.count(series.thresholds, "quantity_negative", quantity < 0, "the quantity is negative")
    _outliers(series, flags, price)
    return flags


def judge_books(series: EventSeries, bid: Floats, ask: Floats, least: Floats, misplaced: Floats) -> Flags:
    """Return what is wrong with each book.

    `bid` and `ask` are its first prices, NaN where a side is empty; `least` is the least price of all its levels, and
    `misplaced` how many of them are not worse than the one before on their side.
    """
    flags = _flags(series)
    flags.measure(series.thresholds, "book_unsorted", misplaced, "levels are not best first, each price once")
    flags.count(series.thresholds, "book_empty", np.isnan(bid) & np.isnan(ask), "the book has no level on either side")
    with np.errstate(invalid="ignore"):
        flags.count(series.thresholds, "price_not_positive", least <= 0, "a price is zero or negative")
        flags.count(series.thresholds, "quote_crossed", bid > ask, "the best bid is above the best ask")
        locked = bid == ask
    both = ~(np.isnan(bid) | np.isnan(ask))
    if both.any():
        share = np.where(locked, locked.sum() / both.sum(), 0.0)
        flags.measure(series.thresholds, "quote_locked", share, "the best bid is the best ask")
    _spread(series, flags, bid, ask)
    places = np.flatnonzero(both)
    _outliers(series, flags, (bid[places] + ask[places]) / 2, places)
    return flags


def judge_funding(series: EventSeries, rate: Floats, interval_hours: Longs) -> Flags:
    """Return what is wrong with each funding rate; venues stamp it some milliseconds after the hour."""
    flags = _flags(series)
    length = interval_hours * _HOUR
    off = np.minimum(series.ts % length, length - series.ts % length) / 1e6
    flags.measure(series.thresholds, "funding_schedule", off, "the time is not one of the schedule's")
    flags.measure(series.thresholds, "funding_extreme", np.abs(rate), "the rate is far from zero")
    return flags


def _flags(series: EventSeries) -> Flags:
    flags = Flags(len(series.ts))
    if series.now is not None:
        ahead = (series.ts - series.now) / 1e6 - series.lead
        flags.measure(series.thresholds, "future_timestamp", ahead, "the row is of the future")
    if series.in_session is not None:
        flags.count(series.thresholds, "outside_session", ~series.in_session, "the market was closed")
    return flags


def _outliers(series: EventSeries, flags: Flags, price: Floats, rows: Longs | None = None) -> None:
    bands = series.thresholds["price_outlier"]
    least = min((band for band in (bands.warning, bands.critical) if band is not None), default=None)
    if least is None:
        return
    places, scores = outlier_scores(np.concatenate([series.before, price]), len(series.before), least)
    found = places if rows is None else rows[places]
    flags.measure(series.thresholds, "price_outlier", scores, "the price is far from those before it", found)


def _spread(series: EventSeries, flags: Flags, bid: Floats, ask: Floats) -> None:
    """Compare each spread with the median of the batch; of few books that says nothing.

    One of less than a basis point is that of a calm market, however many times one step of price it is.
    """
    spread = ask - bid
    usable = np.flatnonzero(spread > 0)
    if len(usable) < 20:
        return
    times = spread[usable] / float(np.median(spread[usable]))
    times = np.where(spread[usable] >= SPREAD_FLOOR * ask[usable], times, 0.0)
    flags.measure(series.thresholds, "spread_wide", times, "the spread is far above the median", usable)
