"""Decide on instruments, marks and scenarios."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from services.risk.core.bodies import Marked, Quote
from services.risk.core.commands import THE_ENGINE, ActivateKillSwitch, SetInstruments, SetMarks, SetScenarios
from services.risk.core.kill_switches import activate
from services.risk.core.outcome import Event, Outcome, Refused, conflict, forbidden, invalid
from services.risk.core.positions import HeldMark, Position
from services.risk.core.state import FirmState
from services.risk.core.terms import Terms, worth
from services.risk.core.units import LIVE_SINCE, SCALE, SCALE2, half_even, moment, stamp, text
from shared.schemas.base import Severity
from shared.schemas.events import InstrumentSet, ScenariosSet
from shared.schemas.instruments import Instrument
from shared.schemas.journal import EventKind
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate

# A live mark further ahead than clocks differ would count as fresh for as long as it is ahead.
_CLOCK_SKEW: Final = 5_000_000
# What one position may be worth. A mark that makes it more is no price, and would stay in the high-water mark.
_MOST_VALUE: Final = 10**16 * SCALE
_FEWEST_SCENARIOS: Final = 20


def set_instruments(state: FirmState, command: SetInstruments, now: int) -> Outcome:
    """Add or replace instruments; those that stay as they are give no event."""
    underlyings = {instrument.symbol: instrument.underlying for instrument in command.instruments}
    for instrument in command.instruments:
        known = state.instruments.get(instrument.symbol)
        # One that was described so before it was refused may stay.
        if (known is None or known.underlying != instrument.underlying) and _on_itself(state, underlyings, instrument):
            return invalid(f"{instrument.symbol} would be its own underlying, by itself or through others")
        if known is None:
            continue
        if command.may_only_describe and _changes(known.instrument, instrument):
            return forbidden(f"{instrument.symbol} is described already; a risk officer or an admin changes it")
        if not _in_use(state, instrument.symbol):
            continue
        if known.unit_of_account != Terms(instrument).unit_of_account:
            return conflict(
                f"{instrument.symbol} is held: its currency, multiplier, margining and underlying cannot change"
            )
    return tuple(
        Event(
            EventKind.INSTRUMENT_SET,
            None,
            InstrumentSet(instrument=instrument, by=command.by, ts_event=moment(now)),
        )
        for instrument in command.instruments
        if instrument.symbol not in state.instruments or state.instruments[instrument.symbol].instrument != instrument
    )


def _on_itself(state: FirmState, described: dict[str, str | None], instrument: Instrument) -> bool:
    """Tell whether the chain of underlyings comes back, in the end or at once."""
    met: set[str] = set()
    each = instrument.underlying
    while each is not None and each not in met:
        if each == instrument.symbol:
            return True
        met.add(each)
        if each in described:
            each = described[each]
        else:
            known = state.instruments.get(each)
            each = known.underlying if known is not None else None
    return False


def _changes(known: Instrument, instrument: Instrument) -> bool:
    volume = {"average_daily_volume": instrument.average_daily_volume}
    return known.model_copy(update=volume) != instrument


def set_marks(state: FirmState, command: SetMarks, now: int) -> Outcome:
    """Take the marks that are news, in their order; live ones only as the newest of each symbol.

    A price that jumps, or was judged critical, is not valued at: its symbol is blocked until one that was seen later,
    by the instrument's `jump_confirm_seconds`, confirms it, or one is as before. The same price sent again at once
    says no more than it did. What is not taken is noted on the command, with the reason.
    """
    found = _sift(state, command, now)
    taken, last = found.taken, found.newest
    if command.simulation_id is None:
        taken = list({quote.symbol: quote for quote in taken}.values())
    # What became of a doubt within the batch is decided: only the last word on a symbol counts.
    doubted = list({quote.symbol: quote for quote in found.doubted if _is_last(last[quote.symbol], quote)}.values())
    command.notes.ignored[:] = [*found.ignored, *_overtaken(found, taken, doubted)]
    command.notes.doubted[:] = [(quote.symbol, _why_doubted(quote)) for quote in doubted]
    if not taken and not doubted:
        return ()
    marks = Event(EventKind.MARKS_SET, None, Marked(command.simulation_id, taken, doubted, now))
    # A simulation's prices stop nobody: a switch on a symbol is the whole firm's.
    return (marks, *_spikes(state, found.confirmed.values() if command.simulation_id is None else (), now))


@dataclass(slots=True)
class _Sifted:
    """The marks of a command, by what became of each."""

    taken: list[Quote] = field(default_factory=list)
    doubted: list[Quote] = field(default_factory=list)
    # Of each symbol the last that confirmed a jump, and the mark the command leaves.
    confirmed: dict[str, Quote] = field(default_factory=dict)
    newest: dict[str, HeldMark] = field(default_factory=dict)
    ignored: list[tuple[str, str]] = field(default_factory=list)


def _sift(state: FirmState, command: SetMarks, now: int) -> _Sifted:
    found, simulation = _Sifted(), command.simulation_id
    for quote in command.marks:
        symbol = quote.symbol
        terms = state.instruments.get(symbol)
        if terms is None:
            found.ignored.append((symbol, "not a known instrument"))
            continue
        held = found.newest.get(symbol) or state.marks.get((simulation, symbol))
        why = _no_news(quote, held, terms) or (_not_live(quote, now) if simulation is None else None)
        if why is not None:
            found.ignored.append((symbol, why))
        elif quote.quality is Severity.CRITICAL or _jumps(quote, held, terms):
            found.doubted.append(quote)
            found.newest[symbol] = doubt(quote, held)
        elif _absurd(state, simulation, quote):
            found.ignored.append((symbol, "a position would be worth more than can be counted"))
        else:
            found.taken.append(quote)
            if held is not None and _confirms(quote, held, terms):
                found.confirmed[symbol] = quote
            found.newest[symbol] = believe(quote, held, terms)
    return found


def _no_news(quote: Quote, held: HeldMark | None, terms: Terms) -> str | None:
    """Return why a mark says nothing beside the one that is held."""
    if held is None:
        return None
    if quote.ts < held.ts:
        return f"older than the mark held, of {stamp(held.ts)}"
    if _same(quote, held):
        return "held already"
    if quote.quality is not Severity.CRITICAL and _repeats_a_doubt(quote, held, terms):
        return (
            f"doubted since {stamp(held.suspect_ts)}; one seen {terms.jump_confirm / 1_000_000:g} s later confirms it"
        )
    return None


def _not_live(quote: Quote, now: int) -> str | None:
    """Return why a mark cannot be one of now."""
    if quote.ts < LIVE_SINCE:
        return "before 2000"
    return f"more than {_CLOCK_SKEW // 1_000_000} s ahead of the clock" if quote.ts > now + _CLOCK_SKEW else None


def _overtaken(found: _Sifted, taken: list[Quote], doubted: list[Quote]) -> list[tuple[str, str]]:
    """Return the marks that a later one of the same command made pointless."""
    kept = {id(quote) for quote in (*taken, *doubted)}
    return [
        (quote.symbol, "a later one of the same request counts")
        for quote in (*found.taken, *found.doubted)
        if id(quote) not in kept
    ]


def _why_doubted(quote: Quote) -> str:
    if quote.quality is Severity.CRITICAL:
        return "judged critical: no order in the symbol passes until a better price comes"
    return "a jump: no order in the symbol passes until a later price confirms it, or is as before"


def _spikes(state: FirmState, confirmed: Iterable[Quote], now: int) -> list[Event]:
    """Return the switches that confirmed jumps pull, where their instruments ask for it."""
    events: list[Event] = []
    for quote in confirmed:
        symbol = quote.symbol
        if not state.instruments[symbol].instrument.halt_on_jump or state.stopped.get((KillScope.SYMBOL, symbol)):
            continue
        request = KillSwitchCreate(
            scope=KillScope.SYMBOL, target=symbol, reason=f"jumped to {text(quote.price)}", allow_reducing=True
        )
        name = f"auto-volatility-spike-{state.last_seq}-{len(events)}"
        outcome = activate(state, ActivateKillSwitch(name, request, KillReason.VOLATILITY_SPIKE, THE_ENGINE), now)
        if not isinstance(outcome, Refused):
            events += outcome
    return events


def doubt(quote: Quote, held: HeldMark | None) -> HeldMark:
    """Return a symbol's mark once a price came that cannot be trusted: the one before, with the doubt noted."""
    price, ts, delta = (held.price, held.ts, held.delta) if held else (quote.price, quote.ts, quote.delta)
    suspect = 0 if quote.quality is Severity.CRITICAL else quote.price
    anchor, anchor_ts = (held.anchor, held.anchor_ts) if held else (quote.price, quote.ts)
    return HeldMark(price, ts, delta, quote.quality, suspect, quote.ts, anchor, anchor_ts)


def believe(quote: Quote, held: HeldMark | None, terms: Terms) -> HeldMark:
    """Return a symbol's mark once a price was taken."""
    anchor, anchor_ts = quote.price, quote.ts
    if held is not None and not _confirms(quote, held, terms):
        within = quote.ts - held.anchor_ts < terms.jump_confirm
        anchor, anchor_ts = (held.anchor, held.anchor_ts) if within else (held.price, quote.ts)
    return HeldMark(quote.price, quote.ts, quote.delta, quote.quality, anchor=anchor, anchor_ts=anchor_ts)


def set_scenarios(state: FirmState, command: SetScenarios, now: int) -> Outcome:
    """Measure VaR and ES on other returns from now on; the same again gives no event."""
    counts = {len(returns) for returns in command.scenarios.returns.values()}
    if len(counts) != 1:
        return invalid("every symbol has as many returns as every other: one for each scenario")
    if min(counts) < _FEWEST_SCENARIOS:
        return invalid(f"fewer than {_FEWEST_SCENARIOS} scenarios say nothing about a tail")
    if state.scenarios is not None and state.scenarios.source == command.scenarios:
        return ()
    body = ScenariosSet(scenarios=command.scenarios, by=command.by, ts_event=moment(now))
    return (Event(EventKind.SCENARIOS_SET, None, body),)


def _same(quote: Quote, held: HeldMark) -> bool:
    if held.suspect or held.quality is Severity.CRITICAL:
        return False
    return (quote.price, quote.ts, quote.delta, quote.quality) == (held.price, held.ts, held.delta, held.quality)


def _jumps(quote: Quote, held: HeldMark | None, terms: Terms) -> bool:
    """Tell whether a price is too far from the last good one, and from the suspect one that it may confirm."""
    if held is None or not held.price or not _strays(quote, held, terms):
        return False
    return not held.suspect or _far(quote, held.suspect, terms)


def _repeats_a_doubt(quote: Quote, held: HeldMark, terms: Terms) -> bool:
    """Tell whether a price is about the suspect one, and was seen too soon after it to confirm it."""
    return (
        held.suspect != 0
        and _strays(quote, held, terms)
        and not _far(quote, held.suspect, terms)
        and quote.ts - held.suspect_ts < terms.jump_confirm
    )


def _confirms(quote: Quote, held: HeldMark, terms: Terms) -> bool:
    """Tell whether a price that is taken makes a jump true."""
    return held.suspect != 0 and _strays(quote, held, terms)


def _strays(quote: Quote, held: HeldMark, terms: Terms) -> bool:
    """Tell whether a price is too far from the last good one, or in small steps has come too far in no time."""
    if _far(quote, held.price, terms):
        return True
    return quote.ts - held.anchor_ts < terms.jump_confirm and held.anchor != 0 and _far(quote, held.anchor, terms)


def _far(quote: Quote, price: int, terms: Terms) -> bool:
    return abs(quote.price - price) * SCALE > terms.max_jump * price


def _is_last(newest: HeldMark, quote: Quote) -> bool:
    return newest.suspect == quote.price or newest.quality is quote.quality is Severity.CRITICAL


def _absurd(state: FirmState, simulation_id: str | None, quote: Quote) -> bool:
    """Tell whether a price would make a position worth too much: its own, its currency's rate, or its underlying's."""
    valued = state.valued_by.get((simulation_id, quote.symbol), {}).values()
    return any(worth(abs(each.reserved), _unit_at(quote, each)) > _MOST_VALUE for _, each in valued)


def _unit_at(quote: Quote, position: Position) -> int:
    terms, rate = position.terms, position.rate
    if quote.symbol in {terms.symbol, terms.underlying}:
        return half_even(quote.price * terms.multiplier * rate, SCALE)
    # A rate, of the instrument's currency or to it.
    direct = quote.symbol.startswith(f"{terms.currency}/")
    rate = quote.price if direct else half_even(SCALE2, quote.price)
    price = position.mark.price if position.mark else position.average_price
    return half_even(price * terms.multiplier * rate, SCALE)


def _in_use(state: FirmState, symbol: str) -> bool:
    return any(
        position.quantity or position.open_buy or position.open_sell
        for account in state.accounts.values()
        if (position := account.positions.get(symbol)) is not None
    )
