import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reporting.core.chain import chain_problem
from services.reporting.core.journal import JournalRow, JournalRows
from services.reporting.core.ledger import DayOf, MalformedRowError, fold
from services.reporting.core.rollup import DayCounts, DayTrade, mean_confidence, profit_factor, roll_up, win_rate
from shared.journal import GENESIS_HASH, canonical, row_hash
from shared.schemas.events import DayRolled
from shared.schemas.journal import EventKind, JournalPage
from shared.schemas.reporting import DailyRollup

pytestmark = pytest.mark.unit
NOW = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
DAY = date(2026, 3, 2)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def entry(kind: str, body: dict[str, Any], seq: int = 1, prev_hash: str = GENESIS_HASH) -> JournalRow:
    digest = row_hash(seq, NOW, 1, "main", kind, canonical(body), prev_hash)
    return JournalRow(
        seq=seq, ts=NOW, epoch=1, account_id="main", kind=kind, body=body, prev_hash=prev_hash, hash=digest
    )


def filled(side: str, quantity: str, position: str, pnl: str = "0", **changes: Any) -> dict[str, Any]:
    return {
        "account_id": "main",
        "simulation_id": None,
        "session_date": "2026-03-02",
        "trade_id": "t1",
        "client_order_id": "o1",
        "strategy_id": "trend",
        "symbol": "X",
        "side": side,
        "price": "10",
        "quantity": quantity,
        "fee": "0.1",
        "currency": "USD",
        "multiplier": "50",
        "realised_pnl": pnl,
        "position_quantity": position,
        "order_status": "FILLED",
        "leaves_quantity": "0",
        "telemetry": None,
        "request_hash": "h",
        "by": "ada",
        "ts_event": "2026-03-02T15:00:00Z",
        **changes,
    }


def decided(decision: str, *reasons: str) -> dict[str, Any]:
    order = {"client_order_id": "o1", "strategy_id": "trend", "symbol": "X", "side": "BUY", "quantity": "1"}
    content = {
        "decision": decision,
        "account_id": "main",
        "client_order_id": "o1",
        "reasons": [{"code": reason, "message": "m"} for reason in reasons],
        "risk_score": 0.5,
        "risk_level": "GREEN",
        "ts_event": "2026-03-02T15:00:00Z",
    }
    return {
        "account_id": "main",
        "simulation_id": None,
        "session_date": "2026-03-02",
        "order": order,
        "request_hash": "h",
        "decision": content,
        "mark": None,
        "by": "ada",
        "correlation_id": None,
        "ts_event": "2026-03-02T15:00:00Z",
    }


class TestFold:
    def test_decisions_are_counted_by_day_strategy_and_reason(self) -> None:
        changes = fold(
            [
                entry(EventKind.ORDER_APPROVED, decided("APPROVED")),
                entry(EventKind.ORDER_DENIED, decided("DENIED", "LOT_SIZE", "POSITION_LIMIT")),
                entry(EventKind.ORDER_DENIED, decided("DENIED", "LOT_SIZE")),
            ]
        )
        day = DayOf("main", DAY, "trend")
        assert (changes.approved, changes.denied) == ({day: 1}, {day: 2})
        assert changes.denials == {(day, "LOT_SIZE"): 2, (day, "POSITION_LIMIT"): 1}

    @pytest.mark.parametrize(
        ("side", "quantity", "position", "closing"),
        [
            ("BUY", "5", "5", False),
            ("BUY", "5", "15", False),
            ("SELL", "5", "10", True),
            ("SELL", "20", "-5", True),
            ("BUY", "5", "0", True),
            ("SELL", "5", "-5", False),
        ],
    )
    def test_a_trade_closes_if_it_brings_the_position_nearer_to_zero(
        self, side: str, quantity: str, position: str, closing: bool
    ) -> None:
        booked = fold([entry(EventKind.FILL_APPLIED, filled(side, quantity, position))]).trades[0]
        assert booked.closing is closing
        assert booked.notional == Decimal(quantity) * 10 * 50

    def test_what_was_traded_is_in_the_accounts_currency(self) -> None:
        row = filled("BUY", "0.3", "0.3", price="99999999999999999", multiplier="0.1", fx_rate="1.0000000001")
        # Exact but for the last place, which is rounded.
        assert fold([entry(EventKind.FILL_APPLIED, row)]).trades[0].notional == Decimal("3000000000299999.97")
        # A row of before there were rates.
        assert fold([entry(EventKind.FILL_APPLIED, filled("BUY", "5", "5"))]).trades[0].notional == 2_500

    def test_kinds_the_ledger_is_not_made_of_change_nothing(self) -> None:
        assert fold([entry(EventKind.MARKS_SET, {"anything": 1})]) == fold([])

    def test_a_row_that_does_not_say_what_its_kind_says_is_an_error(self) -> None:
        with pytest.raises(MalformedRowError, match=r"row 7 \(FILL_APPLIED\) cannot be read: quantity: "):
            fold([entry(EventKind.FILL_APPLIED, filled("BUY", "0", "0"), 7)])

    def test_kinds_of_a_newer_risk_are_counted_and_change_nothing(self) -> None:
        changes = fold([entry("BREAKER_OPENED", {"x": 1}), entry("BREAKER_OPENED", {}), entry("MARKS_SET", {})])
        assert changes.unknown == {"BREAKER_OPENED": 2}
        changes.unknown.clear()
        assert changes == fold([])


def trade(pnl: str, closing: bool = True, strategy: str = "trend", confidence: float | None = 0.6) -> DayTrade:
    return DayTrade(strategy, Decimal(100), Decimal(pnl), Decimal("0.5"), closing, confidence)


class TestMetrics:
    def test_without_closing_trades_there_is_no_figure(self) -> None:
        for metric in (win_rate([trade("0", closing=False)]), profit_factor([]), mean_confidence([])):
            assert (metric.value, metric.state) == (None, "no_trades")

    def test_without_losses_the_factor_is_not_infinite(self) -> None:
        metric = profit_factor([trade("5"), trade("0")])
        assert (metric.value, metric.state) == (None, "no_losses")

    def test_figures(self) -> None:
        trades = [trade("6"), trade("-2"), trade("0"), trade("-1", closing=False, confidence=0.9)]
        assert win_rate(trades).value == pytest.approx(1 / 3)
        assert profit_factor(trades).value == 3
        assert mean_confidence(trades).value == pytest.approx(0.675)

    @given(st.lists(st.decimals(min_value=-(10**12), max_value=10**12, places=10), max_size=20))
    def test_no_figure_is_ever_infinite_or_not_a_number(self, profits: list[Decimal]) -> None:
        trades = [trade(str(profit)) for profit in profits]
        for metric in (win_rate(trades), profit_factor(trades), mean_confidence(trades)):
            assert metric.value is None or math.isfinite(metric.value)
            assert (metric.value is None) == (metric.state != "ok")


def a_day() -> DayRolled:
    return DayRolled.model_validate(
        {
            "account_id": "main",
            "simulation_id": None,
            "session_date": DAY,
            "next_session_date": date(2026, 3, 3),
            "start_of_day_equity": "100",
            "end_equity": "104",
            "realised_pnl_total": "4",
            "fees_total": "1",
            "by": "ada",
            "ts_event": NOW,
        }
    )


def test_a_day_is_rolled_up_whole_and_by_strategy() -> None:
    counts = {"trend": DayCounts(2, 1, {"LOT_SIZE": 1}), "pcr": DayCounts(0, 1, {"LOT_SIZE": 1, "MARK_STALE": 1})}
    whole, pcr, trend = roll_up(9, a_day(), [trade("5"), trade("-1")], counts)
    assert (whole.strategy_id, pcr.strategy_id, trend.strategy_id) == (None, "pcr", "trend")
    assert (whole.orders_approved, whole.orders_denied, whole.trades) == (2, 2, 2)
    assert whole.denials_by_reason == {"LOT_SIZE": 2, "MARK_STALE": 1}
    assert (whole.realised_pnl, whole.fees, whole.volume_notional) == (Decimal(4), Decimal(1), Decimal(200))
    assert (whole.start_equity, whole.end_equity, trend.start_equity) == (Decimal(100), Decimal(104), None)
    assert (pcr.trades, pcr.win_rate.state) == (0, "no_trades")


@pytest.mark.parametrize("trades", [101, 5_000])
def test_sums_of_any_size_are_exact(trades: int) -> None:
    largest = Decimal("9999999999999999.9999999999")
    day = [DayTrade("trend", largest, -largest, largest, True, None)] * trades
    whole = roll_up(9, a_day(), day, {})[0]
    exact = f"{10**16 * trades - 1}.{10**10 - trades:010d}"
    assert (whole.volume_notional, whole.fees) == (Decimal(exact), Decimal(exact))
    stored = whole.model_dump(mode="json")
    assert (stored["volume_notional"], stored["realised_pnl"]) == (exact.rstrip("0"), f"-{exact.rstrip('0')}")
    assert DailyRollup.model_validate(stored) == whole


class TestChain:
    def rows(self) -> list[JournalRow]:
        rows: list[JournalRow] = []
        for seq in range(1, 4):
            rows.append(entry(EventKind.MARKS_SET, {"n": seq}, seq, rows[-1].hash if rows else GENESIS_HASH))
        return rows

    def test_a_whole_chain_is_followed(self) -> None:
        rows = self.rows()
        assert chain_problem(0, GENESIS_HASH, rows) is None
        assert chain_problem(1, rows[0].hash, rows[1:]) is None

    def test_gaps_other_chains_and_altered_rows_are_named(self) -> None:
        rows = self.rows()
        assert chain_problem(0, GENESIS_HASH, rows[1:]) == "row 2 follows row 0"
        assert chain_problem(1, "f" * 64, rows[1:]) == "row 2 does not continue the chain"
        altered = rows[1].model_copy(update={"body": {"n": 7}})
        assert chain_problem(1, rows[0].hash, [altered, rows[2]]) == "row 2 does not match its hash"

    @settings(max_examples=200, deadline=None)
    @given(st.dictionaries(_TEXT, _JSON, max_size=5))
    def test_any_body_keeps_its_hash_on_the_way(self, body: dict[str, Any]) -> None:
        row = entry(EventKind.MARKS_SET, body)
        served = JournalPage.model_validate({"items": [row.model_dump()], "next_after": 1, "last_seq": 1})
        received = JournalRows.model_validate_json(served.model_dump_json())
        assert chain_problem(0, GENESIS_HASH, received.items) is None
