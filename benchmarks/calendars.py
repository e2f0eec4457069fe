"""What a calendar costs: 50,000 moments judged, a year of minutes expected, its gaps found, and one age in session.

Run with `python -m benchmarks.calendars`. Ratios are to reading 50,000 moments into an array, in one run, best of many.
The year is of minutes of crypto, which has the most, with one in a thousand missing.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np

from services.marketdata.calendars import ALWAYS_OPEN, calendar_of
from services.marketdata.core.calendars import Calendar, Override, OverrideKind, micros_array, with_overrides

_ROWS = 50_000
_ROUNDS = 30
_BASE = "reading 50,000 moments"
_YEAR = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Measure and print."""
    best = {name: min(_seconds(call) for _ in range(_ROUNDS)) for name, call in _calls().items()}
    for name, seconds in best.items():
        print(f"{name:52} {seconds * 1e3:10.4f} ms {seconds / best[_BASE]:9.4f}")


def _calls() -> dict[str, Callable[[], object]]:
    nse, crypto = calendar_of("XNSE"), calendar_of(ALWAYS_OPEN)
    random = np.random.default_rng(7)
    starts = nse.expected_starts("1m", *_YEAR)
    moments = [_YEAR[0] + timedelta(minutes=minute) for minute in range(_ROWS)]
    anywhere = random.integers(starts[0], starts[-1], _ROWS)
    minutes = crypto.expected_starts("1m", *_YEAR)
    with_holes = minutes[random.random(minutes.size) > 0.001]
    now = datetime(2025, 6, 2, 5, tzinfo=UTC)
    return {
        _BASE: lambda: micros_array(moments),
        "XNSE: 50,000 moments in order, open or closed": lambda: nse.open_mask(starts[:_ROWS]),
        "XNSE: 50,000 moments in no order, open or closed": lambda: nse.open_mask(anywhere),
        "XNSE: 50,000 starts of minutes, expected or not": lambda: nse.expected_mask("1m", starts[:_ROWS]),
        f"XNSE: the {starts.size:,} minutes of a year": lambda: nse.expected_starts("1m", *_YEAR),
        f"24x7: the {minutes.size:,} minutes of a year": lambda: crypto.expected_starts("1m", *_YEAR),
        "24x7: the gaps in a year of minutes": lambda: crypto.missing(with_holes, "1m", *_YEAR),
        "XNSE: how many minutes a year has": lambda: nse.expected_count("1m", *_YEAR),
        "XNSE: one age in session": lambda: nse.seconds_open(now - timedelta(days=3), now),
        "XNSE: a calendar made anew and asked once": lambda: _anew(nse).is_open(now),
    }


def _anew(calendar: Calendar) -> Calendar:
    return with_overrides(calendar, [Override(date(2025, 7, 1), OverrideKind.CLOSED, (), "")])


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
