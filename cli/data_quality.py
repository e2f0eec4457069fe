"""Write docs/data-quality.md from the catalogue of checks, or check that it is current."""

import typer

from cli.generated import Check, keep_current
from cli.paths import ROOT
from services.marketdata.core.catalogue import CATALOGUE, Subject
from services.marketdata.core.catalogue import Check as QualityCheck
from services.marketdata.handlers.outcome import OF_STREAMS

_PATH = ROOT / "docs" / "data-quality.md"
_INTRODUCTION = """# Data quality

Every row of market data is judged when it is taken in, and every live stream for as long as it is fed. What is found
has a stable code, a severity, a message, the measure and the band it reached. A finding that persists is one issue
with a count and a duration (`GET /quality/issues`); `GET /quality/report` sums them up. Bands are set for one symbol
or all by `PUT /quality/thresholds`; a band is above zero (of `spot_below_band` it may be zero), and one that is null is
never reached. `docs/quality-scorecard.md` says how well the checks find faults.

Critical rows are stored with their verdict, are not served as latest and are no marks: risk is told not to trust the
symbol, and denies until a usable price comes.

This page is made from the code by `make openapi`; change the code, not this page.

## What counts as live

History is old by nature, and never stale for it. Of each series (source, symbol, kind of rows, interval) the service
notes when usable rows came that said something new, beside when they were:

- A batch is **live** if it came within 20 minutes after its newest event, or after twice its period: of a bar its
  length, of a funding rate the time between two.
- A series is **fed** once live rows came over a minute at least (or over a period), so that one delivery of a recent
  file is none, and until none came for 24 hours of open market: a source that was turned off is forgotten.
- A batch that lies wholly before the newest event of its series is a correction or fills a gap, and says nothing of
  the live stream. The same rows again say nothing either: to send a file twice is legitimate.
- What is found in history is kept and counted, and stands for nothing of now: it is an issue that ended with its batch,
  one for all batches that come within ten minutes, and makes no report critical. Old rows of a series that is fed are
  what its source says now, and their issues stand as any other.
- Time is that of the symbol's calendar: nights, lunch breaks and holidays age nobody. Simulations are not watched.

What is known of series is kept in the database, so that a restart loses nothing. What the log and risk were told, and
which bars were looked at, is learnt anew: it is told and looked at once more. Sequences of books and delays are read
from the stored rows themselves.

## Checks of whole streams

The monitor looks every `TRADING_MARKETDATA_MONITOR_SECONDS` (five seconds), in one process at a time; a critical
`stale_age`, `clock_frozen`, `clock_skew` or `cross_source` is a critical mark to risk, until the next usable row. A
stale or frozen series is none where another series of the symbol is sound. A critical finding that stands for five
minutes, and a check that nobody does any more, alert: see the [runbook](runbook.md#marketdatafindingscritical).

Of a recorded raw stream every message is checked as it is replayed, in its simulation and at the time of its receipt:
`clock_skew`, `clock_frozen`, `duplicate`, `out_of_order`, `sequence_break` and `future_timestamp`, and what the checks
of rows look at, before rows are made of it. Such an issue counts messages and ends once none has shown it for ten
seconds; a `sequence_break` ends with the snapshot that makes it good.
"""
# Of each check of whole streams: when it is judged, and how it ends.
_STREAMS = {
    "stale_age": "While the market is open and the series is fed. Bars are owed once the next one has ended, bars of a "
    "day when the next session has, funding rates after their period, liquidations never. A symbol that trades seldom "
    "is stale only after three times its usual wait as well (the 95th percentile of its last 200). Of states it is "
    "judged by the row while they come. Ends with the next event, or when the market closes.",
    "clock_frozen": "Rows that say something new come and none is newer, without two minutes of silence; of bars "
    "beyond their length. Ends with the next newer event, or when rows stop coming.",
    "gap": "Every minute, of bars that are fed: of the last session and the one now, of the last 24 hours where the "
    "market never closes. Ends when the bars come, or with the session.",
    "duplicate": "Rows repeated within one live batch, of the last rows (counts fade by half in 5,000 rows, and stand "
    "for 2,000 at least). A batch sent again is none. Ends as good rows come.",
    "out_of_order": "New trades, books and liquidations of a live batch that are older than one sent before them; a "
    "batch sent newest first is in order. Counted and ended as duplicates are.",
    "cross_source": "Every 15 seconds, where two sources are fed: at the last moment that both have reached, within "
    "five seconds; of bars that have ended, at the same start. Of three or more the one off their median, of two "
    "both. Ends when they agree.",
    "row_volume": "A minute after each 15-minute slot of a session, of trades, books and bars of up to five minutes: "
    "on a scale of logarithms, with ten earlier sessions at least. Ends with the next slot.",
    "clock_skew": "Every 15 seconds, of the last 1,000 trades or books of 15 minutes, of each batch its least. A delay "
    "is told only from batches that come every second, an event after its receipt always. What is learnt is taken off "
    "`future_timestamp`. Ends when the clocks agree.",
    "response_time": "With each call to a source that marketdata drives, or that is reported; see [feeds](feeds.md).",
    "failure_rate": "With each call, once there were 20; see [feeds](feeds.md).",
}
_ROWS = """
## Checks of rows

Judged with each row as it is taken in; an issue counts new rows, and ends with the first batch that has new rows of its
symbol and is without it. Rows that come again as they are stored count nothing and end nothing. States are held against
the close of the session before (`spot_move`), the median spread of the day from ten states on (`spread_wide`), and,
where no band was set, one learnt from the closes of 20 to 60 sessions (`spot_below_band`, `spot_above_band`).
`sequence_break` holds a book against the update it names and the last one known, across batches; the next book that
follows ends it. A book whose number is lower than the one before it in time is found itself, and the next may follow
either: an old book came late, or the venue counts anew. A level without a quantity is none, and a book without a level
on one side makes no mark. Two trades of one id within half a day are one: what came later is a `duplicate_conflicting`,
and counts for no volume. It is held against its own batch and the 1,000 trades of its source on either side of the
batch's end (fewer, 50 at least, where it has more than 20 symbols); venues that count anew do so between sessions.
`stale_content` is of states only: equal prices of trades or books in a row are no fault. Many critical or rejected rows
of one kind alert: see the [runbook](runbook.md#marketdatarowscritical).

What is usual is none either. `open_interest_fractional` leaves out what a venue counts in parts of a lot, down to a
twentieth: ten contracts of a chain at least, in different numbers of that part. `volume_zero` leaves out runs that come
of chance more than once in 10,000 times, by how often the last 100 bars went without trades. `price_outlier` has a
scale of a per cent at least for the first bar of a session, 0.25 % where the price has stood still, else 0.05 %; of
bars more goes into it, see below. `spread_wide` of books begins at a basis point of the price. A new level of price is
an outlier by its first value, and confirmed by its second. What is critical is left out of roll-ups: `bars` of a
roll-up says how many minutes are in it, `left_out` how many are not for being critical. Its severity is the worst of
those in it, and a warning at least where any is left out; where all are, there is no bar.
"""
_OUTLIERS = """
### Outliers of bars

`price_outlier` holds a close against the 50 closes before it, and high, low and open against what lies between the
close before and the bar's own: how far they are beyond both. `details.field` names the worst. The first ten values of
a series are judged by nothing: what is usual is not known yet. The scale is that of the
closes, and at least what the 50 bars before reached from low to high in the middle, so that wicks of the usual length
are none. It grows with the root of the time since the last trade, for a price that nobody saw moves on; and where more
than four times the usual volume was traded, with the root of that, to five times at most: news and crashes are traded,
a bad price is not. Of an index, whose bars have no volume, that is not known.

On 95,000 real bars (BTCUSDT of 2024 in minutes, quarters and hours, XRPETH in minutes, and days of the S&P 500, NIFTY,
Kweichow Moutai and BTCUSD) it finds two outliers, both lows of Coinbase: one of 0.06 at a price of 1,180 is critical,
one 17 % down a warning. Of 1,259 days of the VIX, which has no volume, it finds six. Of highs put ten per cent too far
it finds all in minutes of BTCUSDT, 99 % in quarters, and 29 % in days of the S&P 500; of those half too far 99 %.
"""
_GAPS = """
## The gap ledger

`GET /gaps` lists bars that are missing by the calendar, each gap with when it was found and when it was filled. The
last five sessions (60 of bars of a day) of every live series are looked at when bars come, and every minute while it is
fed; before a series' first bar nothing is missing, and after its last one only where it is fed. A window with both ends
is looked at when it is asked for, of simulations too. A gap that is partly filled goes on as what is left of it.
"""


def render() -> str:
    """Return the page."""
    streams = [check for code, check in CATALOGUE.items() if code in OF_STREAMS]
    rows = [check for code, check in CATALOGUE.items() if code not in OF_STREAMS]
    parts = [_INTRODUCTION, _header("when it is judged, and how it ends")]
    parts += [f"{_row(check)} {_STREAMS[check.code]} |" for check in streams]
    parts += [_ROWS, _header("of")]
    parts += [f"{_row(check)} {_subjects(check)} |" for check in rows]
    return "\n".join([*parts, _OUTLIERS, _GAPS])


def _header(last: str) -> str:
    return f"| code | measures | unit | warning | critical | {last} |\n|---|---|---|---|---|---|"


def _row(check: QualityCheck) -> str:
    bands = (f"{band:,g}" if band is not None else "" for band in (check.warning, check.critical))
    return f"| `{check.code}` | {check.title} | {check.unit} | {' | '.join(bands)} |"


def _subjects(check: QualityCheck) -> str:
    if len(check.subjects) >= len(Subject) - 1:
        return "every row"
    return ", ".join(subject.value.replace("_", " ") + "s" for subject in check.subjects)


def data_quality(check: Check = False) -> None:
    """Write docs/data-quality.md from the catalogue of checks."""
    keep_current({_PATH: render()}, check)


if __name__ == "__main__":
    typer.run(data_quality)
