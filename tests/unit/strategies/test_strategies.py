"""The reference strategies on series made by hand, and on the sample."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from cli.training.sample import SAMPLE
from services.marketdata.formats.discover import discover
from shared.schemas.marketdata import Bar, MarketState, OptionQuote, OptionRight
from shared.schemas.orders import Side
from strategies.desk import StrategyDesk
from strategies.ma_crossover import MaCrossover, MaParameters
from strategies.pcr_analysis import PcrAnalysis, PcrParameters, near_the_money
from strategies.signal import NoSignal, Signal

pytestmark = pytest.mark.unit

START = datetime(2024, 1, 2, 9, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SMALL = PcrParameters(fast=2, slow=5)


def bars(closes: Sequence[float], symbol: str = "TEST") -> list[Bar]:
    prices = [Decimal(str(close)) for close in closes]
    return [
        Bar(symbol=symbol, interval="1m", ts=START + i * MINUTE, open=p, high=p, low=p, close=p, volume=Decimal(1))
        for i, p in enumerate(prices)
    ]


def crossings(closes: Sequence[float], band: float = 1.0) -> list[Signal]:
    strategy = MaCrossover(MaParameters(fast=3, slow=9, band=band))
    return [s for s in map(strategy.on_bar, bars(closes)) if isinstance(s, Signal)]


UP = [100 + i for i in range(20)]
DOWN = [119 - i for i in range(30)]


def test_a_turn_down_and_a_turn_up_give_one_signal_each() -> None:
    signals = crossings([*UP, *DOWN, *[90 + i for i in range(30)]])
    assert [s.side for s in signals] == [Side.SELL, Side.BUY]
    assert all(s.strategy_id == "ma_crossover" and s.market_state_id is None for s in signals)


def test_a_signal_is_dated_at_the_end_of_its_bar_and_priced_at_its_close() -> None:
    series = bars([*UP, *DOWN])
    strategy = MaCrossover(MaParameters(fast=3, slow=9))
    ((bar, signal),) = [(b, s) for b in series if isinstance(s := strategy.on_bar(b), Signal)]
    assert (signal.ts_event, signal.price) == (bar.ts + MINUTE, bar.close)


def test_the_side_found_at_the_end_of_warming_up_is_no_cross() -> None:
    assert crossings(UP) == []


def test_averages_that_run_along_each_other_give_no_signals() -> None:
    saw = [100 + (i % 2) * 0.1 for i in range(200)]
    assert crossings(saw) == []
    assert len(crossings(saw, band=0.0)) > 50


def test_a_close_that_is_no_price_is_passed_over() -> None:
    strategy = MaCrossover()
    assert strategy.on_bar(bars([0.0])[0]) == NoSignal("the close is not above zero")
    assert strategy.on_bar(bars([100.0])[0]) == NoSignal("warming up")


def quote(strike: float, right: OptionRight, interest: float | None) -> OptionQuote:
    known = None if interest is None else Decimal(str(interest))
    return OptionQuote(expiry=date(2024, 1, 25), strike=Decimal(str(strike)), right=right, open_interest=known)


def chain(calls: float | None, puts: float | None) -> list[OptionQuote]:
    strikes = (99, 99.5, 100, 100.5, 101)
    return [quote(k, r, n) for k in strikes for r, n in ((OptionRight.CALL, calls), (OptionRight.PUT, puts))]


def state(step: int, option_chain: list[OptionQuote] | None, spot: float | None = 100.0) -> MarketState:
    price = None if spot is None else Decimal(str(spot))
    return MarketState(symbol="TEST", timestamp=START + step * MINUTE, spot_price=price, option_chain=option_chain)


def warmed(strategy: PcrAnalysis) -> int:
    for step in range(10):
        puts = 100 + step % 2 if step < 8 else 100.5  # back at its mean, so that both sides are armed
        strategy.on_state(state(step, chain(100, puts), 100 + step % 2 * 0.1))
    return 10


@pytest.mark.parametrize(("puts", "side"), [(200, Side.BUY), (50, Side.SELL)])
def test_an_extreme_ratio_trades_against_the_crowd_once(puts: float, side: Side) -> None:
    strategy = PcrAnalysis(SMALL)
    step = warmed(strategy)
    signal = strategy.on_state(state(step, chain(100, puts)), market_state_id="ms-1")
    assert isinstance(signal, Signal)
    assert (signal.side, signal.ts_event, signal.market_state_id) == (side, START + step * MINUTE, "ms-1")
    assert signal.features["pcr_z"] > 0
    assert signal.features["is_option_strategy"] == 1.0
    assert isinstance(strategy.on_state(state(step + 1, chain(100, puts * puts / 100))), NoSignal)


def test_an_extreme_that_recedes_gives_no_signal() -> None:
    strategy = PcrAnalysis(PcrParameters(fast=2, slow=5, enter=0.1, rearm=0.05))
    step = warmed(strategy)
    assert isinstance(strategy.on_state(state(step, chain(100, 300))), Signal)
    for later in range(20):
        strategy.on_state(state(step + 1 + later, chain(100, 100 + later % 3)))
    strategy.on_state(state(step + 30, chain(100, 90)))
    assert isinstance(strategy.on_state(state(step + 31, chain(100, 90.001), 100.1)), NoSignal)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (state(11, chain(100, 100), spot=None), "no spot price"),
        (state(11, chain(100, 100), spot=0), "no spot price"),
        (state(11, None), "no option chain"),
        (state(11, []), "no option chain"),
        (state(11, chain(0, 100)), "no call open interest near the money"),
        (state(11, chain(100, 0)), "no put open interest near the money"),
        (state(11, chain(None, None)), "open interest of fewer than 4 contracts on one side"),
        (state(11, chain(100, 100)[:4]), "open interest of fewer than 4 contracts on one side"),
        (state(11, chain(-5, 100)), "open interest of fewer than 4 contracts on one side"),
        (state(11, chain(100, 100), spot=1e9), "no call open interest near the money"),
        (MarketState(symbol="TEST"), "the state has no timestamp"),
    ],
)
def test_a_chain_that_says_nothing_gives_no_signal_with_the_reason_and_changes_nothing(
    bad: MarketState, reason: str
) -> None:
    disturbed, clean = PcrAnalysis(SMALL), PcrAnalysis(SMALL)
    step = warmed(disturbed)
    warmed(clean)
    assert disturbed.on_state(bad) == NoSignal(reason)
    after = state(step + 2, chain(100, 300))
    assert disturbed.on_state(after) == clean.on_state(after)


def test_the_same_chain_fetched_again_is_not_news() -> None:
    repeated, clean = PcrAnalysis(SMALL), PcrAnalysis(SMALL)
    step = warmed(repeated)
    warmed(clean)
    for later in range(5):
        outcome = repeated.on_state(state(step + later, chain(100, 102), 100.5))
    assert outcome == NoSignal("the chain is the one before")
    clean.on_state(state(step, chain(100, 102), 100.5))
    after = state(step + 6, chain(100, 300))
    assert repeated.on_state(after) == clean.on_state(after)


def test_far_strikes_do_not_tilt_the_ratio() -> None:
    near = near_the_money(chain(100, 100), 100.0, SMALL)
    far = near_the_money([*chain(100, 100), quote(50, OptionRight.PUT, 1_000_000)], 100.0, SMALL)
    assert not isinstance(near, NoSignal)
    assert not isinstance(far, NoSignal)
    assert near.log_ratio == pytest.approx(0.0)
    assert far.log_ratio == pytest.approx(near.log_ratio)


def test_the_desk_keeps_series_apart() -> None:
    desk, alone = StrategyDesk(), StrategyDesk()
    mixed = [desk.on_record(r) for pair in zip(bars(UP, "AAA"), bars(UP[::-1], "BBB"), strict=True) for r in pair]
    assert mixed[::2] == [alone.on_record(bar) for bar in bars(UP, "AAA")]


def sample_signals() -> dict[str, list[Signal]]:
    found = {}
    for dataset in discover(SAMPLE):
        desk = StrategyDesk()
        found[dataset.name] = [s for s in map(desk.on_record, dataset.records()) if isinstance(s, Signal)]
    return found


def test_the_sample_gives_these_signals_each_time() -> None:
    first = sample_signals()
    assert {name: len(signals) for name, signals in first.items()} == {
        "binance-btcusdt-1m": 66,
        "lean-equity-goog-1m": 4,
        "lean-index-nifty50-1m": 17,
        "lean-option-goog": 10,
    }
    assert first == sample_signals()
    assert Counter(s.side for s in first["lean-option-goog"]) == {Side.BUY: 5, Side.SELL: 5}


@pytest.mark.parametrize("name", ["lean-equity-goog-1m", "lean-index-nifty50-1m"])
def test_signals_of_the_past_do_not_change_when_the_future_is_cut_off(name: str) -> None:
    records = list(next(d for d in discover(SAMPLE) if d.name == name).records())
    whole, half = StrategyDesk(), StrategyDesk()
    cut = len(records) // 2
    assert [whole.on_record(r) for r in records][:cut] == [half.on_record(r) for r in records[:cut]]
