"""Decide on orders that pass together or not at all."""

from dataclasses import replace

from services.risk.core.answers import decision
from services.risk.core.bodies import Broken, Decided
from services.risk.core.commands import PlaceOrder, PlaceOrders
from services.risk.core.evolve import evolve
from services.risk.core.orders import place_order
from services.risk.core.outcome import Event, Outcome, Refused, conflict, not_found
from services.risk.core.scenarios import Tail
from services.risk.core.state import Account, FirmState
from shared.schemas.denials import DenialCode
from shared.schemas.journal import EventKind


def place_orders(state: FirmState, command: PlaceOrders, now: int) -> Outcome:
    """Approve all orders or deny them all; tried one after the other on a copy, as each takes of the headroom.

    Orders that were decided before keep their decision; where one of them is denied as it is answered now, because it
    was denied or because its approval is over, the rest is denied. One that is open or was filled stays approved, as it
    is at the venue already and no denial takes it back.
    """
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    ids = [order.client_order_id for order in command.orders]
    if len(set(ids)) < len(ids):
        return conflict("a client_order_id is in the batch twice")
    trial = _copy(state, account)
    events: list[Event] = []
    denied: str | None = None
    for order in command.orders:
        outcome = place_order(trial, PlaceOrder(command.account_id, order, command.by, command.correlation_id), now)
        if isinstance(outcome, Refused):
            return outcome
        if not outcome:
            known = account.orders[order.client_order_id]
            if not decision(state, account, known).approved:
                denied = denied or order.client_order_id
            continue
        for event in outcome:
            evolve(trial, event, state.last_seq + len(events) + 1)
            events.append(event)
            if event.kind is EventKind.ORDER_DENIED:
                denied = denied or order.client_order_id
    if denied is not None:
        events = [_denied(event, denied) for event in events]
    return tuple(events)


def _denied(event: Event, because_of: str) -> Event:
    body = event.body
    if not isinstance(body, Decided) or not body.verdict.approved:
        return event
    broken = Broken(DenialCode.BATCH_DENIED, f"order {because_of} of the same batch is denied")
    verdict = replace(body.verdict, approved=False, broken=[broken], max_quantity=0)
    return Event(EventKind.ORDER_DENIED, event.account_id, replace(body, verdict=verdict))


def _copy(state: FirmState, account: Account) -> FirmState:
    copied = replace(
        account,
        positions={
            symbol: replace(
                each,
                bids=list(each.bids),
                asks=list(each.asks),
                bids_gone=list(each.bids_gone),
                asks_gone=list(each.asks_gone),
            )
            for symbol, each in account.positions.items()
        },
        orders=dict(account.orders),
        open_orders=dict(account.open_orders),
        strategies={name: replace(each) for name, each in account.strategies.items()},
        parents={name: replace(each) for name, each in account.parents.items()},
        recent=dict(account.recent),
        sectors=dict(account.sectors),
        asset_classes=dict(account.asset_classes),
        tail=Tail(),
    )
    return replace(state, accounts={account.account_id: copied}, valued_by={})
