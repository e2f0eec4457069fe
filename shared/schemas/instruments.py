"""Instruments and the marks they are valued at."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.money import Amount, PositiveAmount
from shared.schemas.base import Contract, Currency, Identifier, Real, Severity, Symbol, UtcDatetime, Whole


class AssetClass(StrEnum):
    """What kind of instrument it is."""

    EQUITY = "EQUITY"
    INDEX = "INDEX"
    FUTURE = "FUTURE"
    OPTION = "OPTION"
    CRYPTO = "CRYPTO"
    FX = "FX"


class Instrument(Contract):
    """What risk must know of an instrument before an order in it may pass."""

    symbol: Symbol = Field(
        description="Of a rate the currency, a slash and the account's currency, or the inverse: `EUR/USD` is what one "
        "EUR is worth in an account in USD."
    )
    currency: Currency
    asset_class: AssetClass
    sector: Identifier | None = Field(default=None, description="Without one the sector limit does not apply.")
    multiplier: PositiveAmount = Field(default=1, validate_default=True)
    lot_size: PositiveAmount = Field(default=1, validate_default=True)
    tick_size: PositiveAmount
    margined: bool = Field(default=False, description="Counts towards leverage: derivatives and margined positions.")
    initial_margin: Annotated[Real, Field(gt=0, le=1)] | None = Field(
        default=None, description="Share of notional a position ties up; by default 0.2 where margined, else 0.5."
    )
    underlying: Symbol | None = Field(
        default=None,
        description="Of an option: its exposure is its delta's share of this instrument's notional. "
        "No instrument is its own, by itself or through others.",
    )
    average_daily_volume: PositiveAmount | None = Field(
        default=None, description="In units of the instrument; without it the liquidity limit does not apply."
    )
    max_jump: Annotated[Real, Field(gt=0, le=100)] | None = Field(
        default=None,
        description="A mark that moves by more than this fraction is not used until a later one confirms it. "
        "By default 0.1 for INDEX and FX, 0.2 for EQUITY and FUTURE, 0.3 for CRYPTO, none for OPTION.",
    )
    jump_confirm_seconds: Annotated[Real, Field(ge=0.001, le=86_400)] = Field(
        default=1.0,
        description="By how much `ts_event` of the mark that confirms a jump must be later than the doubted one's.",
    )
    halt_on_jump: bool = Field(
        default=False, description="A confirmed jump stops the symbol by a VOLATILITY_SPIKE kill switch."
    )
    restricted: bool = Field(default=False, description="On the restricted list: nothing but reductions passes.")
    tradable: bool = True


class InstrumentBatch(Contract):
    """Instruments to add or replace."""

    instruments: Annotated[list[Instrument], Field(min_length=1, max_length=1_000)]


class Mark(Contract):
    """A price to value positions at."""

    symbol: Symbol
    price: PositiveAmount
    delta: Annotated[Amount, Field(ge=-1, le=1)] | None = Field(
        default=None, description="Of an option: what its price moves by for one of its underlying's."
    )
    quality: Severity = Field(
        default=Severity.OK,
        description="A critical price is not used, and orders in the symbol are denied until a better one comes.",
    )
    ts_event: UtcDatetime


class MarkBatch(Contract):
    """Marks sent straight to risk, beside those of the stream."""

    simulation_id: Identifier | None = None
    marks: Annotated[list[Mark], Field(min_length=1, max_length=10_000)]


class MarkNote(Contract):
    """A mark that positions are not valued at, and why."""

    symbol: Symbol
    reason: str


class MarksResult(Contract):
    """What became of the marks that were sent: each is counted, ignored or doubted."""

    count: int = Field(description="How many are news and positions are, or were, valued at.")
    ignored: list[MarkNote] = Field(default=[], description="Those that change nothing, and why.")
    doubted: list[MarkNote] = Field(default=[], description="Those that block orders in their symbols, and why.")


class ScenarioSet(Contract):
    """Returns per scenario and symbol, which historical VaR and ES are measured on; the newest set replaces all.

    `returns[symbol][i]` is the fraction by which the symbol moved in scenario `i`; every symbol has as many. What has
    none and an `underlying` takes those of that, by its delta.
    """

    name: Identifier
    horizon_days: Annotated[Whole, Field(ge=1, le=30)] = 1
    returns: Annotated[
        dict[Symbol, list[Annotated[float, Field(ge=-1, le=100)]]], Field(min_length=1, max_length=2_000)
    ]


class ScenarioView(Contract):
    """The scenarios in force."""

    name: Identifier
    horizon_days: int
    scenarios: int
    symbols: list[Symbol]
    seq: int
