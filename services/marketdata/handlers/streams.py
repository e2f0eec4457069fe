"""What the quality monitor looks at in a round: times, clocks, prices side by side, gaps, and rows by slot."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.calendars import micros_array
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.monitor import timed
from services.marketdata.core.monitor.cross_source import Compared, compare
from services.marketdata.core.monitor.skew import skew_of
from services.marketdata.core.monitor.volume import SLOT, last_slot, volume_score
from services.marketdata.handlers.gaps import missing_share, scan_recent
from services.marketdata.handlers.watching import Findings, Round, Said, keep
from services.marketdata.store import BarSeriesName, SeriesName
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval

_STREAM = frozenset({Subject.TICK, Subject.ORDER_BOOK})
_COMPARED = frozenset({Subject.BAR, Subject.TICK, Subject.ORDER_BOOK})
# What a symbol's usual wait is told from.
_WAITS, _WAITS_OVER, _WAITS_SHARE = 200, timedelta(days=5), 95
_SKEW_OVER = timedelta(minutes=15)
_NEAR = timedelta(seconds=5)
_PRICES_OVER, _MOST_PRICES = timedelta(minutes=1), 500
_LONGEST_COUNTED = timedelta(minutes=5)
_LATE_ROWS = timedelta(minutes=1)
# What one round may take is bounded: of more series than these some wait for the next one.
_SERIES_A_ROUND, _COUNTS_A_ROUND, _SCANS_A_ROUND = 500, 60, 50
_VOLUMES_KEPT = timedelta(days=120)


async def watch_times(session: AsyncSession, of: Round, said: Said) -> None:
    """Judge whether rows come, whether their time moves, and how many came twice or late."""
    # Thousands of series take their time: others are answered meanwhile.
    times = await asyncio.to_thread(_times, of)
    stale: Findings = []
    for name, age in times.aged:
        state = of.series[name]
        wait = await _usual_wait(session, of, said, name)
        issue = timed.stale_age(state, name.subject, age, wait, of.rules.of(name.symbol))
        stale += [(name, issue)] if issue is not None else []
    # Of a state that comes its row says whether it is stale: what was found while none came is over.
    for name in of.series.keys() - set(times.judged):
        said.standing.pop((name, "stale_age"), None)
    await keep(session, of, said, ["stale_age"], times.judged, stale)
    await keep(session, of, said, ["clock_frozen"], of.series, times.frozen)
    # Of a state its row says what it holds twice.
    rated = [name for name in of.series if name.subject is not Subject.MARKET_STATE]
    await keep(session, of, said, ["duplicate", "out_of_order"], rated, times.rates)


@dataclass
class _Times:
    """Series whose age has reached a band, those whose age was judged, and what was found of clocks and rates."""

    aged: list[tuple[SeriesName, float]] = field(default_factory=list)
    judged: list[SeriesName] = field(default_factory=list)
    frozen: Findings = field(default_factory=list)
    rates: Findings = field(default_factory=list)


def _times(of: Round) -> _Times:
    found = _Times()
    for name, state in of.series.items():
        calendar, thresholds = of.calendar(name.symbol), of.rules.of(name.symbol)
        fed = of.is_fed(name)
        if fed:
            frozen = timed.clock_frozen(state, name.subject, calendar, of.now, thresholds)
            found.frozen += [(name, frozen)] if frozen is not None else []
            found.rates += [(name, issue) for issue in timed.rates(state, thresholds)]
        band = thresholds["stale_age"].warning or 0.0
        if name.subject is Subject.MARKET_STATE and (of.now - state.message_at).total_seconds() < band:
            # While states come, each says of itself whether it only repeats the one before.
            continue
        found.judged.append(name)
        age = timed.age(state, name.subject, calendar, of.now) if fed else None
        if age is not None and thresholds.issue("stale_age", age, "") is not None:
            found.aged.append((name, age))
    return found


async def _usual_wait(session: AsyncSession, of: Round, said: Said, name: SeriesName) -> float:
    """Return the 95th percentile of the seconds of open market between the last rows, beyond what is their period."""
    state = of.series[name]
    known = said.waits.get(name)
    if known is None or known[0] != state.last_ts:
        moments = await store.last_moments(session, name, state.last_ts - _WAITS_OVER, _WAITS)
        wait = timed.usual_wait(micros_array(moments), of.calendar(name.symbol), state.period, _WAITS_SHARE)
        known = said.waits[name] = (state.last_ts, wait)
    return known[1]


async def watch_clocks(session: AsyncSession, of: Round, said: Said) -> None:
    """Learn by how much the clocks of live ticks and books differ from ours, and judge it."""
    found: Findings = []
    fed = of.fed(_STREAM)
    chosen = said.in_turn("clock_skew", fed, _SERIES_A_ROUND, of.now)
    for name in chosen:
        skew = skew_of(await store.delays(session, name, of.now - _SKEW_OVER))
        if skew != of.series[name].skew:
            # What rows no longer tell is not taken off their times any more.
            await store.set_skew(session, name, skew)
        if skew is None:
            continue
        issue = of.rules.of(name.symbol).issue(
            "clock_skew", abs(skew), f"received {skew:.3f} seconds after the event, by the median", skew=skew
        )
        found += [(name, issue)] if issue is not None else []
    await keep(session, of, said, ["clock_skew"], _judged(of, _STREAM, fed, chosen), found)


def _judged(
    of: Round, subjects: Collection[Subject], fed: Iterable[SeriesName], chosen: Iterable[SeriesName]
) -> list[SeriesName]:
    """Return the series that were looked at, and those that there is nothing to say of any more."""
    others = {name for name in of.series if name.subject in subjects}.difference(fed)
    return sorted(others.union(chosen))


async def watch_prices(session: AsyncSession, of: Round, said: Said) -> None:
    """Hold the prices of one symbol from several live sources against each other."""
    groups: dict[tuple[str, Subject, str], list[SeriesName]] = {}
    for name in of.fed(_COMPARED):
        groups.setdefault((name.symbol, name.subject, name.interval), []).append(name)
    several = {names[0]: names for names in groups.values() if len(names) > 1}
    found: Findings = []
    judged: list[SeriesName] = []
    for first in said.in_turn("cross_source", several, _SERIES_A_ROUND // 2, of.now):
        compared = await _compared(session, of, several[first])
        judged += compared
        for name, one in compared.items():
            issue = of.rules.of(name.symbol).issue(
                "cross_source",
                one.basis_points,
                f"the price {one.price:g} is {one.basis_points:.1f} basis points off {one.reference:g}",
                others=list(one.others),
                at=one.at.isoformat(),
            )
            found += [(name, issue)] if issue is not None else []
    paired = [name for names in several.values() for name in names]
    await keep(session, of, said, ["cross_source"], _judged(of, _COMPARED, paired, judged), found)


async def _compared(session: AsyncSession, of: Round, names: list[SeriesName]) -> dict[SeriesName, Compared]:
    period = timedelta(seconds=of.series[names[0]].period)
    # A bar that has not ended has another close in each source.
    since, until = of.now - _PRICES_OVER - 3 * period, of.now - period
    prices = {}
    for name in names:
        rows = await store.last_prices(session, name, since, until, _MOST_PRICES)
        prices[name.source] = [(moment, float(price)) for moment, price in rows]
    behind, tolerance = (2 * period, timedelta(0)) if period else (_NEAR, _NEAR)
    compared = compare(prices, behind, tolerance)
    return {name: compared[name.source] for name in names if name.source in compared}


async def watch_gaps(session: AsyncSession, of: Round, said: Said) -> None:
    """Look for gaps in the last sessions of bars: where rows came since the last look, or ought to have."""
    due = []
    for name, state in of.series.items():
        looked = said.looked.get(("gap", name))
        if name.subject is Subject.BAR and (looked is None or state.message_at >= looked or of.is_fed(name)):
            due.append(name)
    found: Findings = []
    chosen = said.in_turn("gap", due, _SCANS_A_ROUND, of.now)
    for name in chosen:
        calendar, interval, fed = of.calendar(name.symbol), _interval(name), of.is_fed(name)
        series = BarSeriesName("", name.source, name.symbol, interval)
        scan = await scan_recent(session, series, calendar, of.series[name].last_ts, fed, of.now)
        if scan is None or not fed:
            continue
        share, missing = missing_share(scan, interval, calendar)
        issue = of.rules.of(name.symbol).issue(
            "gap", share, f"{missing} bars of {interval} are missing, {share:.2%} of the last session's", bars=missing
        )
        found += [(name, issue)] if issue is not None else []
    await keep(session, of, said, ["gap"], _judged(of, (Subject.BAR,), due, chosen), found)


async def watch_volumes(session: AsyncSession, of: Round, said: Said) -> None:
    """Count the rows of the last slot of the session, and judge them by the same slot of earlier sessions."""
    left = _COUNTS_A_ROUND
    found: Findings = []
    judged = []
    fed = [name for name in of.fed(_COMPARED) if timedelta(seconds=of.series[name].period) <= _LONGEST_COUNTED]
    for name in said.in_turn("row_volume", fed, _SERIES_A_ROUND, of.now):
        slot = last_slot(of.calendar(name.symbol), of.now - _LATE_ROWS)
        if slot is None:
            judged.append(name)
            continue
        wanted = [slot.start, *reversed(slot.earlier)]
        known = await store.known_volumes(session, name, wanted)
        missing = [start for start in wanted if start not in known][:left]
        if missing:
            known |= await store.count_rows_of(session, name, missing, SLOT)
            left -= len(missing)
        if any(start not in known for start in wanted):
            # The rest is counted in the next rounds.
            continue
        judged.append(name)
        score = volume_score(known[slot.start], [known[start] for start in slot.earlier])
        if score is None:
            continue
        issue = of.rules.of(name.symbol).issue(
            "row_volume",
            score,
            f"{known[slot.start]} rows in the slot of {slot.start.isoformat()}, {score:.1f} MADs off the usual",
            rows=known[slot.start],
            slot=slot.start.isoformat(),
        )
        found += [(name, issue)] if issue is not None else []
    await store.forget_volumes(session, of.now - _VOLUMES_KEPT)
    await keep(session, of, said, ["row_volume"], _judged(of, _COMPARED, fed, judged), found)


def _interval(name: SeriesName) -> Interval:
    return next(interval for interval in INTERVAL_LENGTH if interval == name.interval)
