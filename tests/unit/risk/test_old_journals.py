"""A journal is kept for ever: what an earlier version wrote must stay readable, and give the same state."""

import json
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from services.reporting.core.ledger import fold
from services.risk.core.chain import Row, Tip, event_of, follow
from services.risk.core.commands import CloseOrder
from services.risk.core.evolve import evolve
from services.risk.core.outcome import Event
from services.risk.core.state import FirmState
from services.risk.core.units import amount, units
from services.risk.core.views import account_status
from shared.money import format_decimal
from shared.schemas.events import DayRolled
from shared.schemas.journal import EventKind, JournalEntry
from shared.schemas.kill_events import KillSwitchActivated
from shared.schemas.kill_switches import KillScope
from shared.schemas.orders import OrderClose, OrderStatus
from tests.unit.risk.desk import START, Desk, wide

pytestmark = pytest.mark.unit
FILE = Path(__file__).with_name("journal_v1.jsonl")


def rows() -> list[Row]:
    found = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [Row(**{**row, "ts": datetime.fromisoformat(row["ts"])}) for row in found]


def test_its_chain_holds_and_every_kind_of_row_is_in_it() -> None:
    tip, broken = follow(Tip(), rows())
    assert broken is None
    assert tip.hash == "17e64e9a57f333efff076fc94b0bcb81751cac367cbff8bccac0a6801da2cfa4"
    # Every kind there was then.
    assert len({row.kind for row in rows()}) == 11


def test_it_folds_to_the_state_it_always_gave() -> None:
    state = FirmState()
    for row in rows():
        evolve(state, event_of(row), row.seq)
    account = account_status(state, state.accounts["main"])
    figures = [format_decimal(each) for each in (account.equity, account.cash, account.realised_pnl, account.fees)]
    # Cash: 100,000 - 1,000.000000001 + 0.25 + 1,212 - 2.5; equity adds -2 * 99.99 and 10.25 * 50.
    assert figures == ["100522.269999999", "100209.749999999", "9.999999999", "2.25"]
    assert account.equity == account.paid_in + account.realised_pnl + account.unrealised_pnl - account.fees
    assert (account.open_orders, account.risk_level, account.session_date.isoformat()) == (0, "GREEN", "2026-03-03")
    assert [position.symbol for position in account.positions if position.quantity] == ["FUT", "STOCK"]
    assert account.kill_switches == []


def test_a_fill_of_an_order_that_is_forgotten_by_now_is_booked_all_the_same() -> None:
    desk = Desk()
    decision = desk.order(quantity=10)
    close = OrderClose(reason="gone from the book")
    desk.send(CloseOrder("main", decision.client_order_id, OrderStatus.CANCELLED, close, "ada"))
    desk.fill(decision, 4, 100)
    *before, last = desk.journal
    rolls = [
        Event(
            EventKind.DAY_ROLLED,
            "main",
            DayRolled(
                account_id="main",
                simulation_id=None,
                session_date=date(2026, 3, day),
                next_session_date=date(2026, 3, day + 1),
                start_of_day_equity=Decimal(100_000),
                end_equity=Decimal(100_000),
                realised_pnl_total=Decimal(0),
                fees_total=Decimal(0),
                by="ada",
                ts_event=START,
            ),
        )
        for day in (2, 3)
    ]
    state = FirmState()
    for seq, event in enumerate([*before, *rolls, last], start=1):
        evolve(state, event, seq)
    account = state.accounts["main"]
    assert account.orders == {}
    assert amount(account.positions["STOCK"].quantity) == 4
    assert amount(account.equity) == 100_000


def test_an_order_that_two_switches_of_one_event_cancelled_ends_once() -> None:
    desk = Desk(wide())
    desk.order("BUY", 1, order_type="LIMIT", limit_price="50")
    desk.order("BUY", 1, order_type="LIMIT", limit_price="60", strategy_id="other")
    desk.kill(KillScope.STRATEGY, "trend")
    last = desk.journal[-1]
    assert isinstance(last.body, KillSwitchActivated)
    again = replace(last, body=last.body.model_copy(update={"kill_switch_id": "second"}))
    state = FirmState()
    for seq, event in enumerate([*desk.journal, again], start=1):
        evolve(state, event, seq)
    position = state.accounts["main"].positions["STOCK"]
    assert list((Counter(position.bids) - Counter(position.bids_gone)).elements()) == [-units(Decimal(60))]
    assert len(state.kill_switches) == 2


def test_the_ledger_can_read_it() -> None:
    entries = [JournalEntry.model_validate({**_fields(row), "body": json.loads(row.body)}) for row in rows()]
    changes = fold(entries)
    assert len(changes.trades) == 3
    assert changes.trades[0].trade.telemetry is not None
    assert changes.trades[0].trade.telemetry.features["tiny"] == 5e-324


def _fields(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("seq", "ts", "epoch", "account_id", "kind", "prev_hash", "hash")}
