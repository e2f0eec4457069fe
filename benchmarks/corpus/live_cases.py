"""Cases of clocks, of sources side by side, of rows in a slot, and of bars that are missing."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np

from benchmarks.corpus.bars import real_bars
from benchmarks.corpus.case import Case, rng_of
from benchmarks.corpus.live import Delays, Live, Present, SideBySide, Slot
from benchmarks.corpus.messages import recorded
from services.marketdata.calendars import calendar_of
from services.marketdata.core.calendars import to_micros
from services.marketdata.core.calendars.sessions import from_micros
from services.marketdata.core.stream.messages import DepthSnapshot
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval

_SECOND = timedelta(seconds=1)
_NOW: Final = datetime(2026, 3, 4, 6, 0, tzinfo=UTC)
_SEEDS: Final = range(3)
_MADE: Final = "made"


def live_cases() -> Iterator[Case[Live]]:
    """Yield all of them."""
    yield from _clocks()
    yield from _real_clocks()
    yield from _sources()
    yield from _slots()
    yield from _gaps()
    yield from _real_gaps()


def _case(check: str, title: str, is_fault: bool, given: Live, origin: str = _MADE) -> Case[Live]:
    return Case(check, title, origin, given, frozenset({check}) if is_fault else frozenset())


def _clocks() -> Iterator[Case[Live]]:
    for seed in _SEEDS:
        for skew in (0.03, -0.04, 0.15, -0.3, 0.6, 2.0, -1.3, 19_800.0):
            title = f"a clock {abs(skew):g} s {'behind' if skew > 0 else 'ahead'}"
            yield _case("clock_skew", title, True, Delays(_delays(title, seed, skew)))
        jitter = _delays("jitter", seed, 0.0, spread=1.2)
        yield _case("clock_skew", "a network that wavers", False, Delays(jitter))
        pauses = [
            (at, lag + (20.0 if n % 15 == 0 else 0.0)) for n, (at, lag) in enumerate(_delays("pauses", seed, 0.0))
        ]
        yield _case("clock_skew", "one batch in fifteen comes late", False, Delays(pauses))
        polled = _delays("polled", seed, 12.0, seconds=30.0, spread=0.8)
        yield _case("clock_skew", "polled every half minute", False, Delays(polled))
        ahead = _delays("polled", seed, -45.0, seconds=30.0, spread=0.8)
        yield _case("clock_skew", "polled every half minute, half a minute ahead", True, Delays(ahead))
        drifting = [(at, lag + 0.8 * n / 400) for n, (at, lag) in enumerate(_delays("drift", seed, 0.0))]
        yield _case("clock_skew", "a clock that drifts by 0.8 s", True, Delays(drifting))
        yield _case("clock_skew", "other continent, 90 ms away", False, Delays(_delays("far", seed, 0.07)))
        yield _case("clock_skew", "other continent, 180 ms away", False, Delays(_delays("further", seed, 0.16)))


def _delays(
    title: str, seed: int, skew: float, seconds: float = 0.5, spread: float = 0.4
) -> list[tuple[datetime, float]]:
    rng = rng_of(title, seed)
    lags = skew + rng.lognormal(-4.0, spread, 400)
    return [(_NOW + n * seconds * _SECOND, float(lag)) for n, lag in enumerate(lags)]


def _real_clocks() -> Iterator[Case[Live]]:
    batches: dict[int, float] = {}
    for message in recorded():
        if not isinstance(message, DepthSnapshot):
            at = message.received_ns // 20_000_000
            lag = (message.received_ns - message.event_ms * 1_000_000) / 1e9
            batches[at] = min(lag, batches.get(at, lag))
    for by, title, is_fault in ((0.0, "1.27 s ahead, as recorded", True), (1.27, "1.27 s ahead, corrected", False)):
        given = [(from_micros(at * 20_000), lag + by) for at, lag in batches.items()]
        yield _case("clock_skew", title, is_fault, Delays(given), "Binance futures")


def _sources() -> Iterator[Case[Live]]:
    for seed in _SEEDS:
        for number in (2, 3):
            for off in (3.0, 12.0, 25.0, 60.0, 400.0, 90_000.0):
                prices = _prices(f"off {off:g}", seed, number)
                prices["b"] = [(at, price * (1 + off * 1e-4)) for at, price in prices["b"]]
                yield _case(
                    "cross_source", f"one of {number} sources {off:g} basis points off", True, SideBySide(prices)
                )
            yield _case("cross_source", f"{number} sources agree", False, SideBySide(_prices("agree", seed, number)))
            thin = _prices("thin", seed, number, noise=4e-4)
            yield _case("cross_source", f"{number} sources of a thin market", False, SideBySide(thin))
            fast = _prices("fast", seed, number, move=4e-4)
            fast["b"] = fast["b"][:-3]
            yield _case("cross_source", "one is three seconds behind in a fast market", False, SideBySide(fast))
            behind = _prices("behind", seed, number, move=4e-4)
            behind["b"] = behind["b"][:20]
            yield _case("cross_source", "one fell behind by 40 s", False, SideBySide(behind))
            kept = _prices("kept", seed, number, move=4e-4)
            # It goes on sending what it sent half a minute ago.
            kept["b"] = [(at, kept["b"][max(n - 30, 0)][1]) for n, (at, _) in enumerate(kept["b"])]
            yield _case("cross_source", "one sends prices of half a minute ago", True, SideBySide(kept))
        bars = _prices("bars", seed, 2, seconds=60.0)
        yield _case("cross_source", "minutes of two sources", False, SideBySide(bars, timedelta(minutes=1)))
        bars = _prices("bars shifted", seed, 2, seconds=60.0, move=1e-3)
        bars["b"] = [(at + timedelta(minutes=1), price) for at, price in bars["b"]]
        yield _case("cross_source", "minutes dated by their end", True, SideBySide(bars, timedelta(minutes=1)))
    coin = real_bars()["binance-btcusdt-1m"]
    for start in (0, 1_500, 3_000):
        rows = [(from_micros(int(coin.ts[n])), float(coin.close[n])) for n in range(start, start + 30)]
        for off, is_fault in ((0.0, False), (5.0, True), (40.0, True)):
            prices = {"a": rows, "b": [(at, price * (1 + off * 1e-4)) for at, price in rows]}
            given = SideBySide(prices, timedelta(minutes=1))
            yield _case("cross_source", f"another source {off:g} basis points off", is_fault, given, "Binance BTC")


def _prices(
    title: str, seed: int, number: int, noise: float = 5e-5, move: float = 5e-5, seconds: float = 1.0
) -> dict[str, list[tuple[datetime, float]]]:
    rng = rng_of(title, seed * 10 + number)
    path = 95_000 * np.exp(np.cumsum(rng.normal(0, move, 60)))
    return {
        "abc"[source]: [
            (_NOW + n * seconds * _SECOND, float(path[n] * np.exp(rng.normal(0, noise)))) for n in range(60)
        ]
        for source in range(number)
    }


def _slots() -> Iterator[Case[Live]]:
    for usual in (6, 60, 2_000):
        for seed in _SEEDS:
            rng = rng_of("slot", usual * 10 + seed)
            earlier = np.round(usual * rng.lognormal(0, 0.25, 20)).astype(int).tolist()
            named = f"of {usual}"
            for times in (0.0, 0.1, 0.5, 4.0, 30.0):
                given = Slot(round(usual * times), earlier)
                yield _case("row_volume", f"{times:g} times the rows {named}", True, given)
            for times, why in ((0.75, "a quiet day"), (1.7, "an expiry day"), (1.0, "a day as any")):
                given = Slot(round(usual * times * float(rng.lognormal(0, 0.15))), earlier)
                yield _case("row_volume", f"{why}, {named}", False, given)
            # A company's results: as real as it is seldom.
            yield _case("row_volume", f"results come out, {named}", False, Slot(usual * 6, earlier))
            yield _case("row_volume", f"eight sessions known, {named}", False, Slot(round(usual * 0.5), earlier[:8]))
            opening = [*earlier[:10], *(each * 2 for each in earlier[10:])]
            yield _case("row_volume", f"twice as lively for a fortnight, {named}", False, Slot(usual * 2, opening))
    for rows, is_fault in ((15, False), (14, False), (9, True), (3, True), (0, True)):
        yield _case("row_volume", f"{rows} of 15 minutes", is_fault, Slot(rows, [15] * 20))


# A market and its bars, from when until when: days of every kind.
_WINDOWS: Final[tuple[tuple[str, str, Interval, date, date], ...]] = (
    ("a session in Mumbai", "XNSE", "1m", date(2026, 3, 4), date(2026, 3, 5)),
    ("lunch in Shanghai", "XSHG", "1m", date(2026, 3, 4), date(2026, 3, 5)),
    ("a half day", "XNYS", "1m", date(2026, 11, 27), date(2026, 11, 28)),
    ("over the change to summer time", "XNYS", "1m", date(2026, 3, 6), date(2026, 3, 10)),
    ("over Christmas", "XNYS", "1h", date(2025, 12, 23), date(2025, 12, 30)),
    ("a day of a coin", "24x7", "1m", date(2026, 3, 7), date(2026, 3, 8)),
    ("a year of days", "XNYS", "1d", date(2025, 1, 2), date(2025, 12, 31)),
    ("days over the Spring Festival", "XSHG", "1d", date(2026, 1, 5), date(2026, 3, 6)),
)


def _gaps() -> Iterator[Case[Live]]:
    for title, calendar, interval, first, last in _WINDOWS:
        start, end = (datetime.combine(day, datetime.min.time(), UTC) for day in (first, last))
        whole = calendar_of(calendar).expected_starts(interval, start, end)
        rng = rng_of(title, 0)

        def there(
            bars: np.ndarray, of: tuple[str, Interval, datetime, datetime] = (calendar, interval, start, end)
        ) -> Present:
            return Present(of[0], of[1], bars, of[2], of[3])

        yield _case("gap", f"all there, {title}", False, there(whole))
        for lost in (1, 5, len(whole) // 4):
            # Where it matters: in the last session.
            at = len(whole) - lost - int(rng.integers(1, 20 if interval == "1m" else 2))
            bars = np.delete(whole, np.arange(at, at + lost))
            yield _case("gap", f"{lost} in a row missing, {title}", True, there(bars))
        yield _case("gap", f"the last ones missing, {title}", True, there(whole[:-2]))
        strays = np.concatenate([whole, whole[:3] + 30_000_000])
        yield _case("gap", f"more than there ought to be, {title}", False, there(strays))
        shifted = whole + int(INTERVAL_LENGTH[interval].total_seconds() * 1e6) // 2
        yield _case("gap", f"all dated half a bar late, {title}", True, there(shifted))
    start, end = datetime(2026, 3, 4, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
    whole = calendar_of("XNSE").expected_starts("1m", start, end)
    for share in (0.02, 0.3):
        # Its source sends no bar of a minute in which nothing traded.
        bars = whole[rng_of("untraded", round(share * 100)).random(len(whole)) >= share]
        yield _case(
            "gap",
            f"a share that does not trade in {share:.0%} of minutes",
            False,
            Present("XNSE", "1m", bars, start, end),
        )


def _real_gaps() -> Iterator[Case[Live]]:
    for name, origin in (
        ("binance-btcusdt-1m", "Binance BTC"),
        ("index-spx-1d", "S&P 500"),
        ("index-vix-1d", "VIX"),
        ("lean-index-nifty50-1m", "LEAN NIFTY"),
        ("lean-crypto-coinbase-btcusd-1d", "Coinbase BTC"),
    ):
        series = real_bars()[name]
        market = series.market
        start = from_micros(int(series.ts[0]))
        end = from_micros(to_micros(from_micros(int(series.ts[-1]))) + series.length)
        for lost in (0, 3):
            bars = np.delete(series.ts, np.arange(len(series.ts) - 10, len(series.ts) - 10 + lost))
            given = Present(market.calendar, market.interval, bars, start, end)
            # 34 days of the coin are not in the file.
            is_fault = lost > 0 or origin == "Coinbase BTC"
            yield _case("gap", f"{lost} bars taken out" if lost else "as recorded", is_fault, given, origin)
