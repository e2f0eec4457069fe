"""VaR and ES of an account by every method, from the scenarios its limits are measured on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from services.risk.core.book import Book, book_of
from services.risk.core.scenarios import exposure
from services.risk.core.state import Account, FirmState
from services.risk.core.var import historical, monte_carlo, parametric
from services.risk.core.var import result as results
from services.risk.core.var.contributions import breakdown
from shared.money import round_amount
from shared.schemas.accounts import TailRisk
from shared.schemas.value_at_risk import TailContribution, ValueAtRisk

# The same portfolio gives the same figures, whenever it is asked about.
_SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class TailInputs:
    """What is copied off the state, so that the rest can be worked out beside the writer."""

    account_id: str
    book: Book | None
    # Each position's symbol, whose returns it moves with, and with how much money.
    parts: tuple[tuple[str, str, float], ...]
    unmeasured: tuple[str, ...]
    note: str | None
    scenarios: str | None
    seq: int


def tail_inputs(state: FirmState, account: Account) -> TailInputs:
    """Return what `value_at_risk` needs of an account as it stands."""
    scenarios, book = state.scenarios, book_of(state, account)
    held = sorted((symbol, each) for symbol, each in account.positions.items() if each.quantity)
    parts = tuple((symbol, each.row, exposure(each, each.quantity)) for symbol, each in held if each.row is not None)
    unmeasured = tuple(symbol for symbol, each in held if each.row is None)
    if book is not None:
        note = None
    elif scenarios is None:
        note = "no scenarios were set"
    elif account.equity <= 0:
        note = "the account's equity is not above 0"
    elif len(unmeasured) == len(held):
        note = "no position has returns in the scenarios" if held else "the account holds no position"
    else:
        note = f"{scenarios.matrix.scenarios} scenarios are too few for the confidence of the account's limits"
    name = scenarios.source.name if scenarios else None
    return TailInputs(account.account_id, book, parts, unmeasured, note, name, state.last_seq)


def value_at_risk(inputs: TailInputs, now: datetime) -> ValueAtRisk:
    """Return VaR and ES by every method, and the parts that sum to the historical ones; it takes milliseconds."""
    book = inputs.book
    return ValueAtRisk(
        account_id=inputs.account_id,
        methods=every_method(book) if book else [],
        contributions=_contributions(book, inputs.parts) if book else [],
        unmeasured=list(inputs.unmeasured),
        note=inputs.note,
        scenarios=inputs.scenarios,
        seq=inputs.seq,
        ts_event=now,
    )


def _contributions(book: Book, parts: Sequence[tuple[str, str, float]]) -> list[TailContribution]:
    found = breakdown(book.matrix, book.exposures, book.equity, book.confidence)
    rows = {each.symbol: each for each in found.contributions}
    return [
        TailContribution(
            symbol=symbol,
            exposure=round_amount(Decimal(repr(money))),
            component_value_at_risk=money * rows[row].marginal_value_at_risk / book.equity,
            component_expected_shortfall=money * rows[row].marginal_expected_shortfall / book.equity,
            marginal_value_at_risk=rows[row].marginal_value_at_risk,
            marginal_expected_shortfall=rows[row].marginal_expected_shortfall,
        )
        for symbol, row, money in parts
    ]


def every_method(book: Book) -> list[TailRisk]:
    """Return VaR and ES by each method that can be used; one that cannot, as it wants more days, is left out."""
    symbols = list(book.exposures)
    returns = np.array([book.matrix.vector(symbol) for symbol in symbols])
    money = np.array([book.exposures[symbol] for symbol in symbols])
    methods: tuple[Callable[[], results.TailRisk], ...] = (
        lambda: historical.historical(book.pnl, book.equity, book.confidence),
        lambda: parametric.normal(book.pnl, book.equity, book.confidence),
        lambda: parametric.ewma(book.pnl, book.equity, book.confidence),
        lambda: parametric.cornish_fisher(book.pnl, book.equity, book.confidence),
        lambda: monte_carlo.monte_carlo(
            money, np.atleast_2d(np.cov(returns)), book.equity, book.confidence, rng=_SEED, antithetic=True
        ),
    )
    found = []
    for method in methods:
        try:
            found.append(_shown(method(), book.days))
        except ValueError:
            continue
    return found


def _shown(found: results.TailRisk, days: int) -> TailRisk:
    return TailRisk(
        method=found.method.value,
        value_at_risk=found.value_at_risk,
        expected_shortfall=found.expected_shortfall,
        confidence=found.confidence,
        horizon_days=days,
        observations=found.observations,
        ddof=found.ddof,
        fallback=found.fallback,
    )
