"""One account's replay: what is sent for each record, and in which order.

The state that risk and the strategies are in when they decide must not depend on how records are batched. So a
batch ends with the first bar that may cause anything (a signal, a fill, a doubt about its quality), and what it
causes is done before the next record is sent.
"""

import copy
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from cli.replay.counts import Tally
from cli.replay.execution import Book, fill_price, whole_fill
from cli.replay.names import order_id, prediction_id
from cli.replay.timeline import Step
from services.marketdata.formats.dataset import Dataset
from shared.schemas.accounts import DayRoll
from shared.schemas.base import Severity
from shared.schemas.decisions import Decision, Verdict
from shared.schemas.marketdata import Bar, IngestResult
from shared.schemas.ml import Prediction, PredictionRequest
from shared.schemas.orders import Fill, FillResult, Order, OrderClose, TimeInForce
from strategies import MODEL_NAME
from strategies.desk import StrategyDesk
from strategies.signal import NoSignal, Signal
from strategies.sizing import order_quantity

LEAST_CONFIDENCE = 0.5
MOST_ROWS = 500
# From here on the gate has its doubts, and may find a bar critical.
_JUMP = Decimal("0.1")
_ONE_DAY = timedelta(days=1)


class Suite(Protocol):
    """What a replay asks of the services."""

    def ingest(self, dataset: Dataset, steps: Sequence[Step]) -> IngestResult:
        """Send records of one dataset to marketdata."""

    def await_mark(self, symbol: str, known_at: datetime) -> None:
        """Return once risk holds a mark of that moment or later."""

    def predict(self, request: PredictionRequest) -> Prediction:
        """Have ml score a signal."""

    def order(self, account_id: str, order: Order) -> Decision:
        """Ask risk whether an order may go out."""

    def fill(self, account_id: str, fill: Fill) -> FillResult:
        """Report a fill to risk."""

    def expire(self, account_id: str, client_order_id: str, close: OrderClose) -> None:
        """Tell risk that an order will not fill."""

    def roll_day(self, account_id: str, roll: DayRoll) -> None:
        """Close the account's trading day."""


class AccountReplay:
    """Play one account's records, in their order."""

    def __init__(
        self, account_id: str, simulation_id: str, book: Book, suite: Suite, tally: Tally, most_rows: int = MOST_ROWS
    ) -> None:
        self.account_id = account_id
        self.book = book
        self._simulation_id = simulation_id
        self._suite = suite
        self._tally = tally
        self._most_rows = most_rows
        self._desks: dict[str, StrategyDesk] = {}
        self._closes: dict[str, Decimal] = {}
        self._batch: list[Step] = []
        self._desk_before: StrategyDesk | None = None
        self._answer: Signal | NoSignal = NoSignal("nothing seen")
        self._unconfirmed: dict[str, datetime] = {}
        self._session: date | None = None
        self._now: datetime | None = None

    def take(self, step: Step) -> None:
        """Play one record; a quiet bar may wait for others before it is sent."""
        if self._session is None:
            self._session = step.session_date
        elif step.session_date > self._session:
            self._close_day(step.session_date)
        if self._batch and self._batch[0].dataset.name != step.dataset.name:
            self.flush()
        self._now = step.known_at
        if isinstance(step.record, Bar):
            self._take_bar(step, step.record)
        else:
            self._take_state(step)

    def flush(self) -> None:
        """Send the bars that wait, and act on the last of them."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        dataset = batch[0].dataset
        result = self._suite.ingest(dataset, batch)
        self._tally.bars += len(batch)
        sound = self._judge(batch, result)
        if not all(sound):
            self._correct(dataset.name, batch, sound)
        for step, is_sound in zip(batch, sound, strict=True):
            if is_sound and isinstance(step.record, Bar):
                self._mark(step, step.record.close)
        self._act(batch[-1], sound[-1])

    def finish(self) -> None:
        """Send what waits, expire what is open and close the last day."""
        if self._session is not None:
            self._close_day(self._session + _ONE_DAY, at_end=True)

    def _take_bar(self, step: Step, bar: Bar) -> None:
        desk = self._desks.setdefault(step.dataset.name, StrategyDesk())
        if not self._batch:
            self._desk_before = copy.deepcopy(desk)
        self._batch.append(step)
        # Taken as sound until the gate has judged it: `_correct` puts right what was not.
        self._answer = desk.on_record(bar)
        near = [price for price in (self._closes.get(step.dataset.name), self.book.marks.get(bar.symbol)) if price]
        self._closes[step.dataset.name] = bar.close
        acts = isinstance(self._answer, Signal) or self.book.pending_in(bar.symbol) or not looks_sound(bar, near)
        if acts or len(self._batch) >= self._most_rows:
            self.flush()

    def _take_state(self, step: Step) -> None:
        self.flush()
        result = self._suite.ingest(step.dataset, [step])
        self._tally.states += 1
        sound = self._judge([step], result)[0]
        self._answer = NoSignal("not sound")
        if sound and not isinstance(step.record, Bar):
            identity = next((v.market_state_id for v in result.verdicts if v.market_state_id), None)
            desk = self._desks.setdefault(step.dataset.name, StrategyDesk())
            self._answer = desk.on_record(step.record, identity)
            if step.record.spot_price is not None:
                self._mark(step, step.record.spot_price)
        self._act(step, sound)

    def _judge(self, batch: Sequence[Step], result: IngestResult) -> list[bool]:
        """Count the verdicts and return which records may be traded on."""
        rejected = {row.index for row in result.rejected}
        severities = {verdict.index: verdict.severity for verdict in result.verdicts}
        self._tally.rejected += len(rejected)
        sound = []
        for index in range(len(batch)):
            severity = severities.get(index, Severity.OK)
            if index not in rejected:
                self._tally.judged(severity)
            sound.append(index not in rejected and severity is not Severity.CRITICAL)
        return sound

    def _correct(self, name: str, batch: Sequence[Step], sound: Sequence[bool]) -> None:
        """Take the strategy back to before the batch and show it the sound bars alone.

        A signal it then gives before the batch's last bar comes too late: risk already holds later marks.
        """
        desk = self._desk_before or StrategyDesk()
        self._desks[name] = desk
        self._answer = NoSignal("not sound")
        last = len(batch) - 1
        for index, step in enumerate(batch):
            if not sound[index]:
                continue
            answer = desk.on_record(step.record)
            if index == last:
                self._answer = answer
            elif isinstance(answer, Signal):
                self._tally.signals += 1
                self._tally.late += 1

    def _act(self, step: Step, sound: bool) -> None:
        answer, self._answer = self._answer, NoSignal("taken")
        if not sound:
            return
        if self.book.pending_in(step.dataset.symbol):
            self._fill_pending(step)
        if isinstance(answer, Signal):
            self._trade(step, answer)

    def _mark(self, step: Step, price: Decimal) -> None:
        self.book.marks[step.dataset.symbol] = price
        self._unconfirmed[step.dataset.symbol] = step.known_at

    def _settle(self) -> None:
        """Wait until risk has seen every record sent so far."""
        for symbol, moment in self._unconfirmed.items():
            self._suite.await_mark(symbol, moment)
        self._unconfirmed.clear()

    def _fill_pending(self, step: Step) -> None:
        self._settle()
        for order in self.book.pending_in(step.dataset.symbol):
            priced = fill_price(step.record, order.ts_event or step.known_at)
            if priced is None:
                continue
            instrument = self.book.instruments[order.symbol]
            fill = whole_fill(order, instrument, *priced)
            result = self._suite.fill(self.account_id, fill)
            self.book.applied(order, fill)
            self._tally.filled(instrument.currency, fill, result)

    def _trade(self, step: Step, signal: Signal) -> None:
        self._tally.signals += 1
        name = order_id(signal)
        prediction = self._suite.predict(
            PredictionRequest(
                prediction_id=prediction_id(self._simulation_id, name),
                model_name=MODEL_NAME,
                strategy_id=signal.strategy_id,
                symbol=signal.symbol,
                features=signal.features,
                regime=signal.regime,
                market_state_id=signal.market_state_id,
                ts_event=signal.ts_event,
            )
        )
        self._tally.scored += 1
        confidence = prediction.telemetry.calibrated_confidence
        if confidence < LEAST_CONFIDENCE:
            self._tally.dropped += 1
            return
        sized = order_quantity(
            side=signal.side,
            confidence=confidence,
            equity=self.book.equity,
            price=signal.price,
            instrument=self.book.instruments[signal.symbol],
            position=self.book.position(signal.strategy_id, signal.symbol),
        )
        if sized is None:
            self._tally.unsized += 1
            return
        order = Order(
            client_order_id=name,
            strategy_id=signal.strategy_id,
            symbol=signal.symbol,
            side=sized[0],
            quantity=sized[1],
            time_in_force=time_in_force(step.dataset),
            telemetry=prediction.telemetry,
            ts_event=signal.ts_event,
        )
        self._settle()
        decision = self._suite.order(self.account_id, order)
        self._tally.decided(decision)
        if decision.decision is Verdict.APPROVED:
            self.book.pending[name] = order

    def _close_day(self, next_session: date, *, at_end: bool = False) -> None:
        self.flush()
        self._settle()
        why = "the data end here" if at_end else "the session has ended"
        ended = [o for o in self.book.pending.values() if at_end or o.time_in_force is TimeInForce.DAY]
        for order in ended:
            close = OrderClose(reason=why, ts_event=self._now)
            self._suite.expire(self.account_id, order.client_order_id, close)
            self._tally.expired += 1
        self.book.closed(ended)
        self._suite.roll_day(self.account_id, DayRoll(next_session_date=next_session, ts_event=self._now))
        self._tally.day_rollups += 1
        self._session = next_session


def looks_sound(bar: Bar, near: Sequence[Decimal]) -> bool:
    """Tell whether a bar's prices fit together and are near the prices before: the gate will hardly object to it."""
    body = (bar.open, bar.close)
    if not (0 < bar.low <= min(body) and max(body) <= bar.high):
        return False
    return all(abs(bar.close - price) < _JUMP * price for price in near)


def time_in_force(dataset: Dataset) -> TimeInForce:
    """Return DAY where the market closes at night, GTC where a session's end is only a date's."""
    return TimeInForce.GTC if dataset.timezone.key == "UTC" else TimeInForce.DAY
