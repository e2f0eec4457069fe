"""Write `journal_v1.jsonl`: a journal with every kind of row, as the first version wrote it.

The file is made once and kept: `python -m tests.unit.risk.make_journal` is here to show how, not to be run again.
"""

import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from services.risk.core.chain import Tip, link
from services.risk.core.commands import CloseOrder, OpenAccount, ReleaseKillSwitch, RollDay, SetLimits, SetMarks
from shared.schemas.accounts import AccountCreate, DayRoll
from shared.schemas.base import format_utc
from shared.schemas.instruments import Mark
from shared.schemas.kill_switches import KillScope
from shared.schemas.limits import LimitsUpdate
from shared.schemas.orders import OrderClose, OrderStatus
from tests.unit.risk.desk import START, Desk, wide

FILE = Path(__file__).with_name("journal_v1.jsonl")
TELEMETRY = {
    "prediction_id": "p-1",
    "model_name": "signal_quality",
    "model_version": "1.0.0",
    "model_hash": "53cdba4bb1524aa7",
    "features": {"tiny": 5e-324, "large": 1.7976931348623157e308, "third": 1 / 3, "zero": -0.0},
    "raw_confidence": 0.6180339887498949,
    "calibrated_confidence": 1.0,
    "uncertainty": 0.0,
    "regime": "calm",
    "market_state_id": "ms_0123456789abcdef0123456789",
}


def desk() -> Desk:
    """Return a desk that has done everything there is to do."""
    desk = Desk(wide(max_position_fraction=5))
    simulated = AccountCreate(
        account_id="sim.usd",
        base_currency="USD",
        initial_cash=Decimal("0.0000000001"),
        simulation_id="sim",
        session_date=date(1, 1, 1),
        ts_event=datetime(1, 1, 1, tzinfo=UTC),
    )
    desk.send(OpenAccount(simulated, "grace"))
    desk.send(SetMarks("sim", (Mark(symbol="STOCK", price=Decimal("0.0000000001"), ts_event=START),)))
    desk.fill(desk.order("BUY", 10, telemetry=TELEMETRY), 10, "100.0000000001", "-0.25")
    desk.fill(desk.order("SELL", "15", order_type="LIMIT", limit_price="101.25", time_in_force="GTC"), 12, 101)
    desk.fill(desk.order("BUY", 1, "FUT"), 1, "4000.25", "2.5")
    desk.mark(FUT="4010.5", STOCK="99.99")
    desk.order("BUY", "1.5", symbol="NOPE", reduce_only=True)
    desk.order("BUY", "0.0015", symbol="COIN")
    resting = desk.order("BUY", "0.001", symbol="COIN")
    close = OrderClose(reason="end of the day: naïve “quotes”, 漢字")
    desk.send(CloseOrder("main", resting.client_order_id, OrderStatus.EXPIRED, close, "ada"))
    desk.send(SetLimits("main", LimitsUpdate(limits=wide(max_daily_loss_fraction=0.01), reason="tighter"), "eve"))
    desk.send(RollDay("main", DayRoll(next_session_date=date(2026, 3, 3)), "ada"))
    desk.order("BUY", 1)
    desk.kill(KillScope.FIRM)
    desk.order("BUY", 1)
    desk.send(ReleaseKillSwitch(next(iter(desk.state.kill_switches)), "drill over", "eve"))
    return desk


def lines() -> list[str]:
    """Return the rows as JSON lines."""
    tip, found = Tip(), []
    for event in desk().journal:
        row = link(tip, event, START, 1)
        tip = Tip(row.seq, row.hash)
        found.append(json.dumps({**asdict(row), "ts": format_utc(row.ts)}, ensure_ascii=False))
    return found


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()) + "\n", encoding="utf-8")
