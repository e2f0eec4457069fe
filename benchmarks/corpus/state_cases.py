"""Cases of what a state says of itself: its fields, its time, its spot, and whether it only repeats itself."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from benchmarks.corpus.case import Case
from benchmarks.corpus.judging import StateCase
from benchmarks.corpus.market import MARKETS, Snapshot, make
from services.marketdata.core.chain.band import learn_band
from services.marketdata.core.thresholds import Thresholds, of_symbol

_MADE: Final = "made"
_INDEX, _STOCK = MARKETS[0], MARKETS[7]
_OUTSIDE = frozenset({"outside_session"})


def state_cases() -> Iterator[Case[StateCase]]:
    """Yield all of them."""
    for number, made in enumerate((*_stale(), *_fields(), *_spots(), *_bands(), *_times())):
        check, title, is_fault, build, tolerated = made
        for market in (_INDEX, _STOCK):
            snapshot = make(market, np.random.default_rng([number, int(market.spot)]))
            expected = frozenset({check}) if is_fault else frozenset[str]()
            yield Case(check, title, _MADE, build(snapshot), expected, tolerated)


_Made = tuple[str, str, bool, Callable[[Snapshot], StateCase], frozenset[str]]


def _plain(check: str, title: str, is_fault: bool, tolerated: frozenset[str] = frozenset(), **beside: Any) -> _Made:
    return (check, title, is_fault, lambda snapshot: StateCase(snapshot, **beside), tolerated)


def _changed(
    check: str, title: str, is_fault: bool, change: Callable[[Snapshot], None], tolerated: frozenset[str] = frozenset()
) -> _Made:
    def build(snapshot: Snapshot) -> StateCase:
        change(snapshot)
        return StateCase(snapshot)

    return (check, title, is_fault, build, tolerated)


def _stale() -> Iterator[_Made]:
    aged = frozenset({"stale_age", "stale_content"})
    for before in (0, 1, 2, 3, 5, 9):
        yield _plain("stale_content", f"{before + 1} polls in a row", before >= 2, aged, polls=before)
        yield _plain(
            "stale_content", f"{before + 1} polls, no calendar", before >= 2, aged, polls=before, session_open=None
        )
    for before in (1, 5, 30):
        yield _plain(
            "stale_content", "the same all through a holiday", False, _OUTSIDE, polls=before, session_open=False
        )
    for seconds in (0.2, 1.0):
        # Nothing has happened yet; a count of polls cannot know it.
        yield _plain("stale_content", f"three polls {seconds:g} s apart", False, polls=2, seconds=seconds)
    for before, seconds in ((1, 120), (1, 290), (1, 310), (1, 900), (2, 200), (4, 400)):
        yield _plain(
            "stale_age",
            f"said first {before * seconds} s ago",
            before * seconds >= 300,
            aged,
            polls=before,
            seconds=seconds,
        )
    yield _plain(
        "stale_age", "said first yesterday, market closed", False, _OUTSIDE, polls=9, seconds=7_200, session_open=False
    )


def _fields() -> Iterator[_Made]:
    def without(*names: str) -> Callable[[Snapshot], None]:
        def change(snapshot: Snapshot) -> None:
            for name in names:
                if name in ("spot", "moment"):
                    setattr(snapshot, name, None)
                elif name == "chain":
                    snapshot.legs = []
                else:
                    snapshot.totals[name] = None

        return change

    follows = frozenset({"optional_field_missing", "open_interest_total"})
    yield _changed("required_field_missing", "no spot", True, without("spot"))
    yield _changed("required_field_missing", "no time", True, without("moment"))
    yield _changed(
        "required_field_missing", "a chain and no totals", False, without("total_call_oi", "total_put_oi"), follows
    )
    yield _changed("required_field_missing", "nothing at all", True, without("spot", "chain", "total_call_oi"), follows)
    yield _changed("optional_field_missing", "no total", True, without("total_put_oi"))
    yield _changed("optional_field_missing", "an empty chain", True, without("chain"), follows)
    for off, is_fault in ((0.0, False), (0.003, False), (0.004, False), (0.006, True), (0.05, True), (-0.02, True)):
        yield _changed("open_interest_total", f"a total {off:+.1%} off", is_fault, _total_off(off))
    # Some venues count strikes in their totals that they do not list.
    yield _changed("open_interest_total", "a total with strikes not listed, 1 % more", False, _total_off(0.01))
    yield _changed("open_interest_total", "no open interest on a new listing", False, _no_interest)


def _total_off(by: float) -> Callable[[Snapshot], None]:
    def change(snapshot: Snapshot) -> None:
        listed = sum(leg.open_interest or 0.0 for leg in snapshot.legs if leg.is_call)
        snapshot.totals["total_call_oi"] = float(round(listed / (1 - by)))

    return change


def _no_interest(snapshot: Snapshot) -> None:
    for leg in snapshot.legs:
        leg.open_interest = 0.0


def _spots() -> Iterator[_Made]:
    def named(*spots: float) -> Callable[[Snapshot], None]:
        def change(snapshot: Snapshot) -> None:
            snapshot.spots = [(snapshot.spot or 0.0) + by if by >= 0 else 0.0 for by in spots]

        return change

    def zero(snapshot: Snapshot) -> None:
        snapshot.spot = 0.0

    yield _changed("spot_several", "two spots a tick apart", True, named(0, 0.05))
    yield _changed("spot_several", "three spots", True, named(0, 5, 9))
    yield _changed("spot_several", "the same spot twice", False, named(0, 0))
    yield _changed("spot_zero", "a spot of zero in some rows", True, named(0, -1), frozenset({"spot_several"}))
    yield _changed("spot_zero", "a spot of zero", True, zero)
    yield _changed("spot_zero", "two good spots", False, named(0, 5), frozenset({"spot_several"}))
    for move in (0.0, 0.03, -0.06, 0.069, 0.071, -0.08, 0.105, -0.4):
        yield _moved(f"{move:+.1%} against the prior close", abs(move) >= 0.07, move)
    # What NIFTY did on 2020-03-23: far, and true.
    yield _moved("a crash of 13 % that is real", False, -0.13)


def _moved(title: str, is_fault: bool, move: float) -> _Made:
    def build(snapshot: Snapshot) -> StateCase:
        return StateCase(snapshot, prior_close=round((snapshot.spot or 0.0) / (1 + move), 2))

    return ("spot_move", title, is_fault, build, frozenset())


def _bands() -> Iterator[_Made]:
    nifty = of_symbol("NIFTY")
    away = frozenset({"put_call_parity", "call_put_balance", "strikes_filtered"})
    for times, code in (
        (10.0, "spot_above_band"),
        (0.1, "spot_below_band"),
        (1.0, "spot_above_band"),
        (1.0, "spot_below_band"),
    ):
        yield _scaled(code, f"NIFTY times {times:g}", times != 1.0, times, lambda snapshot: nifty, away)
    for times, code, is_fault in (
        (0.01, "spot_below_band", True),
        (100.0, "spot_above_band", True),
        (0.5, "spot_below_band", True),
        (2.0, "spot_above_band", True),
        (1.08, "spot_above_band", False),
        (0.9, "spot_below_band", False),
        (0.75, "spot_below_band", False),
    ):
        yield _scaled(code, f"a learnt band, the spot times {times:g}", is_fault, times, _learnt, away)


def _scaled(
    code: str,
    title: str,
    is_fault: bool,
    times: float,
    bands: Callable[[Snapshot], Thresholds],
    tolerated: frozenset[str],
) -> _Made:
    def build(snapshot: Snapshot) -> StateCase:
        if snapshot.symbol != "INDEX" and "NIFTY" in title:
            snapshot.spot = 25_000.0
        thresholds = bands(snapshot)
        snapshot.spot = round((snapshot.spot or 0.0) * times, 2)
        snapshot.legs = []
        return StateCase(snapshot, thresholds=thresholds)

    return (code, title, is_fault, build, tolerated | {"optional_field_missing"})


def _learnt(snapshot: Snapshot) -> Thresholds:
    """Learn from a year of sessions that ends at the spot."""
    returns = np.random.default_rng(int(snapshot.spot or 1)).normal(0, 0.011, 250)
    path = (snapshot.spot or 0.0) * np.exp(np.cumsum(returns[::-1]))[::-1]
    return Thresholds(learn_band(path.tolist()))


def _times() -> Iterator[_Made]:
    for after, is_fault in (
        (0.2, False),
        (0.0, False),
        (-0.5, False),
        (-0.9, False),
        (-1.2, True),
        (-8.0, True),
        (-19_800.0, True),
    ):
        yield _plain("future_timestamp", f"received {after:+g} s after", is_fault, received_after=after)
    yield _plain("outside_session", "fetched on a holiday", True, session_open=False)
    yield _plain("outside_session", "in session", False)
    yield _plain("outside_session", "no calendar", False, session_open=None)
