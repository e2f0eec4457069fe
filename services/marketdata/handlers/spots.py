"""What the spot and the spreads of a symbol were: what its states are held against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.calendars import ALWAYS_OPEN, calendar_of
from services.marketdata.core.calendars import Calendar
from services.marketdata.core.chain.band import learn_band
from services.marketdata.core.thresholds import Bands
from services.marketdata.handlers.rules import Rules
from services.marketdata.store import Origin

# Sessions that a band is learnt from, and days that have as many in any market.
_SESSIONS = 60
_DAYS = timedelta(days=100)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Past:
    """The close of the session before, the median of the day's relative spreads, and the band of the spot."""

    prior_close: Decimal | None = None
    median_spread: float | None = None
    band: Mapping[str, Bands] = field(default_factory=dict)


class SpotHistory:
    """Looks up what states of one source are held against, once for each symbol and day of a batch."""

    def __init__(self, session: AsyncSession, origin: Origin, rules: Rules) -> None:
        self._session = session
        self._origin = origin
        self._rules = rules
        self._known: dict[tuple[str, date], Past] = {}

    async def of(self, symbol: str, moment: datetime | None) -> Past:
        """Return what is known before a state of a moment; nothing where it does not say when it was."""
        if moment is None:
            return Past()
        calendar = self._rules.calendar(symbol) or calendar_of(ALWAYS_OPEN)
        days = _days_of(calendar, moment)
        if days is None:
            return Past()
        key = (symbol, days[1])
        if key not in self._known:
            self._known[key] = await self._look_up(calendar, symbol, days, moment)
        return self._known[key]

    async def _look_up(self, calendar: Calendar, symbol: str, days: tuple[date, date], moment: datetime) -> Past:
        sessions = calendar.sessions(*days)[-_SESSIONS:]
        spans = [(each.open, each.close + (_INSTANT if each.close < moment else timedelta(0))) for each in sessions]
        spots = await store.session_spots(self._session, self._origin, symbol, spans)
        # A close of weeks ago says nothing of how far a day has gone.
        prior = spots[-1][1] if spots and spots[-1][0] == spans[-1][1] else None
        midnight = datetime.combine(days[1], time(), calendar.timezone)
        spread = await store.median_spread(self._session, self._origin, symbol, midnight, moment)
        return Past(prior, spread, learn_band([float(spot) for _, spot in spots]))


def _days_of(calendar: Calendar, moment: datetime) -> tuple[date, date] | None:
    """Return from where on to look back, and the market's date of a moment; None at either end of time."""
    try:
        day = moment.astimezone(calendar.timezone).date()
        return day - _DAYS, day
    except OverflowError:
        return None
