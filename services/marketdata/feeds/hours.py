"""For how long events of a source were due: a market that is closed sends none."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from services.marketdata import store
from services.marketdata.core.calendars import Calendar
from services.marketdata.handlers.rules import load_rules
from services.marketdata.worker import Worker
from shared.clock import Clock
from shared.database import Database

_EVERY_SECONDS = 30.0
# A symbol that nothing came of for so long is no longer expected of its source.
_KNOWN_FOR = timedelta(days=7)


class MarketHours(Worker):
    """Knows the markets of the symbols that a source gives, and of those that it is `asked` for."""

    def __init__(self, database: Database, asked: Mapping[str, Iterable[str]], clock: Clock) -> None:
        super().__init__("hours", _EVERY_SECONDS)
        self._database = database
        self._asked = {source: frozenset(symbols) for source, symbols in asked.items()}
        self._clock = clock
        # Of each source; None stands for a market that never closes.
        self._markets: dict[str, set[Calendar | None]] = {}

    async def work(self) -> bool:
        """Look which symbols there are and where they are traded. Raises one of UNAVAILABLE."""
        async with self._database.session() as session:
            given = await store.symbols_by_source(session, self._clock.now() - _KNOWN_FOR)
            symbols = {
                source: given.get(source, frozenset()) | self._asked.get(source, frozenset())
                for source in given.keys() | self._asked.keys()
            }
            rules = await load_rules(session, sorted(frozenset().union(*symbols.values())))
        self._markets = {source: {rules.calendar(symbol) for symbol in of} for source, of in symbols.items()}
        return True

    def waited(self, source: str, since: datetime, now: datetime) -> float:
        """Return for how many seconds since a moment the longest open of a source's markets was."""
        markets = self._markets.get(source) or {None}
        return max(
            max(0.0, (now - since).total_seconds()) if calendar is None else calendar.seconds_open(since, now)
            for calendar in markets
        )
