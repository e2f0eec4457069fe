"""A snapshot is the state: read again it is equal, and goes on as the one that was written."""

import json
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.risk.core import bodies, breakers, positions, state
from services.risk.core.bodies import Quote
from services.risk.core.chain import Tip, event_of
from services.risk.core.commands import (
    AcknowledgeKill,
    AcknowledgeReplace,
    PromiseHeartbeat,
    ReplaceOrder,
    SetInstruments,
    SetMarks,
    SetScenarios,
    StartEngine,
)
from services.risk.core.evolve import evolve
from services.risk.core.snapshot import FORMAT, read, sealed, write
from services.risk.core.snapshot.sealed import seal, unseal
from services.risk.core.state import FirmState
from services.risk.core.units import micros, units
from services.risk.core.views import account_status
from shared.schemas.kill_switches import KillAcknowledgement, KillScope
from shared.schemas.orders import OrderReplace, ReplaceAcknowledgement
from tests.unit.risk.desk import Desk, wide
from tests.unit.risk.test_old_journals import rows
from tests.unit.risk.test_properties import Player, steps
from tests.unit.risk.test_tail import scenarios

pytestmark = pytest.mark.unit


def comparable(found: FirmState) -> Any:
    """Return a state whose scenarios can be compared: a matrix is made of its source."""
    sources = found.scenarios and (found.scenarios.source, found.scenarios.seq, found.scenarios.symbols)
    return replace(found, scenarios=None), sources


def assert_same(one: FirmState, other: FirmState) -> None:
    assert comparable(one) == comparable(other)
    assert list(write(one)) == list(write(other))
    for name, account in one.accounts.items():
        assert account_status(one, account) == account_status(other, other.accounts[name])


@settings(max_examples=100, deadline=None)
@given(steps, st.floats(0, 1))
def test_a_state_read_again_is_the_state_and_goes_on_as_it_would(moves: list[tuple[Any, ...]], part: float) -> None:
    desk = Player().play(moves)
    cut = int(len(desk.journal) * part)
    folded = FirmState()
    for seq, event in enumerate(desk.journal[:cut], start=1):
        evolve(folded, event, seq)
    restored = read(write(folded))
    assert_same(restored, folded)
    for seq, event in enumerate(desk.journal[cut:], start=cut + 1):
        evolve(restored, event, seq)
    assert_same(restored, desk.state)


def test_every_kind_of_thing_a_state_holds_comes_back() -> None:
    desk = Desk(wide(max_position_fraction=5, max_open_orders=100, duplicate_window_ms=60_000))
    desk.send(SetScenarios(scenarios(STOCK=0.02, FUT=0.02), "ada"))
    desk.send(PromiseHeartbeat("trend", 30, "ada"))
    desk.send(StartEngine("1.0", "abcd", False))
    desk.fill(desk.order(quantity=10), 4, "100.0000000001", "-0.25")
    desk.order("SELL", 3, order_type="LIMIT", limit_price="101.25")
    resting = desk.order("BUY", 2, order_type="LIMIT", limit_price=99, parent_order_id="whole", parent_quantity="10")
    other = desk.order("BUY", 1, "FUT")
    for order_id, name in ((resting.client_order_id, "r1"), (other.client_order_id, "r2")):
        request = OrderReplace(replace_id=name, quantity=Decimal(3), limit_price=Decimal(98) if name == "r1" else None)
        desk.send(ReplaceOrder("main", order_id, request, "ada"))
    accepted = ReplaceAcknowledgement(replace_id="r2", accepted=True)
    desk.send(AcknowledgeReplace("main", other.client_order_id, accepted, "ada"))
    desk.order("BUY", 10_000, symbol="NOPE")
    desk.order("BUY", 1_000_000)
    desk.later(1)
    jump = Quote("STOCK", units(Decimal(170)), micros(desk.now))
    desk.send(SetMarks(None, (jump,)))
    desk.kill(KillScope.SYMBOL, "COIN")
    switch = next(iter(desk.state.kill_switches))
    desk.send(AcknowledgeKill(switch, KillAcknowledgement(execution_id="ems-1", cancelled_orders=0), "ada"))
    account = desk.account
    assert desk.state.scenarios is not None
    assert all((account.recent, account.parents, account.strategies, account.fills, desk.state.heartbeats))
    assert {bool(each.replacement) for each in account.orders.values()} == {True, False}
    assert desk.state.marks[None, "STOCK"].suspect
    assert_same(read(write(desk.state)), desk.state)


def test_the_state_of_a_journal_of_the_first_version_comes_back() -> None:
    folded = FirmState()
    for row in rows():
        evolve(folded, event_of(row), row.seq)
    assert_same(read(write(folded)), folded)


def test_the_empty_state_comes_back() -> None:
    assert_same(read(write(FirmState())), FirmState())


def test_a_flat_position_whose_instrument_changed_is_valued_by_what_it_is_on_now() -> None:
    desk = Desk(wide(max_position_fraction=5))
    desk.trade("BUY", 1, 100)
    desk.trade("SELL", 1, 100)
    option = desk.state.instruments["STOCK"].instrument.model_copy(update={"underlying": "FUT"})
    desk.send(SetInstruments((option,), "ada"))
    assert ("main", "STOCK") in desk.state.valued_by[None, "FUT"]
    assert_same(read(write(desk.state)), desk.state)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"accounts":1}', "x" * 100])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a state"):
        read([text])


def test_a_state_without_one_of_its_accounts_is_refused() -> None:
    firm, account = write(Desk().state)
    for lines in ([], [firm], [account], [firm, account, account]):
        with pytest.raises(ValueError, match="not a state"):
            read(lines)


def test_what_is_sealed_is_found_again_however_long_its_lines_are(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.fill(desk.order(quantity=10), 4, 100)
    made = seal(desk.state, Tip(desk.state.last_seq, "0" * 64))
    for at_once in (1, 7, 100_000):
        monkeypatch.setattr(sealed, "_AT_ONCE", at_once)
        assert_same(unseal(made), desk.state)
    for content in (made.content[:-1], made.content[:10], b"", b"x" * 50):
        with pytest.raises(ValueError, match="damaged"):
            unseal(replace(made, content=content))
    with pytest.raises(ValueError, match="not what was written"):
        unseal(replace(made, digest="0" * 64))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_state_with_a_part_missing_is_refused(data: st.DataObject) -> None:
    desk = Desk()
    desk.fill(desk.order(quantity=10), 4, 100)
    documents = [json.loads(line) for line in write(desk.state)]
    part = data.draw(st.sampled_from(documents))
    del part[data.draw(st.sampled_from(sorted(part)))]
    with pytest.raises(ValueError, match="not a state"):
        read(map(json.dumps, documents))


def test_whoever_changes_what_a_state_is_made_of_raises_the_format() -> None:
    # A snapshot of the former format would be read as one of this.
    kinds = [
        kind
        for module in (state, bodies, positions, breakers)
        for kind in vars(module).values()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
    ]
    names = sorted(f"{kind.__name__}.{each.name}" for kind in kinds for each in fields(kind))
    digest = sha256(" ".join(names).encode()).hexdigest()[:16]
    assert (FORMAT, digest) == (4, "bd1e53a914edb42b")
