"""Decide on orders that pass together or not at all."""

from collections.abc import Sequence
from dataclasses import replace

from services.risk.core.answers import decision
from services.risk.core.bodies import Broken, Decided, Verdict
from services.risk.core.chain import Row, event_of
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
    trial = trial_of(state, account)
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


def legs_before(rows: Sequence[Row], row: Row) -> list[Decided]:
    """Return the orders before one that were approved until their all-or-none batch was denied, the first one first.

    `rows` end just before `row`. Those of one batch were decided by one command: in one moment, for one caller.
    """
    mine = event_of(row).body
    found: list[Decided] = []
    for earlier in reversed(rows):
        if (earlier.ts, earlier.account_id, earlier.kind) != (row.ts, row.account_id, EventKind.ORDER_DENIED):
            break
        body = event_of(earlier).body
        if not isinstance(body, Decided) or not isinstance(mine, Decided):
            break
        if (body.by, body.correlation_id) != (mine.by, mine.correlation_id):
            break
        if because_of_batch(body.verdict) is not None:
            found.append(body)
    return found[::-1]


def because_of_batch(verdict: Verdict) -> Broken | None:
    """Return the reason of an order that nothing but its batch was in the way of, None of any other."""
    first = verdict.broken[0] if verdict.broken else None
    return first if first is not None and first.code is DenialCode.BATCH_DENIED else None


def as_it_was_tried(state: FirmState, account: Account, legs: Sequence[Decided]) -> FirmState:
    """Return a copy of the account's state with orders held that passed in a batch that was denied."""
    trial = trial_of(state, account)
    for leg in legs:
        body = replace(leg, verdict=replace(leg.verdict, approved=True, broken=[]))
        evolve(trial, Event(EventKind.ORDER_APPROVED, leg.account_id, body), state.last_seq)
    return trial


def trial_of(state: FirmState, account: Account) -> FirmState:
    """Return a copy of what orders of one account change."""
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
