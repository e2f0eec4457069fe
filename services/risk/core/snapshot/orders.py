"""Orders in a snapshot."""

from datetime import date
from sys import intern
from typing import Any

from services.risk.core.bodies import Broken, Decided, OrderTerms, Verdict
from services.risk.core.snapshot.fields import Fields
from services.risk.core.state import OrderRecord, Replaced, Replacement
from shared.schemas.decisions import DecisionContent, RiskLevel, Unit
from shared.schemas.denials import DenialCode
from shared.schemas.orders import OrderStatus

# Names that many orders share are interned: each would keep a copy of its own otherwise.
_TERMS = Fields(OrderTerms, strategy_id=intern, symbol=intern, time_in_force=intern)
# By its name: the class itself takes a member's text and gravity too.
_BROKEN = Fields(Broken, code=lambda name: DenialCode[name], unit=Unit)
_VERDICT = Fields(Verdict, without=frozenset({"broken"}), level=RiskLevel)
_DECIDED = Fields(
    Decided, without=frozenset({"order", "verdict"}), account_id=intern, by=intern, session_date=date.fromisoformat
)
_RECORD = Fields(OrderRecord, without=frozenset({"order", "decided", "replacement", "replaced"}), status=OrderStatus)
_REPLACEMENT = Fields(Replacement)
_REPLACED = Fields(Replaced, without=frozenset({"content"}))


def write_order(record: OrderRecord) -> list[Any]:
    """Return an order's values; its terms of now only where a replacement changed them."""
    decided = record.decided
    replaced = record.replaced and [
        [name, _REPLACED.write(each), each.content.model_dump(mode="json")] for name, each in record.replaced.items()
    ]
    return [
        _RECORD.write(record),
        _DECIDED.write(decided),
        _TERMS.write(decided.order),
        _VERDICT.write(decided.verdict),
        [_BROKEN.write(each) for each in decided.verdict.broken],
        None if record.order is decided.order else _TERMS.write(record.order),
        record.replacement and _REPLACEMENT.write(record.replacement),
        replaced,
    ]


def read_order(values: list[Any]) -> OrderRecord:
    """Return an order from its values."""
    record, decided, asked, verdict, broken, now, replacement, replaced = values
    terms = _TERMS.read(asked)
    answer = _VERDICT.read(verdict, broken=[_BROKEN.read(each) for each in broken])
    return _RECORD.read(
        record,
        order=terms if now is None else _TERMS.read(now),
        decided=_DECIDED.read(decided, order=terms, verdict=answer),
        replacement=replacement and _REPLACEMENT.read(replacement),
        replaced=replaced
        and {
            name: _REPLACED.read(each, content=DecisionContent.model_validate(content))
            for name, each, content in replaced
        },
    )
