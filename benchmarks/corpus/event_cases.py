"""Cases of trades, liquidations and books: faults in made and real rows, and what only looks like one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Final

from benchmarks.corpus import event_faults as faults
from benchmarks.corpus.case import Case, rng_of
from benchmarks.corpus.event_faults import Change
from benchmarks.corpus.events import EVENT_MARKETS, EventMarket, Events, make_events, real_events
from benchmarks.corpus.rows import RowCase
from services.marketdata.rows.kinds import LIQUIDATIONS, ORDER_BOOKS, TICKS, RowKind

_OF_ALL: Final = (
    "price_outlier",
    "price_not_positive",
    "outside_session",
    "duplicate",
    "duplicate_conflicting",
    "out_of_order",
    "future_timestamp",
)
TRADE_CHECKS: Final = (*_OF_ALL, "quantity_negative")
BOOK_CHECKS: Final = (
    *_OF_ALL,
    "quote_crossed",
    "quote_locked",
    "spread_wide",
    "sequence_break",
    "book_unsorted",
    "book_empty",
)
_COIN, _NIGHT, _COARSE, _SHARE, _SMALL = EVENT_MARKETS
_SHARES: Final = (_SHARE, _SMALL)
_SUNDAY: Final = datetime(2026, 3, 8, 3, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Way:
    """A change of rows, whether it is a fault of `check`, in which markets, and whether in real rows too."""

    check: str
    title: str
    change: Change
    is_fault: bool
    markets: tuple[EventMarket, ...] = EVENT_MARKETS
    tolerated: frozenset[str] = frozenset()
    on_real: bool = True


def _of_all(price_of: str) -> tuple[_Way, ...]:
    """Return what may befall rows of any kind; `price_of` names what has a price."""
    doubled = frozenset({"duplicate"})
    outlier = frozenset({"price_outlier", "quote_locked"})
    return (
        *(
            _Way("price_outlier", f"one {price_of} times {by:g}", faults.one_price(by), True)
            for by in (1.002, 0.994, 1.02, 0.9, 10, 0.01)
        ),
        _Way("price_outlier", "a crash of 3 % over 30 rows", faults.moved(0.97, 30), False, on_real=False),
        _Way("price_outlier", "a crash of 8 % over 60 rows", faults.moved(0.92, 60), False, on_real=False),
        _Way("price_outlier", "a flash crash of 2 % and back", faults.moved(0.98, 15, 10), False, on_real=False),
        _Way("price_outlier", "news: half a per cent at once, and it stays", faults.moved(1.005, 1), False),
        _Way("price_outlier", "a share opens 2 % higher", faults.moved(1.02, 1), False, _SHARES, on_real=False),
        _Way("price_not_positive", f"a {price_of} of zero", faults.set_price(0.0), True, tolerated=outlier),
        _Way("price_not_positive", f"a {price_of} of -1", faults.set_price(-1.0), True, tolerated=outlier),
        _Way("price_not_positive", "prices of a few hundred-thousandths", faults.nothing, False, (_COARSE, _COARSE)),
        *(
            _Way("outside_session", title, faults.at(moment), True, _SHARES, on_real=False)
            for title, moment in (
                ("one on a Saturday", datetime(2026, 3, 7, 16, 0, tzinfo=UTC)),
                ("one after the close", datetime(2026, 3, 4, 21, 0, 1, tzinfo=UTC)),
            )
        ),
        *(
            _Way("outside_session", title, faults.starting(moment), is_fault, (_SHARE,), on_real=False)
            for title, moment, is_fault in (
                ("after a half day's close", datetime(2026, 11, 27, 18, 1, tzinfo=UTC), True),
                ("on a half day", datetime(2026, 11, 27, 17, 0, tzinfo=UTC), False),
                ("the first minutes of summer time", datetime(2026, 3, 9, 13, 31, tzinfo=UTC), False),
                ("an hour early in winter", datetime(2026, 3, 4, 13, 31, tzinfo=UTC), True),
            )
        ),
        _Way("outside_session", "coins on a Sunday", faults.starting(_SUNDAY), False, (_COIN, _NIGHT, _COARSE)),
        *(
            _Way("duplicate", f"{rows} rows twice in a batch", faults.twice(rows), True)
            for rows in (1, 3, 60)
        ),
        _Way("duplicate", "several of one moment", faults.one_moment, False),
        _Way("duplicate_conflicting", "a row twice, priced apart", faults.twice(1, 1.0001), True, tolerated=doubled),
        _Way("duplicate_conflicting", "rows twice, all the same", faults.twice(3), False, tolerated=doubled),
        *(
            _Way("out_of_order", f"{rows} rows come {by} rows late", faults.late(rows, by), True)
            for rows, by in ((1, 1), (3, 2), (30, 5))
        ),
        _Way("out_of_order", "a batch newest first", faults.newest_first, False),
        _Way("out_of_order", "several of one moment", faults.one_moment, False),
        *(
            _Way("future_timestamp", f"received {after:+g} s after, of a clock {lead:g} s ahead",
                 faults.received(after, lead), -after - lead > 0)
            for after, lead in ((-0.4, 0), (-1.5, 0), (-30, 0), (-1.5, 1.27), (-4.0, 1.27), (-1.27, 1.27), (0.05, 0),
                                (-3600, 0))
        ),
    )  # fmt: skip


_TRADES: Final = (
    *_of_all("price"),
    _Way("quantity_negative", "a quantity of -1", faults.set_quantity(-1.0), True),
    _Way("quantity_negative", "a quantity of a millionth less than zero", faults.set_quantity(-1e-6), True),
    _Way("quantity_negative", "a quantity of zero", faults.set_quantity(0.0), False),
)
# Without an id of the venue's, liquidations are told apart by what they are.
_IDS: Final = (
    *(
        _Way("duplicate_conflicting", f"the id of {by} trades before", faults.named_again(by), True)
        for by in (1, 50, 120)
    ),
    _Way("duplicate_conflicting", "the venue counts anew the next day", faults.named_again(0, days=1), False),
)
_CROSSING: Final = frozenset({"price_outlier"})
_BOOKS: Final = (
    *_of_all("book"),
    *(
        _Way("quote_crossed", f"{rows} books crossed by {ticks:g} steps", faults.crossed(rows, ticks), True)
        for rows, ticks in ((1, 1), (5, 3))
    ),
    _Way("quote_crossed", "a step between bid and ask", faults.crossed(250 // 2, -1), False, on_real=False),
    _Way("quote_crossed", "books without a side", faults.one_sided, False, tolerated=frozenset({"book_empty"})),
    *(
        _Way("quote_locked", f"bid equal to ask in {rows} books", faults.crossed(rows, 0), True, on_real=False)
        for rows in (1, 4, 25)
    ),
    _Way("quote_locked", "spreads of one step", faults.crossed(100, -1), False, on_real=False),
    *(
        _Way("spread_wide", f"a book {times:g} times as wide", faults.wider(times), times >= 8, tolerated=_CROSSING)
        for times in (3, 6, 9, 15, 80)
    ),
    _Way("spread_wide", "nobody quotes for ten books, 30 times as wide", faults.wider(30, 10), True),
    _Way("spread_wide", "twice as wide after news", faults.wider(2, 40), False),
    *(
        _Way("sequence_break", f"{updates} books lost", faults.lost(updates), True, on_real=False)
        for updates in (1, 5)
    ),
    _Way("sequence_break", "lost between two batches", faults.lost_before, True, on_real=False),
    _Way("sequence_break", "the venue counts anew", faults.began_anew(-6_000_000, named=True), True, on_real=False),
    *(
        _Way("sequence_break", f"a book comes again {by} books later", faults.went_back(by), True, on_real=False)
        for by in (2, 60)
    ),
    _Way("sequence_break", "a snapshot in between", faults.began_anew(5_000), False, on_real=False),
    _Way("sequence_break", "books without numbers", faults.unnumbered, False, on_real=False),
    _Way("sequence_break", "every update there", faults.nothing, False),
    *(
        _Way("book_unsorted", title, faults.levels(1, *order), True, on_real=False)
        for title, order in (
            ("worst first", (4, 3, 2, 1, 0)),
            ("two levels exchanged", (0, 2, 1, 3, 4)),
            ("a price twice", (0, 1, 1, 2, 3)),
        )
    ),
    _Way("book_unsorted", "five levels a side", faults.levels(100, 0, 1, 2, 3, 4), False, on_real=False),
    _Way("book_unsorted", "levels far apart", faults.levels(100, 0, 7, 90), False, on_real=False),
    *(_Way("book_empty", f"{rows} books without a level", faults.empty(rows), True) for rows in (1, 20)),
    _Way("book_empty", "nobody asks in 20 books", faults.empty(20, bids=False), False),
)  # fmt: skip


def trade_cases() -> Iterator[Case[RowCase]]:
    """Yield the cases of trades, and those of liquidations."""
    yield from _cases(TICKS, (*_TRADES, *_IDS))
    yield from _cases(LIQUIDATIONS, _TRADES)


def book_cases() -> Iterator[Case[RowCase]]:
    """Yield the cases of books."""
    yield from _cases(ORDER_BOOKS, _BOOKS)


def _cases(kind: RowKind, ways: tuple[_Way, ...]) -> Iterator[Case[RowCase]]:
    seeds = count()
    for way in ways:
        for market in way.markets:
            yield _case(way, "made", make_events(kind, market, rng_of(market.name, next(seeds))), next(seeds))
        for origin, events in real_events(kind) if way.on_real else ():
            yield _case(way, origin, events, next(seeds))
    for market in EVENT_MARKETS:
        for seed in range(6):
            yield Case(
                "", f"nothing: {market.name}", "made", make_events(kind, market, rng_of(market.name, seed)).case()
            )
    for origin, events in real_events(kind):
        yield Case("", f"nothing: {events.market.name}", origin, events.case(), tolerated=_outside(events))


def _case(way: _Way, origin: str, events: Events, seed: int) -> Case[RowCase]:
    way.change(events, rng_of(way.title, seed))
    expected = frozenset({way.check}) if way.is_fault else frozenset[str]()
    return Case(way.check, way.title, origin, events.case(), expected, way.tolerated | _outside(events))


def _outside(events: Events) -> frozenset[str]:
    # The bundled quotes go on after the half day's close, and are wide there.
    real = events.market.name.startswith("lean")
    return frozenset({"outside_session", "spread_wide", "price_outlier"}) if real else frozenset()
