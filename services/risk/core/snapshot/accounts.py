"""Accounts and their positions in a snapshot."""

from datetime import date
from typing import Any

from services.risk.core.breakers import Breaker
from services.risk.core.positions import Position
from services.risk.core.snapshot.fields import Fields
from services.risk.core.snapshot.orders import read_order, write_order
from services.risk.core.state import OPEN, Account, Booked, FirmState, Parent, Strategy
from services.risk.core.terms import Profile
from shared.schemas.breakers import BreakerState
from shared.schemas.decisions import RiskLevel
from shared.schemas.limits import LimitsView
from shared.schemas.orders import OrderStatus

# Written in a form of their own, or made of the others.
_APART = frozenset(
    {
        *("limits", "profile", "history", "breakers", "positions", "orders", "open_orders", "fills"),
        *("strategies", "parents", "recent", "tail", "caps", "halted"),
    }
)
_ACCOUNT = Fields(Account, without=_APART, session_date=date.fromisoformat, level=RiskLevel)
_POSITION = Fields(Position, without=frozenset({"terms", "mark"}))
_BREAKER = Fields(Breaker, state=BreakerState)
_STRATEGY = Fields(Strategy)
_PARENT = Fields(Parent)
_BOOKED = Fields(Booked, order_status=OrderStatus, session_date=date.fromisoformat)


def write_account(account: Account) -> dict[str, Any]:
    """Return all that is known of an account."""
    return {
        "account": _ACCOUNT.write(account),
        "history": [each.model_dump(mode="json") for each in account.history],
        "breakers": {name: _BREAKER.write(each) for name, each in account.breakers.items()},
        "positions": {symbol: _POSITION.write(each) for symbol, each in account.positions.items()},
        "orders": [write_order(each) for each in account.orders.values()],
        "fills": {trade_id: _BOOKED.write(each) for trade_id, each in account.fills.items()},
        "strategies": {name: _STRATEGY.write(each) for name, each in account.strategies.items()},
        "parents": {name: _PARENT.write(each) for name, each in account.parents.items()},
        "recent": [[*key, when] for key, when in account.recent.items()],
    }


def read_account(found: dict[str, Any], state: FirmState) -> Account:
    """Return an account; its instruments and marks are the state's."""
    history = [LimitsView.model_validate(each) for each in found["history"]]
    limits = history[-1]
    orders = {each.order.client_order_id: each for each in map(read_order, found["orders"])}
    account = _ACCOUNT.read(
        found["account"],
        limits=limits,
        profile=Profile(limits.limits),
        history=history,
        breakers={name: _BREAKER.read(each) for name, each in found["breakers"].items()},
        orders=orders,
        open_orders={name: each for name, each in orders.items() if each.status in OPEN},
        fills={trade_id: _BOOKED.read(each) for trade_id, each in found["fills"].items()},
        strategies={name: _STRATEGY.read(each) for name, each in found["strategies"].items()},
        parents={name: _PARENT.read(each) for name, each in found["parents"].items()},
        recent={(who, what, buy, quantity, limit): when for who, what, buy, quantity, limit, when in found["recent"]},
    )
    for symbol, values in found["positions"].items():
        mark = state.marks.get((account.simulation_id, symbol))
        account.positions[symbol] = _POSITION.read(values, terms=state.instruments[symbol], mark=mark)
    account.note_halts()
    return account
