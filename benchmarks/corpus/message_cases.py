"""Cases of a venue's raw stream: the recorded messages, with faults put in and without."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.corpus.case import Case, rng_of
from benchmarks.corpus.messages import recorded
from services.marketdata.core.stream.messages import DepthSnapshot, DepthUpdate, Message, Quote, Side, Trade

MESSAGE_CHECKS: Final = (
    "clock_skew",
    "clock_frozen",
    "sequence_break",
    "out_of_order",
    "duplicate",
    "duplicate_conflicting",
    "future_timestamp",
    "price_outlier",
    "price_not_positive",
    "quantity_negative",
    "quote_crossed",
    "quote_locked",
    "spread_wide",
)
_Messages = list[Message]
_Change = Callable[[_Messages, np.random.Generator], _Messages]
# What the venue's clock is ahead by; without it the recording is sound.
_AHEAD_MS: Final = 1_270
_LONG: Final = 1_000


def message_cases() -> Iterator[Case[Sequence[Message]]]:
    """Yield every way at three places of the recording, its clock set right, and the recording as it is."""
    yield Case("clock_skew", "1.27 s ahead, as recorded", _ORIGIN, recorded(), frozenset({"clock_skew"}))
    for check, title, is_fault, change, tolerated in _WAYS:
        for seed in range(3):
            part = _corrected(recorded()[seed * 500 : seed * 500 + _LONG])
            expected = frozenset({check}) if is_fault else frozenset[str]()
            yield Case(check, title, _ORIGIN, change(part, rng_of(title, seed)), expected, tolerated)


_ORIGIN: Final = "Binance futures"


def _corrected(messages: Sequence[Message], by_ms: int = _AHEAD_MS) -> _Messages:
    return [each._replace(event_ms=each.event_ms - by_ms) for each in messages]


def _all_but(by_ms: int) -> _Change:
    return lambda messages, rng: _corrected(messages, by_ms)


def _same(messages: _Messages, rng: np.random.Generator) -> _Messages:
    return messages


def _one(kind: type[Any], change: Callable[[Any], Message], number: int = 1) -> _Change:
    """Change some messages of a kind in the latter half."""

    def changed(messages: _Messages, rng: np.random.Generator) -> _Messages:
        places = [n for n, each in enumerate(messages) if isinstance(each, kind) and n > len(messages) // 2]
        for place in rng.choice(places, min(number, len(places)), replace=False):
            messages[place] = change(messages[place])
        return messages

    return changed


def _without(kind: type[Any], number: int) -> _Change:
    """Lose some messages of a kind in a row."""

    def changed(messages: _Messages, rng: np.random.Generator) -> _Messages:
        places = [n for n, each in enumerate(messages) if isinstance(each, kind)]
        first = int(rng.integers(len(places) // 4, len(places) - number - 1))
        lost = set(places[first : first + number])
        return [each for n, each in enumerate(messages) if n not in lost]

    return changed


def _without_all(messages: _Messages, rng: np.random.Generator) -> _Messages:
    """Lose half a second of everything, as in a reconnection."""
    first = messages[len(messages) // 2].received_ns
    return [each for each in messages if not 0 <= each.received_ns - first < 500_000_000]


def _again(number: int, after: int, change: Callable[[Any], Message] | None = None) -> _Change:
    """Send some messages once more, so many later."""

    def changed(messages: _Messages, rng: np.random.Generator) -> _Messages:
        places = [n for n, each in enumerate(messages[: -after - 1]) if not isinstance(each, DepthSnapshot)]
        chosen = set(rng.choice(places, number, replace=False).tolist())
        found: _Messages = []
        for n, each in enumerate(messages):
            found.append(each)
            if n - after in chosen:
                again = messages[n - after]._replace(received_ns=each.received_ns)
                found.append(again if change is None else change(again))
        return found

    return changed


def _late(number: int, by: int) -> _Change:
    """Let some messages come so many later than they ought to."""

    def changed(messages: _Messages, rng: np.random.Generator) -> _Messages:
        order = np.arange(len(messages), dtype=np.float64)
        order[rng.choice(len(messages) - by - 1, number, replace=False)] += by + 0.5
        times = [each.received_ns for each in messages]
        return [messages[n]._replace(received_ns=at) for n, at in zip(np.argsort(order), times, strict=True)]

    return changed


def _stopped(seconds: float) -> _Change:
    """Let a slow market's clock stop for a while, and go on where it ought to be."""

    def changed(messages: _Messages, rng: np.random.Generator) -> _Messages:
        slow = _slower(messages, rng)
        first = slow[len(slow) // 4].event_ms
        return [
            each._replace(event_ms=first) if 0 <= each.event_ms - first < seconds * 1_000 else each for each in slow
        ]  # fmt: skip

    return changed


def _slower(messages: _Messages, rng: np.random.Generator) -> _Messages:
    """Let messages come a sixtieth as often."""
    event, received = messages[0].event_ms, messages[0].received_ns
    return [
        each._replace(
            event_ms=event + 60 * (each.event_ms - event),
            received_ns=received + 60_000_000 * (each.event_ms - event) + (each.received_ns - received) % 50_000_000,
        )
        for each in messages
    ]


def _requoted(bid: float, ask: float) -> Callable[[Quote], Quote]:
    return lambda quote: quote._replace(bid=quote.bid * bid, ask=quote.ask * ask)


def _at_one_price(quote: Quote) -> Quote:
    return quote._replace(ask=quote.bid)


def _wide_by(times: float) -> Callable[[Quote], Quote]:
    return lambda quote: quote._replace(ask=quote.bid + times * (quote.ask - quote.bid))


def _empty_side(quote: Quote) -> Quote:
    return quote._replace(bid=0.0, bid_quantity=0.0)


def _with_level(price: float, quantity: float) -> Callable[[DepthUpdate], DepthUpdate]:
    return lambda update: update._replace(bids=Side([str(price), str(quantity)], [price], [quantity]))


def _priced(by: float) -> Callable[[Trade], Trade]:
    return lambda trade: trade._replace(price=trade.price * by)


def _sent_later(ms: int) -> Callable[[Trade], Trade]:
    return lambda trade: trade._replace(event_ms=trade.event_ms + ms)


def _from_the_middle(by: float) -> _Change:
    """Move the market at once, and for good."""

    def changed(messages: _Messages, rng: np.random.Generator) -> _Messages:
        middle = len(messages) // 2
        moved: _Messages = []
        for each in messages[middle:]:
            if isinstance(each, Trade):
                moved.append(each._replace(price=each.price * by))
            elif isinstance(each, Quote):
                moved.append(each._replace(bid=each.bid * by, ask=each.ask * by))
            else:
                moved.append(each)
        return [*messages[:middle], *moved]

    return changed


_NOTHING: Final = frozenset[str]()
_MIDDLE: Final = frozenset({"price_outlier"})
_ORDER: Final = frozenset({"out_of_order", "sequence_break"})
# A check, what was done, whether that is a fault, how it is done, and what follows from it.
_WAYS: Final[tuple[tuple[str, str, bool, _Change, frozenset[str]], ...]] = (
    ("clock_skew", "the clock set right", False, _all_but(0), _NOTHING),
    ("clock_skew", "40 ms behind", False, _all_but(40), _NOTHING),
    ("clock_skew", "300 ms behind", True, _all_but(300), _NOTHING),
    ("clock_skew", "5 s ahead", True, _all_but(-5_000), _NOTHING),
    *(("clock_frozen", f"the clock stops for {n} s", True, _stopped(n), _NOTHING) for n in (20, 90, 200)),
    ("clock_frozen", "a slow market's clock goes on", False, _slower, _NOTHING),
    *(("sequence_break", f"{n} updates lost", True, _without(DepthUpdate, n), _NOTHING) for n in (1, 4)),
    ("sequence_break", "half a second lost", True, _without_all, _NOTHING),
    ("sequence_break", "quotes lost, which have no sequence", False, _without(Quote, 20), _NOTHING),
    ("sequence_break", "trades lost, whose ids may skip", False, _without(Trade, 5), _NOTHING),
    *(("out_of_order", f"{n} messages {by} late", True, _late(n, by), _ORDER) for n, by in ((1, 3), (10, 6), (60, 20))),
    ("out_of_order", "each in its place", False, _same, _NOTHING),
    *(("duplicate", f"{n} messages twice", True, _again(n, 2), _NOTHING) for n in (1, 10, 100)),
    ("duplicate", "each once", False, _same, _NOTHING),
    (
        "duplicate_conflicting",
        "a message twice, and different",
        True,
        _again(1, 2, lambda each: each._replace(ts_ms=each.ts_ms + 1)),
        _NOTHING,
    ),
    ("duplicate_conflicting", "messages twice, all the same", False, _again(5, 2), frozenset({"duplicate"})),
    *(
        (
            "future_timestamp",
            f"a message {ms / 1_000:g} s ahead of the others",
            True,
            _one(Trade, _sent_later(ms)),
            frozenset({"out_of_order"}),
        )
        for ms in (400, 3_000, 60_000)
    ),
    ("future_timestamp", "all of them ahead by what is known", False, _all_but(-_AHEAD_MS), frozenset({"clock_skew"})),
    *(
        ("price_outlier", f"a trade at {by:g} times its price", True, _one(Trade, _priced(by)), _NOTHING)
        for by in (1.002, 1.006, 0.97, 10)
    ),
    *(
        ("price_outlier", f"a quote at {by:g} times its price", True, _one(Quote, _requoted(by, by)), _NOTHING)
        for by in (0.998, 1.01)
    ),
    ("price_outlier", "news: 0.2 % at once, and it stays", False, _from_the_middle(1.002), _NOTHING),
    ("price_outlier", "news: 1 % at once, and it stays", False, _from_the_middle(0.99), _NOTHING),
    ("price_not_positive", "a trade at zero", True, _one(Trade, _priced(0)), _NOTHING),
    ("price_not_positive", "a bid below zero", True, _one(Quote, _requoted(-1, 1)), _NOTHING),
    ("price_not_positive", "an empty side", False, _one(Quote, _empty_side, 20), _NOTHING),
    ("quantity_negative", "a level of -1", True, _one(DepthUpdate, _with_level(61_000.0, -1.0)), _NOTHING),
    ("quantity_negative", "a level taken away", False, _one(DepthUpdate, _with_level(61_000.0, 0.0)), _NOTHING),
    ("quote_crossed", "a bid above the ask", True, _one(Quote, _requoted(1.0001, 1)), _NOTHING),
    ("quote_crossed", "one step between them", False, _same, _NOTHING),
    *(("quote_locked", f"{n} quotes of bid equal to ask", True, _one(Quote, _at_one_price, n), _NOTHING)
      for n in (5, 60)),
    ("quote_locked", "one step between them", False, _same, _NOTHING),
    *(
        ("spread_wide", f"a quote of {times:g} steps", times > 200, _one(Quote, _wide_by(times)), _MIDDLE)
        for times in (10, 50, 400, 3_000, 9_000)
    ),
)  # fmt: skip
