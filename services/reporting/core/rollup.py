"""Roll a closed trading day up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from shared.money import ZERO
from shared.schemas.events import DayRolled
from shared.schemas.reporting import DailyRollup, Metric, MetricState

# Digits a sum is kept to: those of an amount (28), and enough for more trades than a day can hold.
_DIGITS = 60


@dataclass(frozen=True, slots=True)
class DayTrade:
    """What a roll-up needs of a trade."""

    strategy_id: str
    notional: Decimal
    realised_pnl: Decimal
    fee: Decimal
    closing: bool
    confidence: float | None


@dataclass(slots=True)
class DayCounts:
    """What was decided for one strategy in a day."""

    approved: int = 0
    denied: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def roll_up(seq: int, day: DayRolled, trades: Sequence[DayTrade], counts: Mapping[str, DayCounts]) -> list[DailyRollup]:
    """Return the roll-up of an account's day, and one for each strategy that did anything in it."""
    whole = DayCounts()
    for each in counts.values():
        whole.approved += each.approved
        whole.denied += each.denied
        for reason, number in each.reasons.items():
            whole.reasons[reason] = whole.reasons.get(reason, 0) + number
    strategies = sorted(counts.keys() | {trade.strategy_id for trade in trades})
    return [
        _rollup(seq, day, None, trades, whole),
        *(
            _rollup(
                seq,
                day,
                strategy,
                [trade for trade in trades if trade.strategy_id == strategy],
                counts.get(strategy, DayCounts()),
            )
            for strategy in strategies
        ),
    ]


def _rollup(
    seq: int, day: DayRolled, strategy_id: str | None, trades: Sequence[DayTrade], counts: DayCounts
) -> DailyRollup:
    return DailyRollup(
        account_id=day.account_id,
        simulation_id=day.simulation_id,
        session_date=day.session_date,
        strategy_id=strategy_id,
        # Equity belongs to the account: what each strategy holds of it nobody recorded.
        start_equity=day.start_of_day_equity if strategy_id is None else None,
        end_equity=day.end_equity if strategy_id is None else None,
        orders_approved=counts.approved,
        orders_denied=counts.denied,
        denials_by_reason=dict(sorted(counts.reasons.items())),
        trades=len(trades),
        volume_notional=_total(trade.notional for trade in trades),
        realised_pnl=_total(trade.realised_pnl for trade in trades),
        fees=_total(trade.fee for trade in trades),
        win_rate=win_rate(trades),
        profit_factor=profit_factor(trades),
        mean_confidence=mean_confidence(trades),
        closed_at=day.ts_event,
        journal_seq=seq,
    )


def _total(amounts: Iterable[Decimal]) -> Decimal:
    # The default context keeps 28 digits and rounds the rest of a large sum away without a word.
    with localcontext() as exact:
        exact.prec = _DIGITS
        return sum(amounts, ZERO)


def win_rate(trades: Sequence[DayTrade]) -> Metric:
    """Return the share of closing trades that made money before fees."""
    convention = "closing trades with a profit before fees, over closing trades"
    closing = [trade for trade in trades if trade.closing]
    if not closing:
        return Metric(value=None, state=MetricState.NO_TRADES, convention=convention)
    won = sum(1 for trade in closing if trade.realised_pnl > 0)
    return Metric(value=won / len(closing), state=MetricState.OK, convention=convention)


def profit_factor(trades: Sequence[DayTrade]) -> Metric:
    """Return gross profit over gross loss, both before fees; none where nothing was lost."""
    convention = "sum of profits over sum of losses of closing trades, before fees"
    closing = [trade.realised_pnl for trade in trades if trade.closing]
    if not closing:
        return Metric(value=None, state=MetricState.NO_TRADES, convention=convention)
    lost = _total(-pnl for pnl in closing if pnl < 0)
    if lost == 0:
        return Metric(value=None, state=MetricState.NO_LOSSES, convention=convention)
    gained = _total(pnl for pnl in closing if pnl > 0)
    return Metric(value=float(gained / lost), state=MetricState.OK, convention=convention)


def mean_confidence(trades: Sequence[DayTrade]) -> Metric:
    """Return the mean calibrated confidence of the trades that carry a score."""
    convention = "mean calibrated confidence of trades with a score"
    scores = [trade.confidence for trade in trades if trade.confidence is not None]
    if not scores:
        return Metric(value=None, state=MetricState.NO_TRADES, convention=convention)
    return Metric(value=sum(scores) / len(scores), state=MetricState.OK, convention=convention)
