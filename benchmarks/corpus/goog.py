"""A real chain that may be published: GOOG on 2015-12-24 from the bundled LEAN sample, minute by minute."""

from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.corpus.market import Snapshot, snapshot_of
from services.marketdata.formats.lean_option import option_days, read_states

_SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "lean"
_TICK = 0.05


def goog_snapshot(number: int) -> Snapshot:
    """Return one of the day's minutes, counted round."""
    known = _minutes()
    chosen = known[number % len(known)]
    return replace(chosen, legs=[copy(leg) for leg in chosen.legs])


@cache
def _minutes() -> list[Snapshot]:
    days = option_days(_SAMPLE / "option/usa/minute/goog", _SAMPLE / "equity/usa/minute/goog")
    states = read_states(days, symbol="GOOG", zone=ZoneInfo("America/New_York"), report=lambda bad: None)
    return [snapshot_of(state, _TICK) for state in states]
