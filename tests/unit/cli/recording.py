"""A suite that records what a replay sends and answers by simple, fixed rules."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cli.replay.account import AccountReplay
from cli.replay.counts import Tally
from cli.replay.execution import Book
from cli.replay.timeline import Step, account_timeline
from services.marketdata.formats.dataset import Dataset, DatasetKind, Record
from shared.schemas.accounts import DayRoll
from shared.schemas.base import Severity
from shared.schemas.decisions import Decision, DenialCode, DenialReason, RiskLevel, Verdict
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.marketdata import Bar, IngestResult, MarketState
from shared.schemas.marketdata import Verdict as QualityVerdict
from shared.schemas.ml import Prediction, PredictionRequest
from shared.schemas.orders import Fill, FillResult, Order, OrderClose, OrderStatus
from shared.schemas.telemetry import MLTelemetry

START = datetime(2024, 12, 2, 9, 0, tzinfo=UTC)
CASH = Decimal(1_000_000)


def instrument(symbol: str = "AAA", **changes: Any) -> Instrument:
    values = {"symbol": symbol, "currency": "USD", "asset_class": AssetClass.EQUITY, "tick_size": Decimal("0.01")}
    return Instrument(**{**values, **changes})


def dataset(records: Sequence[Record], *, name: str = "aaa-1m", zone: str = "UTC", **changes: Any) -> Dataset:
    traded = instrument(**changes)
    bars = not records or isinstance(records[0], Bar)
    return Dataset(
        name=name,
        kind=DatasetKind.BARS if bars else DatasetKind.STATES,
        symbol=traded.symbol,
        source="test",
        timezone=ZoneInfo(zone),
        calendar="24x7",
        interval="1m" if bars else None,
        instrument=traded,
        files=(Path("none"),),
        read=lambda _: iter(records),
    )


def bar(minute: int, close: str, open_: str | None = None, *, symbol: str = "AAA", broken: bool = False) -> Bar:
    opened, closed = Decimal(open_ or close), Decimal(close)
    low = max(opened, closed) + 1 if broken else min(opened, closed)
    return Bar(
        symbol=symbol,
        interval="1m",
        ts=START + timedelta(minutes=minute),
        open=opened,
        high=max(opened, closed),
        low=low,
        close=closed,
        volume=Decimal(1_000 + minute * 37 % 100),
    )


def state(minute: int, spot: str, symbol: str = "AAA") -> MarketState:
    return MarketState(symbol=symbol, timestamp=START + timedelta(minutes=minute), spot_price=Decimal(spot))


class RecordingSuite:
    """Judge broken bars critical, score by the strategy's momentum, approve all but every `deny`-th order."""

    def __init__(self, deny: int = 0) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.batches: list[int] = []
        self._deny = deny
        self._orders = 0

    def ingest(self, dataset: Dataset, steps: Sequence[Step]) -> IngestResult:
        self.batches.append(len(steps))
        verdicts = []
        for index, step in enumerate(steps):
            record = step.record
            self.sent.append(("record", dataset.name, step.known_at))
            critical = isinstance(record, Bar) and not record.low <= min(record.open, record.close)
            if critical or isinstance(record, MarketState):
                verdicts.append(
                    QualityVerdict(
                        index=index,
                        symbol=record.symbol,
                        ts=step.known_at,
                        severity=Severity.CRITICAL if critical else Severity.OK,
                        market_state_id=None if critical else f"ms-{step.known_at:%H%M}",
                    )
                )
        return IngestResult(
            received=len(steps), stored=len(steps), unchanged=0, published=len(steps), verdicts=verdicts
        )

    def await_mark(self, symbol: str, known_at: datetime) -> None:
        pass

    def predict(self, request: PredictionRequest) -> Prediction:
        confidence = 0.4 if request.features["volume_z"] > 1 else 0.6
        telemetry = MLTelemetry(
            prediction_id=request.prediction_id,
            model_name=request.model_name,
            model_version="1.0.0",
            model_hash="0" * 16,
            features=request.features,
            raw_confidence=confidence,
            calibrated_confidence=confidence,
            uncertainty=0.1,
            regime=request.regime,
            market_state_id=request.market_state_id,
        )
        self.sent.append(("predict", request.prediction_id, tuple(request.features.items())))
        return Prediction(
            telemetry=telemetry,
            strategy_id=request.strategy_id,
            symbol=request.symbol,
            ts_event=request.ts_event,
            ts_init=request.ts_event,
        )

    def order(self, account_id: str, order: Order) -> Decision:
        self.sent.append(("order", account_id, order.client_order_id, order.side, order.quantity, order.ts_event))
        self._orders += 1
        denied = self._deny and self._orders % self._deny == 0
        return Decision(
            decision=Verdict.DENIED if denied else Verdict.APPROVED,
            account_id=account_id,
            client_order_id=order.client_order_id,
            reasons=[DenialReason(code=DenialCode.POSITION_LIMIT, message="too much")] if denied else [],
            risk_score=0.5,
            risk_level=RiskLevel.GREEN,
            seq=len(self.sent),
            ts_event=order.ts_event or START,
        )

    def fill(self, account_id: str, fill: Fill) -> FillResult:
        self.sent.append(("fill", account_id, fill.trade_id, fill.price, fill.quantity, fill.fee, fill.ts_event))
        return FillResult(
            trade_id=fill.trade_id,
            client_order_id=fill.client_order_id,
            duplicate=False,
            order_status=OrderStatus.FILLED,
            leaves_quantity=Decimal(0),
            position_quantity=fill.quantity,
            realised_pnl=Decimal(0),
            seq=len(self.sent),
        )

    def expire(self, account_id: str, client_order_id: str, close: OrderClose) -> None:
        self.sent.append(("expire", account_id, client_order_id, close.reason))

    def roll_day(self, account_id: str, roll: DayRoll) -> None:
        self.sent.append(("roll", account_id, roll.next_session_date))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [command for command in self.sent if command[0] == kind]


def replay(
    datasets: Sequence[Dataset],
    *,
    rows: int = 500,
    flush_after: frozenset[int] = frozenset(),
    deny: int = 0,
    suite: RecordingSuite | None = None,
) -> tuple[RecordingSuite, Tally, AccountReplay]:
    """Play datasets through one account, sending what waits after the steps named."""
    suite, tally = suite or RecordingSuite(deny), Tally()
    book = Book(cash=CASH, instruments={entry.symbol: entry.instrument for entry in datasets})
    account = AccountReplay("sim.usd", "sim", book, suite, tally, rows)
    for number, step in enumerate(account_timeline(datasets, timedelta(minutes=15))):
        account.take(step)
        if number in flush_after:
            account.flush()
    account.finish()
    return suite, tally, account
