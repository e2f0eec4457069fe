"""What a replay did, counted by the driver, and whether reporting counted the same."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from services.marketdata.formats.dataset import Dataset
from shared.money import ZERO, format_decimal
from shared.schemas.accounts import AccountStatus
from shared.schemas.base import Severity
from shared.schemas.decisions import Decision, Verdict
from shared.schemas.marketdata import FeedStatus
from shared.schemas.orders import Fill, FillResult
from shared.schemas.reporting import Counts


@dataclass(slots=True)
class Tally:
    """Totals of a run, as the driver has them; money by currency, P&L before fees.

    `signals` = `dropped` (low confidence) + `unsized` (nothing to order) + `late` + `approved` + `denied`.
    """

    bars: int = 0
    states: int = 0
    bad_rows: int = 0
    rejected: int = 0
    quality: Counter[str] = field(default_factory=Counter)
    signals: int = 0
    late: int = 0
    scored: int = 0
    dropped: int = 0
    unsized: int = 0
    approved: int = 0
    denied: int = 0
    denied_by_reason: Counter[str] = field(default_factory=Counter)
    fills: int = 0
    expired: int = 0
    day_rollups: int = 0
    realised_pnl: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Return how many records were sent."""
        return self.bars + self.states

    def decided(self, decision: Decision) -> None:
        """Count a decision, and each reason of a denial."""
        if decision.decision is Verdict.APPROVED:
            self.approved += 1
            return
        self.denied += 1
        self.denied_by_reason.update(reason.code.value for reason in decision.reasons)

    def filled(self, currency: str, fill: Fill, result: FillResult) -> None:
        """Count a fill with its fee and what it realised."""
        self.fills += 1
        self.fees[currency] = self.fees.get(currency, ZERO) + fill.fee
        self.realised_pnl[currency] = self.realised_pnl.get(currency, ZERO) + result.realised_pnl

    def judged(self, severity: Severity) -> None:
        """Count a verdict of the quality gate."""
        self.quality[severity.value] += 1


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of the accounts' tallies."""
    sums = Tally()
    for tally in tallies:
        for part in fields(Tally):
            ours, more = getattr(sums, part.name), getattr(tally, part.name)
            if isinstance(ours, int):
                setattr(sums, part.name, ours + more)
            else:
                for key, value in more.items():
                    ours[key] = ours.get(key, 0) + value
    return sums


def differences(tally: Tally, ledger: Counts) -> list[str]:
    """Return one line for each figure on which the driver and reporting do not agree."""
    pairs: list[tuple[str, Any, Any]] = [
        ("approved", tally.approved, ledger.approved),
        ("denied", tally.denied, ledger.denied),
        ("denied by reason", dict(tally.denied_by_reason), dict(ledger.denied_by_reason)),
        ("trades", tally.fills, ledger.trades),
        ("day roll-ups", tally.day_rollups, ledger.rollups),
        ("realised P&L", _money(tally.realised_pnl), _money(ledger.realised_pnl)),
        ("fees", _money(tally.fees), _money(ledger.fees)),
    ]
    return [f"{name}: sent {ours}, reporting has {theirs}" for name, ours, theirs in pairs if ours != theirs]


def equity_differences(equity: dict[str, Decimal], accounts: dict[str, AccountStatus]) -> list[str]:
    """Return one line for each account whose equity is not what its fills and marks make it, to the cent."""
    cent = Decimal("0.01")
    return [
        f"equity of {account_id}: {format_decimal(expected)} by its fills, "
        f"risk has {format_decimal(accounts[account_id].equity)}"
        for account_id, expected in equity.items()
        if abs(expected - accounts[account_id].equity) > cent
    ]


def holds_more(datasets: Iterable[Dataset], feeds: Iterable[FeedStatus]) -> bool:
    """Tell whether a simulation was fed more than some datasets: its totals then are not theirs."""
    symbols: dict[str, set[str]] = {}
    for dataset in datasets:
        symbols.setdefault(dataset.source, set()).add(dataset.symbol)
    return any(feed.symbols > len(symbols.get(feed.source, ())) for feed in feeds)


def document(tally: Tally, ledger: Counts | None, end_equity: Mapping[str, Decimal]) -> dict[str, Any]:
    """Return the counts of a run as JSON-ready values; the same for the same data, whenever and however fast.

    What reporting counts is taken from there, and without it from the driver. `end_equity` is by currency.
    """
    return {
        "bars": tally.bars,
        "states": tally.states,
        "bad_rows": tally.bad_rows,
        "rejected_rows": tally.rejected,
        "quality": {severity.value: tally.quality[severity.value] for severity in Severity},
        "signals": tally.signals,
        "late_signals": tally.late,
        "scored": tally.scored,
        "dropped_low_confidence": tally.dropped,
        "nothing_to_order": tally.unsized,
        "approved": tally.approved,
        "denied": tally.denied,
        "denied_by_reason": dict(sorted(tally.denied_by_reason.items())),
        "fills": tally.fills,
        "expired": tally.expired,
        "trades": ledger.trades if ledger else tally.fills,
        "day_rollups": ledger.rollups if ledger else tally.day_rollups,
        "realised_pnl": _money(ledger.realised_pnl if ledger else tally.realised_pnl),
        "fees": _money(ledger.fees if ledger else tally.fees),
        "end_equity": {currency: format_decimal(end_equity[currency]) for currency in sorted(end_equity)},
    }


def _money(amounts: dict[str, Decimal]) -> dict[str, str]:
    # A currency without trades and one with a sum of zero are the same to a reader.
    return {currency: format_decimal(amount) for currency, amount in sorted(amounts.items()) if amount}
