"""The services as a replay calls them, over REST."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from cli.client import Api, CommandError, Refused
from cli.replay.timeline import Step
from cli.where_traded import say_where_traded
from services.marketdata.formats.dataset import Dataset
from shared.schemas.accounts import AccountCreate, AccountStatus, DayRoll
from shared.schemas.base import Page, format_utc
from shared.schemas.decisions import Decision
from shared.schemas.instruments import Instrument, InstrumentBatch, Mark
from shared.schemas.journal import JournalPage
from shared.schemas.marketdata import Bar, BarBatch, FeedStatus, IngestResult, MarketState, MarketStateBatch
from shared.schemas.ml import ModelView, Prediction, PredictionRequest
from shared.schemas.orders import Fill, FillResult, Order, OrderClose, OrderView
from shared.schemas.reporting import Counts, LedgerState
from strategies import MODEL_NAME

_RISK, _MARKETDATA, _ML, _REPORTING = (f"/api/v1/{name}" for name in ("risk", "marketdata", "ml", "reporting"))
_MARK_SECONDS = 30.0
_LEDGER_SECONDS = 30.0
_FIRST_POLL, _LONGEST_POLL = 0.002, 0.1
_NOT_FOUND, _CONFLICT = 404, 409


class RestSuite:
    """Calls of one simulation; each is safe to send again. Raises CommandError where one fails for good."""

    def __init__(self, api: Api, simulation_id: str) -> None:
        self._api = api
        self._simulation_id = simulation_id

    def require_champion(self) -> None:
        """Raise CommandError where no model has been trained."""
        try:
            self._api.get(f"{_ML}/models/{MODEL_NAME}/champion", ModelView)
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise
            raise CommandError(f"there is no champion model {MODEL_NAME} to score signals: run keelson train") from None

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Tell risk what is traded."""
        self._api.send("PUT", f"{_RISK}/instruments", dict[str, int], InstrumentBatch(instruments=list(instruments)))

    def set_calendars(self, datasets: Sequence[Dataset]) -> None:
        """Tell marketdata where the symbols are traded, unless somebody has."""
        for dataset in datasets:
            say_where_traded(self._api, dataset)

    def open_account(self, account: AccountCreate) -> None:
        """Open an account, or find that this very one is open."""
        self._api.send("POST", f"{_RISK}/accounts", AccountStatus, account)

    def account(self, account_id: str) -> AccountStatus:
        """Return an account as risk holds it now."""
        return self._api.get(f"{_RISK}/accounts/{account_id}", AccountStatus)

    def ingest(self, dataset: Dataset, steps: Sequence[Step]) -> IngestResult:
        """Send records of one dataset to marketdata."""
        records = [step.record for step in steps]
        bars = [record for record in records if isinstance(record, Bar)]
        if bars:
            batch = BarBatch(source=dataset.source, simulation_id=self._simulation_id, bars=bars)
            return self._api.send("POST", f"{_MARKETDATA}/bars", IngestResult, batch)
        states = [record for record in records if isinstance(record, MarketState)]
        chains = MarketStateBatch(source=dataset.source, simulation_id=self._simulation_id, states=states)
        return self._api.send("POST", f"{_MARKETDATA}/market-states", IngestResult, chains)

    def await_mark(self, symbol: str, known_at: datetime) -> None:
        """Return once risk holds a mark of that moment or later."""
        query: dict[str, str | int] = {"simulation_id": self._simulation_id, "symbol": symbol}
        held: list[Mark] = []

        def arrived() -> bool:
            held[:] = self._api.get(f"{_RISK}/marks", Page[Mark], query).items
            return any(mark.symbol == symbol and mark.ts_event >= known_at for mark in held)

        if not _until(arrived, _MARK_SECONDS):
            newest = format_utc(max(mark.ts_event for mark in held)) if held else "none"
            raise CommandError(
                f"risk has not received the mark of {symbol} at {format_utc(known_at)} within {_MARK_SECONDS:.0f} s "
                f"(it holds {newest}): marks are stuck between marketdata and risk; see keelson health"
            )

    def predict(self, request: PredictionRequest) -> Prediction:
        """Have ml score a signal."""
        return self._api.send("POST", f"{_ML}/predictions", Prediction, request)

    def order(self, account_id: str, order: Order) -> Decision:
        """Ask risk whether an order may go out."""
        return self._api.send("POST", f"{_RISK}/accounts/{account_id}/orders", Decision, order)

    def fill(self, account_id: str, fill: Fill) -> FillResult:
        """Report a fill to risk."""
        return self._api.send("POST", f"{_RISK}/accounts/{account_id}/fills", FillResult, fill)

    def expire(self, account_id: str, client_order_id: str, close: OrderClose) -> None:
        """Tell risk that an order will not fill."""
        path = f"{_RISK}/accounts/{account_id}/orders/{client_order_id}/expire"
        self._api.send("POST", path, OrderView, close)

    def roll_day(self, account_id: str, roll: DayRoll) -> None:
        """Close the account's trading day; one that has been closed stays so."""
        try:
            self._api.send("POST", f"{_RISK}/accounts/{account_id}/day-roll", AccountStatus, roll)
        except Refused as error:
            if error.status != _CONFLICT or self.account(account_id).session_date < roll.next_session_date:
                raise

    def feeds(self) -> list[FeedStatus]:
        """Return the sources the simulation was fed from."""
        query: dict[str, str | int] = {"simulation_id": self._simulation_id, "limit": 1000}
        return self._api.get(f"{_MARKETDATA}/feeds", Page[FeedStatus], query).items

    def counts(self) -> Counts:
        """Return the simulation's totals once reporting has read all that risk has journaled."""
        target = self._api.get(f"{_RISK}/journal", JournalPage, {"after": 0, "limit": 1}).last_seq
        seen: list[LedgerState] = []

        def caught_up() -> bool:
            seen[:] = [self._api.get(f"{_REPORTING}/state", LedgerState)]
            return seen[0].cursor >= target

        if not _until(caught_up, _LEDGER_SECONDS):
            raise CommandError(
                f"reporting has read risk's journal to {seen[0].cursor} of {target} within {_LEDGER_SECONDS:.0f} s "
                f"({seen[0].state}); see keelson health"
            )
        return self._api.get(f"{_REPORTING}/counts", Counts, {"simulation_id": self._simulation_id})


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again, ever less often, until the condition holds; return whether it does within the time."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_POLL
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_POLL)
    return True
