"""What the rows of a batch are judged by: the thresholds of each symbol, and the hours of its market."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.calendars import ALWAYS_OPEN, calendar_of
from services.marketdata.core.calendars import Calendar, Override, OverrideKind
from services.marketdata.core.calendars.hours import parsed
from services.marketdata.core.thresholds import DEFAULTS, OF_SYMBOL, Bands, Thresholds
from shared.schemas.quality import EVERY_SYMBOL, StoredDayOverride, StoredSymbolProfile, StoredThreshold


@dataclass(frozen=True)
class Rules:
    """The rules of the symbols of a batch; those of one that nothing was set for are the defaults."""

    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    otherwise: Thresholds = DEFAULTS
    profiles: Mapping[str, StoredSymbolProfile] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)

    def of(self, symbol: str) -> Thresholds:
        """Return the thresholds of a symbol."""
        return self.thresholds.get(symbol, self.otherwise)

    def calendar(self, symbol: str) -> Calendar | None:
        """Return the calendar of a symbol's market, None where it is always open."""
        profile = self.profiles.get(symbol)
        return self.calendars.get(profile.calendar) if profile else None

    def price_limit(self, symbol: str) -> float | None:
        """Return the greatest move of a day, None without one."""
        profile = self.profiles.get(symbol)
        return profile.price_limit if profile else None


async def load_rules(session: AsyncSession, symbols: Sequence[str]) -> Rules:
    """Return the rules of symbols as they are set now."""
    profiles = await store.profiles_of(session, symbols)
    codes = sorted({profile.calendar for profile in profiles.values()} - {ALWAYS_OPEN})
    calendars = await load_calendars(session, codes) if codes else {}
    bands = await store.thresholds_of(session, symbols)
    return Rules(*thresholds_by_symbol(bands, symbols), profiles, calendars)


async def load_calendars(session: AsyncSession, codes: Sequence[str]) -> dict[str, Calendar]:
    """Return calendars with what was set by hand laid over them. Raises UnknownCalendar."""
    overrides = await store.overrides_of(session, codes)
    return {code: calendar_of(code, _laid_over(overrides, code)) for code in codes}


def thresholds_by_symbol(
    bands: Iterable[StoredThreshold], symbols: Iterable[str]
) -> tuple[dict[str, Thresholds], Thresholds]:
    """Return the thresholds of symbols that have any of their own, and those of all others.

    What is set for a symbol goes before what is known of it, and that before what is set for all.
    """
    by_symbol: dict[str, dict[str, Bands]] = {}
    for each in bands:
        by_symbol.setdefault(each.symbol, {})[each.code] = Bands(each.warning, each.critical)
    everywhere = by_symbol.get(EVERY_SYMBOL, {})
    own = {symbol for symbol in symbols if symbol in by_symbol or symbol in OF_SYMBOL}
    found = {
        symbol: Thresholds({**everywhere, **OF_SYMBOL.get(symbol, {}), **by_symbol.get(symbol, {})}) for symbol in own
    }
    return found, Thresholds(everywhere) if everywhere else DEFAULTS


def _laid_over(overrides: Iterable[StoredDayOverride], code: str) -> list[Override]:
    return [
        Override(each.day, OverrideKind(each.kind), parsed(each.hours), each.reason)
        for each in overrides
        if each.calendar == code
    ]
