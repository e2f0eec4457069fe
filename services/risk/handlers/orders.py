"""Orders: decisions, what-ifs, batches, replacements, ends and executions."""

from dataclasses import dataclass

from services.risk.core.answers import decision
from services.risk.core.checks import evaluate
from services.risk.core.commands import (
    AcknowledgeReplace,
    ApplyFill,
    CloseOrder,
    PlaceOrder,
    PlaceOrders,
    ReplaceOrder,
)
from services.risk.core.fills import TOO_MUCH
from services.risk.core.orders import Answered, content_of, judge, known_order, too_much
from services.risk.core.outcome import RefusalKind, Refused, invalid
from services.risk.core.state import Account, FirmState
from services.risk.core.times import impossible, time_of
from services.risk.core.translate import order_terms
from services.risk.core.units import micros
from services.risk.core.views import order_view
from services.risk.engine import Engine
from services.risk.handlers.asking import do, of_account, problem
from shared.auth import Principal
from shared.logging.context import correlation_id
from shared.pagination import decode_cursor, encode_cursor
from shared.schemas.base import Page
from shared.schemas.decisions import Decision, DecisionContent
from shared.schemas.orders import (
    BatchRefusal,
    Fill,
    FillResult,
    Order,
    OrderBatch,
    OrderBatchResult,
    OrderClose,
    OrderReplace,
    OrderStatus,
    OrderView,
    ReplaceAcknowledgement,
)


async def place_order(engine: Engine, account_id: str, order: Order, caller: Principal) -> Answered:
    """Decide on an order."""
    command = PlaceOrder(account_id, order_terms(order), caller.subject, correlation_id.get())
    found: Answered = await do(engine, command)
    return found


@dataclass(slots=True)
class BatchAnswered:
    """What was decided on a batch, in its sequence; None where the order is among those refused."""

    decisions: list[Answered | None]
    refused: list[BatchRefusal]

    @property
    def approved(self) -> int:
        """How many may go out."""
        return sum(1 for each in self.decisions if each is not None and each.approved)

    def model(self) -> OrderBatchResult:
        """Return it as a contract."""
        decisions = [each and each.model() for each in self.decisions]
        return OrderBatchResult(decisions=decisions, refused=self.refused, approved=self.approved)

    def text(self) -> str:
        """Return it as JSON, as the contract would give."""
        decisions = ",".join([each.text() if each else "null" for each in self.decisions])
        refused = ",".join([each.model_dump_json() for each in self.refused])
        return f'{{"decisions":[{decisions}],"refused":[{refused}],"approved":{self.approved}}}'


async def place_orders(engine: Engine, account_id: str, batch: OrderBatch, caller: Principal) -> BatchAnswered:
    """Decide on orders in their sequence."""
    orders = tuple(order_terms(order) for order in batch.orders)
    correlation = correlation_id.get()
    refused: list[BatchRefusal] = []
    if batch.all_or_none:
        decisions = await do(engine, PlaceOrders(account_id, orders, True, caller.subject, correlation))
    else:
        # Each by itself: what is refused of one, such as an id used before, is the answer to it alone.
        found = await engine.submit_all(
            tuple([PlaceOrder(account_id, order, caller.subject, correlation) for order in orders])
        )
        if isinstance(found[0], Refused) and found[0].kind is RefusalKind.NOT_FOUND:
            raise problem(found[0])
        for index, (order, each) in enumerate(zip(orders, found, strict=True)):
            if isinstance(each, Refused):
                refused.append(BatchRefusal(index=index, client_order_id=order.client_order_id, detail=each.detail))
        decisions = [None if isinstance(each, Refused) else each for each in found]
    return BatchAnswered(decisions, refused)


async def check_order(engine: Engine, account_id: str, order: Order) -> DecisionContent:
    """Return what would be decided on an order; nothing is kept."""
    asked = order_terms(order)

    def question(state: FirmState, account: Account) -> DecisionContent | Refused:
        system = micros(engine.clock.now())
        now = time_of(account, asked.ts, system)
        if now is None:
            return invalid("an order of a simulated account needs ts_event")
        refused = impossible(account, asked.ts, system)
        if refused is not None:
            return refused
        found = evaluate(state, account, asked, now)
        verdict = judge(state, account, asked, now, found)
        if too_much(verdict, found):
            return invalid(TOO_MUCH)
        return content_of(verdict, account.account_id, asked.client_order_id)

    return await of_account(engine, account_id, question)


async def get_decision(engine: Engine, account_id: str, client_order_id: str) -> Decision:
    """Return the decision on an order."""

    def question(state: FirmState, account: Account) -> Decision | Refused:
        known = known_order(state, account.account_id, client_order_id)
        return known if isinstance(known, Refused) else decision(state, *known).model()

    return await of_account(engine, account_id, question)


async def list_orders(engine: Engine, account_id: str, cursor: str | None, limit: int) -> Page[OrderView]:
    """Return the open orders, the oldest first."""
    after = str(decode_cursor(cursor, seq=int)["seq"]) if cursor else "0"

    def question(_: FirmState, account: Account) -> Page[OrderView]:
        chosen = [record for record in account.open_orders.values() if record.seq > int(after)]
        following = encode_cursor({"seq": chosen[limit - 1].seq}) if len(chosen) > limit else None
        return Page(items=[order_view(account, record) for record in chosen[:limit]], next_cursor=following)

    return await of_account(engine, account_id, question)


async def replace_order(
    engine: Engine, account_id: str, client_order_id: str, request: OrderReplace, caller: Principal
) -> Decision:
    """Decide on a change of an open order."""
    found: Decision = await do(engine, ReplaceOrder(account_id, client_order_id, request, caller.subject))
    return found


async def acknowledge_replace(
    engine: Engine, account_id: str, client_order_id: str, request: ReplaceAcknowledgement, caller: Principal
) -> OrderView:
    """Take the venue's word on a replacement."""
    found: OrderView = await do(engine, AcknowledgeReplace(account_id, client_order_id, request, caller.subject))
    return found


async def close_order(
    engine: Engine, account_id: str, client_order_id: str, status: OrderStatus, request: OrderClose, caller: Principal
) -> OrderView:
    """End an order that will not fill further."""
    command = CloseOrder(account_id, client_order_id, status, request, caller.subject)
    found: OrderView = await do(engine, command)
    return found


async def apply_fill(engine: Engine, account_id: str, fill: Fill, caller: Principal) -> FillResult:
    """Book an execution."""
    found: FillResult = await do(engine, ApplyFill(account_id, fill, caller.subject))
    return found
