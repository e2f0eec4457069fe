"""What an account's value at risk is made of, and whether it held."""

from datetime import date

from pydantic import Field

from shared.money import Amount
from shared.schemas.accounts import TailRisk
from shared.schemas.base import Contract, Identifier, Symbol, UtcDatetime


class TailContribution(Contract):
    """What one symbol adds to the historical figures.

    The components are fractions of equity, negative for what hedges the rest. The marginals are what one more unit of
    exposure adds to the loss, in units of currency per unit; they hold for small changes.
    """

    symbol: Symbol
    exposure: Amount = Field(
        description="Signed, in the account's currency; of an option on its underlying's returns its delta times the "
        "underlying."
    )
    component_value_at_risk: float
    component_expected_shortfall: float
    marginal_value_at_risk: float
    marginal_expected_shortfall: float


class ValueAtRisk(Contract):
    """VaR and ES of the positions as they are by every method, and what each symbol adds to them."""

    account_id: Identifier
    methods: list[TailRisk]
    contributions: list[TailContribution] = Field(
        description="They sum to the historical figures; where those are 0 as even the tail earns, to that gain."
    )
    unmeasured: list[Symbol] = Field(
        description="Positions without returns in the scenarios, their own or an underlying's: the figures lack them."
    )
    note: str | None = Field(description="Why nothing is measured; null where it is.")
    scenarios: Identifier | None = Field(description="Name of the scenarios in force.")
    seq: int = Field(description="The newest row of the journal that the figures include.")
    ts_event: UtcDatetime


class VarException(Contract):
    """A session whose loss was larger than the value at risk forecast for it; both are fractions of equity."""

    session_date: date
    value_at_risk: float
    daily_return: float


class CoverageTest(Contract):
    """A likelihood ratio, and how probable one at least as large is where the value at risk is right."""

    statistic: float
    degrees_of_freedom: int
    p_value: float
    note: str | None = Field(description="Why the days cannot speak against it, where they cannot.")


class VarBacktest(Contract):
    """Whether one method's value at risk was exceeded as often, and as independently, as it said."""

    account_id: Identifier
    method: str
    confidence: float | None = Field(description="Of the newest forecast; null where there is none.")
    first_session: date | None
    last_session: date | None
    observations: int = Field(description="Sessions with a forecast from the one before.")
    left_out: int = Field(description="Closed sessions that had none, or one of another confidence or horizon.")
    exceptions: int
    expected: float | None = Field(description="Exceptions to expect: observations times (1 - confidence).")
    exceeded: list[VarException]
    kupiec: CoverageTest | None
    christoffersen_independence: CoverageTest | None
    christoffersen_conditional_coverage: CoverageTest | None
    zone: str | None = Field(description="GREEN, YELLOW or RED of the Basel Committee's traffic light.")
    note: str | None = Field(description="Why figures are missing or say little; null where there are enough sessions.")
