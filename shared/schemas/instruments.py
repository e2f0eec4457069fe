"""Instruments and the marks they are valued at."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.money import PositiveAmount
from shared.schemas.base import Contract, Currency, Identifier, Symbol, UtcDatetime


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

    symbol: Symbol
    currency: Currency
    asset_class: AssetClass
    multiplier: PositiveAmount = Field(default=1, validate_default=True)
    lot_size: PositiveAmount = Field(default=1, validate_default=True)
    tick_size: PositiveAmount
    margined: bool = Field(default=False, description="Counts towards leverage: derivatives and margined positions.")
    tradable: bool = True


class InstrumentBatch(Contract):
    """Instruments to add or replace."""

    instruments: Annotated[list[Instrument], Field(min_length=1, max_length=1_000)]


class Mark(Contract):
    """A price to value positions at."""

    symbol: Symbol
    price: PositiveAmount
    ts_event: UtcDatetime


class MarkBatch(Contract):
    """Marks sent straight to risk, beside those of the stream."""

    simulation_id: Identifier | None = None
    marks: Annotated[list[Mark], Field(min_length=1, max_length=10_000)]
