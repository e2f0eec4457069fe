"""The largest quantity that would have passed: what bisection finds, in far fewer tries."""

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.risk.core.bodies import Broken, OrderTerms
from services.risk.core.checks import Evaluation, evaluate
from services.risk.core.commands import ActivateKillSwitch, SetInstruments, SetScenarios
from services.risk.core.largest import Clues, largest_passing, search
from services.risk.core.state import OrderRecord
from services.risk.core.translate import order_terms
from services.risk.core.units import micros
from shared.schemas.denials import DenialCode
from shared.schemas.instruments import ScenarioSet
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate
from shared.schemas.limits import Limits
from shared.schemas.orders import Order
from tests.unit.risk.desk import CALL, DUST, EURO, EURUSD, FUTURE, STOCK, Desk, codes, wide

pytestmark = pytest.mark.unit
THIN = STOCK.model_copy(update={"symbol": "THIN", "average_daily_volume": Decimal(3000), "sector": "thin"})
PRICES = {"STOCK": 100, "FUT": 4000, "EURO": 10, "COIN": 50_000, "DUST": 100, "THIN": 20, "CALL": 3, "EUR/USD": 1.1}
SYMBOLS = [symbol for symbol in PRICES if "/" not in symbol]
NEVER_MORE = 64


def plain(order: OrderTerms, lot: int, evaluated: Any) -> int:
    """Return what bisection finds."""
    low, high = 0, (order.quantity - 1) // lot
    while low < high:
        middle = (low + high + 1) // 2
        if evaluated(middle).broken:
            high = middle - 1
        else:
            low = middle
    return low


class Tried:
    """Count what is evaluated."""

    def __init__(self, desk: Desk, order: OrderTerms, replaces: OrderRecord | None = None) -> None:
        self.desk, self.order, self.replaces, self.count = desk, order, replaces, 0
        self.lot = desk.state.instruments[order.symbol].lot

    def found(self, quantity: int) -> Evaluation:
        order = replace(self.order, quantity=quantity)
        return evaluate(self.desk.state, self.desk.account, order, micros(self.desk.now), self.replaces)

    def at(self, lots: int) -> Evaluation:
        self.count += 1
        return self.found(lots * self.lot)

    def largest(self) -> int:
        found = self.found(self.order.quantity)
        assert found.case is not None
        return search((self.order.quantity - 1) // self.lot, Clues(found.case, found, self.lot), self.at)


def terms(symbol: str, side: str, quantity: Decimal, number: int, **fields: Any) -> OrderTerms:
    values = {"client_order_id": f"o-{number}", "strategy_id": "trend", "symbol": symbol, "side": side, **fields}
    return order_terms(Order.model_validate({**values, "quantity": f"{quantity:.10f}"}))


def drawn_limits(draw: Random) -> Limits:
    chosen: dict[str, Any] = {}
    for name, least, most in (
        ("max_position_fraction", 0.05, 5),
        ("max_sector_fraction", 0.05, 5),
        ("max_asset_class_fraction", 0.1, 5),
        ("max_gross_exposure", 0.1, 5),
        ("max_net_exposure", 0.1, 3),
        ("max_leverage", 0.1, 5),
        ("max_intraday_position_fraction", 0.1, 3),
        ("max_turnover", 0.1, 8),
        ("max_var_fraction", 0.001, 0.3),
        ("max_expected_shortfall_fraction", 0.001, 0.3),
        ("max_order_volume_fraction", 0.01, 0.5),
    ):
        if draw.random() < 0.3:
            chosen[name] = round(draw.uniform(least, most), 6)
    if draw.random() < 0.2:
        chosen["max_order_quantity"] = Decimal(draw.randint(1, 5000))
    if draw.random() < 0.2:
        chosen["max_order_value"] = Decimal(draw.randint(100, 500_000))
    if draw.random() < 0.5:
        chosen["price_collar_bps"] = draw.choice([1, 100, 500])
    return wide(**chosen)


def drawn_desk(draw: Random) -> Desk:
    """Return an account with some positions and open orders, limits and, mostly, scenarios."""
    desk = Desk(drawn_limits(draw))
    desk.send(SetInstruments((FUTURE, EURO, DUST, THIN, CALL, EURUSD), "ada"))
    desk.mark(**PRICES)
    if draw.random() < 0.7:
        numbers = np.random.default_rng(draw.randint(0, 10**6))
        market = numbers.normal(size=draw.choice([100, 250, 500]))
        moves = {each: list(0.01 * market + 0.02 * numbers.normal(size=len(market))) for each in SYMBOLS}
        del moves["CALL"]
        desk.send(SetScenarios(ScenarioSet(name="drawn", returns=moves), "ada"))
    for _ in range(draw.randint(0, 8)):
        symbol = draw.choice(SYMBOLS)
        worth = draw.uniform(100, 150_000) / (PRICES[symbol] * {"FUT": 50, "CALL": 100}.get(symbol, 1))
        quantity = worth if symbol == "DUST" else max(round(worth), 1)
        order = desk.order(draw.choice(["BUY", "SELL"]), f"{quantity:.10f}", symbol)
        if order.decision == "APPROVED" and draw.random() < 0.6:
            desk.fill(order, f"{quantity:.10f}", PRICES[symbol])
    if draw.random() < 0.2:
        desk.mark(STOCK=draw.choice([97, 103]))
    return desk


def drawn_order(draw: Random) -> OrderTerms:
    symbol = draw.choice(SYMBOLS)
    quantity = Decimal(10) ** draw.randint(0, 17) * draw.randint(1, 9)
    if draw.random() < 0.5:
        quantity = Decimal(draw.randint(1, 20_000))
    if symbol == "DUST" and draw.random() < 0.5:
        quantity += Decimal(draw.randint(1, 10**10)) / 10**10
    fields: dict[str, Any] = {}
    if draw.random() < 0.3:
        fields = {"order_type": "LIMIT", "limit_price": str(PRICES[symbol])}
    if draw.random() < 0.15:
        fields |= {"reduce_only": True}
    if draw.random() < 0.15:
        fields |= {"parent_order_id": "p", "parent_quantity": str(draw.randint(1, 5000))}
    return terms(symbol, draw.choice(["BUY", "SELL"]), quantity, 10_000, **fields)


def denied(desk: Desk, order: OrderTerms, replaces: OrderRecord | None = None) -> Tried | None:
    """Return what is to be tried, None where the order passes or would be denied whatever its size."""
    tried = Tried(desk, order, replaces)
    found = tried.found(order.quantity)
    fatal = not found.broken or found.case is None or found.broken[0].code is DenialCode.MARK_STALE
    return None if fatal else tried


def asked(draw: Random) -> Tried | None:
    """Return a denied order, or a denied change of an open one, of an account that is drawn."""
    desk = drawn_desk(draw)
    if draw.random() < 0.15:
        # Only what reduces passes, or only what is of the plan.
        request = KillSwitchCreate(scope=KillScope.FIRM, reason="drawn", allow_reducing=True)
        desk.send(ActivateKillSwitch("k", request, draw.choice(list(KillReason)), "eve"))
    records = list(desk.account.open_orders.values())
    if records and draw.random() < 0.2:
        record = draw.choice(records)
        changed = replace(record.order, quantity=record.leaves * draw.randint(2, 10**6))
        return denied(desk, changed, record)
    return denied(desk, drawn_order(draw))


@given(st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_it_is_what_bisection_finds(seed: int) -> None:
    tried = asked(Random(seed))
    if tried is None:
        event("not denied for its size")
        return
    order, lot = tried.order, tried.lot
    now = micros(tried.desk.now)
    most = tried.largest()
    event(f"{min(tried.count // 4 * 4, 20)} tries or more")
    assert tried.count <= NEVER_MORE
    assert most == plain(order, lot, tried.at)
    assert not most or not tried.at(most).broken
    assert (most + 1) * lot >= order.quantity or tried.at(most + 1).broken
    found = tried.found(order.quantity)
    assert largest_passing(tried.desk.state, tried.desk.account, order, now, found, tried.replaces) == most * lot


def test_it_takes_a_dozen_tries_and_mostly_a_few() -> None:
    counts = []
    for seed in range(300):
        tried = asked(Random(seed))
        if tried is not None:
            tried.largest()
            counts.append(tried.count)
    counts.sort()
    assert len(counts) > 100
    assert sum(counts) < 5 * len(counts)
    assert counts[len(counts) * 95 // 100] <= 12
    assert counts[-1] <= 32


@pytest.mark.parametrize("lot", ["0.0000000001", "0.01", "1", "1000"])
@pytest.mark.parametrize("over", [1, 7, 10**6, 10**12])
def test_a_first_order_that_is_too_large_takes_a_few_tries(lot: str, over: int) -> None:
    """Of one whose measures are straight lines, with value at risk and without."""
    for fraction in (None, 0.05):
        desk = Desk(wide(max_position_fraction=0.5, max_var_fraction=fraction), cash="100000000")
        desk.send(SetInstruments((STOCK.model_copy(update={"lot_size": Decimal(lot)}),), "ada"))
        returns = {"STOCK": list(np.random.default_rng(5).normal(0, 0.02, size=500))}
        desk.send(SetScenarios(ScenarioSet(name="drawn", returns=returns), "ada"))
        tried = denied(desk, terms("STOCK", "BUY", Decimal(501_000) * over, 1))
        assert tried is not None
        tried.largest()
        assert tried.count <= 8, tried.count


class Stubborn:
    """Checks whose figures lead everywhere but to where they begin to hold."""

    def __init__(self, tried: Tried, most: int, draw: Random) -> None:
        self.tried, self.most, self.draw, self.count = tried, most, draw, 0

    def at(self, lots: int) -> Evaluation:
        self.count += 1
        worst = self.draw.choice([0.0, 0.5, 1.0, 1e9, self.draw.random()])
        found = self.tried.found(self.tried.order.quantity)
        if lots <= self.most:
            return Evaluation([], worst, found.case)
        figures = [self.draw.choice([0.0, 1e-9, 1e9, self.draw.random()]) for _ in range(3)]
        return Evaluation([Broken(DenialCode.POSITION_LIMIT, "drawn", None, *figures)], worst, found.case)


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_figures_that_lead_nowhere_cost_little_more_than_bisection(seed: int) -> None:
    draw = Random(seed)
    desk = Desk(wide(max_position_fraction=0.5))
    desk.send(SetInstruments((DUST,), "ada"))
    desk.mark(DUST=100)
    tried = denied(desk, terms("DUST", "BUY", Decimal(99_999_999), 1))
    assert tried is not None
    asked_for = tried.order.quantity - 1
    most = draw.choice([0, asked_for, draw.randint(0, asked_for), draw.randint(0, 1000)])
    stubborn = Stubborn(tried, most, draw)
    found = stubborn.at(asked_for + 1)
    assert search(asked_for, Clues(found.case, found, 1), stubborn.at) == most if found.case else False
    assert stubborn.count <= asked_for.bit_length() + 10


def test_one_that_was_sent_just_now_may_be_a_lot_smaller() -> None:
    desk = Desk(wide(duplicate_window_ms=1000))
    desk.order(quantity=10)
    found = desk.order(quantity=10)
    assert codes(found) == ["DUPLICATE_ORDER"]
    assert found.max_quantity == 9
