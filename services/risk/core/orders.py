"""Decide on orders, on changes of them, and on their ends."""

from dataclasses import dataclass, replace
from typing import Any, Final

from services.risk.core.bodies import Closed, Decided, OrderTerms, Verdict
from services.risk.core.checks import Evaluation, evaluate
from services.risk.core.codec.writing import reason, verdict_text
from services.risk.core.commands import AcknowledgeReplace, CloseOrder, PlaceOrder, ReplaceOrder
from services.risk.core.fills import TOO_MUCH, immense
from services.risk.core.largest import largest_passing
from services.risk.core.levels import FIRST_BAND, level_of
from services.risk.core.outcome import Event, Outcome, Refused, conflict, invalid, not_found
from services.risk.core.state import OPEN, Account, FirmState, OrderRecord
from services.risk.core.times import impossible, later, time_told
from services.risk.core.units import amount, moment, text, units
from shared.schemas.decisions import Decision, DecisionContent, RiskLevel
from shared.schemas.decisions import Verdict as Answer
from shared.schemas.denials import DenialCode
from shared.schemas.events import OrderReplaced, ReplaceAcknowledged
from shared.schemas.journal import EventKind
from shared.schemas.orders import ReplaceAcknowledgement

# Looked up once: a member of an enumeration takes ten times as long to find as a name.
_APPROVED: Final = EventKind.ORDER_APPROVED
_DENIED: Final = EventKind.ORDER_DENIED
_GREEN: Final = RiskLevel.GREEN
_LAST_BITS: Final = 0.001


def place_order(state: FirmState, command: PlaceOrder, now: int) -> Outcome:
    """Approve or deny an order; the same order again gives no event, another under its id is refused."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    order = command.order
    known = account.orders.get(order.client_order_id)
    if known is not None:
        if known.decided.order == order:
            return ()
        return conflict(f"client_order_id {order.client_order_id} was used for another order")
    refused = impossible(account, order.ts, now)
    if refused is not None:
        return refused
    time = now
    if account.simulation_id is not None:
        if order.ts is None:
            return invalid("an order of a simulated account needs ts_event")
        time = later(account, order.ts)
    found = evaluate(state, account, order, time)
    verdict = judge(state, account, order, time, found)
    case = found.case
    if too_much(verdict, found):
        return invalid(TOO_MUCH)
    body = Decided(
        account.account_id,
        account.simulation_id,
        account.session_date,
        order,
        verdict,
        case.mark.price if case else 0,
        case.mark.ts if case else 0,
        command.by,
        command.correlation_id,
    )
    kind = _APPROVED if verdict.approved else _DENIED
    return (Event(kind, account.account_id, body),)


def judge(
    state: FirmState,
    account: Account,
    order: OrderTerms,
    now: int,
    found: Evaluation,
    replaces: OrderRecord | None = None,
) -> Verdict:
    """Return the verdict on what the checks found."""
    broken, most = found.broken, None
    # To six places, the last bit of a quotient aside: what uses exactly 60 % is in the band that begins there.
    score = int((found.worst if found.worst < 1.0 else 1.0) * 1_000_000 + _LAST_BITS) / 1_000_000
    level = _GREEN if score < FIRST_BAND else level_of(score)
    if broken:
        if broken[0].code is DenialCode.KILL_SWITCH_ACTIVE:
            level = RiskLevel.BLACK
        # A switch may let reductions through: then there is a case, and a smaller order may be one.
        most = largest_passing(state, account, order, now, found, replaces)
    return Verdict(
        not broken,
        broken,
        score,
        level,
        most,
        account.limits.version,
        state.kill_epoch,
        now,
    )


def too_much(verdict: Verdict, found: Evaluation) -> bool:
    """Tell whether what was approved could lead to a position larger than any real one."""
    case = found.case
    # What reduces leads away from it, however dear marks have made the position.
    return verdict.approved and case is not None and not case.reduces and immense(case.path_after, case.exposure)


def known_order(state: FirmState, account_id: str, client_order_id: str) -> tuple[Account, OrderRecord] | Refused:
    """Return an order and its account, or the refusal where there is none."""
    account = state.accounts.get(account_id)
    record = account.orders.get(client_order_id) if account else None
    if account is None or record is None:
        return not_found(f"account {account_id} has no order {client_order_id}")
    return account, record


def replace_order(state: FirmState, command: ReplaceOrder, now: int) -> Outcome:
    """Approve or deny a change of an open order; the same again gives no event."""
    known = known_order(state, command.account_id, command.client_order_id)
    if isinstance(known, Refused):
        return known
    account, record = known
    request = command.request
    quantity, limit = units(request.quantity), units(request.limit_price) if request.limit_price else 0
    asked = (record.replaced or {}).get(request.replace_id)
    if asked is not None:
        if (asked.quantity, asked.limit) == (quantity, limit):
            return ()
        return conflict(f"replace_id {request.replace_id} was used for another change of the order")
    if record.status not in OPEN:
        return conflict(f"the order is {record.status} and cannot be replaced")
    if record.replacement is not None:
        return conflict(f"replacement {record.replacement.replace_id} has not been acknowledged")
    if (request.limit_price is None) != (record.order.limit == 0):
        return invalid("a replacement keeps the order's type: limit_price is required for LIMIT and absent for MARKET")
    filled = record.order.quantity - record.leaves
    if quantity <= filled:
        return conflict(f"{text(filled)} of the order are filled already; cancel it instead")
    time = time_told(account, request.ts_event, now)
    if time is None:
        return invalid("a replacement in a simulated account needs ts_event")
    changed = replace(record.order, quantity=quantity - filled, limit=limit)
    found = evaluate(state, account, changed, time, record)
    verdict = judge(state, account, changed, time, found, record)
    if too_much(verdict, found):
        return invalid(TOO_MUCH)
    if verdict.max_quantity:
        verdict.max_quantity += filled
    body = OrderReplaced(
        account_id=account.account_id,
        client_order_id=command.client_order_id,
        replace_id=request.replace_id,
        quantity=request.quantity,
        limit_price=request.limit_price,
        decision=content_of(verdict, account.account_id, command.client_order_id),
        by=command.by,
        ts_event=moment(time),
    )
    kind = EventKind.ORDER_REPLACED if verdict.approved else EventKind.REPLACE_DENIED
    return (Event(kind, account.account_id, body),)


def acknowledge_replace(state: FirmState, command: AcknowledgeReplace, now: int) -> Outcome:
    """Put a replacement in force, or drop it; the same word again gives no event."""
    known = known_order(state, command.account_id, command.client_order_id)
    if isinstance(known, Refused):
        return known
    account, record = known
    request = command.request
    if record.replacement is None or record.replacement.replace_id != request.replace_id:
        return _acknowledged(record, request)
    time = time_told(account, request.ts_event, now)
    if time is None:
        return invalid("an acknowledgement in a simulated account needs ts_event")
    body = ReplaceAcknowledged(
        account_id=account.account_id,
        client_order_id=command.client_order_id,
        replace_id=request.replace_id,
        accepted=request.accepted,
        by=command.by,
        ts_event=moment(time),
    )
    return (Event(EventKind.REPLACE_ACKNOWLEDGED, account.account_id, body),)


def _acknowledged(record: OrderRecord, request: ReplaceAcknowledgement) -> Outcome:
    """Return what a word on a replacement gives that no longer waits for one."""
    asked = (record.replaced or {}).get(request.replace_id)
    if asked is None:
        return not_found(f"the order has no replacement {request.replace_id}")
    if asked.content.decision is Answer.DENIED:
        return conflict(f"replacement {request.replace_id} was denied")
    if asked.accepted is not None and asked.accepted is not request.accepted:
        return conflict(f"replacement {request.replace_id} was {'accepted' if asked.accepted else 'refused'} already")
    # What waited when its order ended was dropped with it.
    return ()


def close_order(state: FirmState, command: CloseOrder, now: int) -> Outcome:
    """End an open order; the same end again gives no event, another end is refused."""
    known = known_order(state, command.account_id, command.client_order_id)
    if isinstance(known, Refused):
        return known
    account, record = known
    if record.status is command.status:
        return ()
    if record.status not in OPEN:
        return conflict(f"the order is {record.status} and cannot become {command.status}")
    time = time_told(account, command.request.ts_event, now)
    if time is None:
        return invalid("the end of an order of a simulated account needs ts_event")
    body = Closed(
        account.account_id,
        command.client_order_id,
        command.status,
        command.request.reason,
        record.leaves,
        command.by,
        time,
    )
    return (Event(EventKind.ORDER_CLOSED, account.account_id, body),)


def content_of(verdict: Verdict, account_id: str, client_order_id: str) -> DecisionContent:
    """Return a verdict as callers see it."""
    return DecisionContent.model_validate(_shown(verdict, account_id, client_order_id))


@dataclass(slots=True)
class Answered:
    """What was decided on an order, and its row in the journal."""

    body: Decided
    seq: int

    @property
    def approved(self) -> bool:
        """Tell whether the order may go out."""
        return self.body.verdict.approved

    def model(self) -> Decision:
        """Return it as a contract."""
        return decision_of(self.body, self.seq)

    def text(self) -> str:
        """Return it as JSON, as the contract would give: several times as fast as building one."""
        content = verdict_text(self.body.verdict, self.body.account_id, self.body.order.client_order_id)
        return f'{content[:-1]},"seq":{self.seq}}}'


def decision_of(body: Decided, seq: int) -> Decision:
    """Return the decision a row holds."""
    return Decision.model_validate({**_shown(body.verdict, body.account_id, body.order.client_order_id), "seq": seq})


def _shown(verdict: Verdict, account_id: str, client_order_id: str) -> dict[str, Any]:
    return {
        "decision": Answer.APPROVED if verdict.approved else Answer.DENIED,
        "account_id": account_id,
        "client_order_id": client_order_id,
        "reasons": [reason(each) for each in verdict.broken],
        "max_quantity": None if verdict.max_quantity is None else amount(verdict.max_quantity),
        "risk_score": verdict.risk_score,
        "risk_level": verdict.level,
        "policy_version": verdict.policy_version,
        "kill_epoch": verdict.kill_epoch,
        "ts_event": moment(verdict.ts),
    }
