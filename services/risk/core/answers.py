"""What a caller is told once its command is durable."""

from dataclasses import replace
from typing import Any

from services.risk.core import commands as ask
from services.risk.core.bodies import Broken, Marked
from services.risk.core.codec.writing import reason
from services.risk.core.levels import share
from services.risk.core.orders import Answered
from services.risk.core.outcome import Event
from services.risk.core.state import Account, FirmState, OrderRecord, Replaced
from services.risk.core.units import amount
from services.risk.core.views import account_status, fill_result, order_view
from shared.schemas.accounts import HighWaterMarkResult, ReconciliationResult
from shared.schemas.breakers import BreakerResetResult, BreakerState
from shared.schemas.decisions import Decision, DenialReason, RiskLevel, Verdict
from shared.schemas.denials import DenialCode
from shared.schemas.events import AccountReconciled, HighWaterMarkSet
from shared.schemas.instruments import MarkNote, MarksResult
from shared.schemas.orders import OrderStatus


def answer(state: FirmState, command: ask.Command, events: list[Event]) -> Any:  # noqa: C901 - one case per command
    """Return the answer to a command carried out now, or before where it gave no events.

    An OpenAccount gives its status and whether it is new; instruments give how many were new.
    """
    match command:
        case ask.PlaceOrder():
            account = state.accounts[command.account_id]
            return decision(state, account, account.orders[command.order.client_order_id])
        case ask.PlaceOrders():
            account = state.accounts[command.account_id]
            return [decision(state, account, account.orders[order.client_order_id]) for order in command.orders]
        case ask.ReplaceOrder():
            account = state.accounts[command.account_id]
            record = account.orders[command.client_order_id]
            return _replacement(state, account, record, (record.replaced or {})[command.request.replace_id])
        case ask.CloseOrder() | ask.AcknowledgeReplace():
            account = state.accounts[command.account_id]
            return order_view(account, account.orders[command.client_order_id])
        case ask.ApplyFill():
            trade_id = command.fill.trade_id
            return fill_result(trade_id, state.accounts[command.account_id].fills[trade_id], duplicate=not events)
        case ask.OpenAccount():
            return account_status(state, state.accounts[command.request.account_id]), bool(events)
        case ask.RollDay() | ask.MoveCash():
            return account_status(state, state.accounts[command.account_id])
        case ask.SetHighWaterMark():
            return _high_water_mark(state.accounts[command.account_id], events)
        case ask.Reconcile():
            return _reconciled(state.accounts[command.account_id], events)
        case ask.ResetBreaker():
            return _reset(state.accounts[command.account_id], command.name)
        case ask.SetLimits() | ask.RollBackLimits():
            return state.accounts[command.account_id].limits
        case ask.SetInstruments():
            return len(events)
        case ask.SetMarks():
            return _marks(command, events)
        case ask.ActivateKillSwitch() | ask.ReleaseKillSwitch() | ask.AcknowledgeKill():
            return state.kill_switches[command.kill_switch_id]
        case ask.SetScenarios() | ask.PromiseHeartbeat() | ask.StartEngine() | ask.PassTime():
            return None


def decision(state: FirmState, account: Account, record: OrderRecord) -> Answered:
    """Return the decision on an order; one that a kill switch took back is denied for good, whoever asks again."""
    body = record.decided
    why = _taken_back(state, account, record, body.verdict.kill_epoch) if body.verdict.approved else None
    if why is None:
        return Answered(body, record.seq)
    verdict = replace(
        body.verdict,
        approved=False,
        broken=[why],
        level=RiskLevel.BLACK,
        max_quantity=0,
        kill_epoch=state.kill_epoch,
    )
    return Answered(replace(body, verdict=verdict), record.seq)


def _replacement(state: FirmState, account: Account, record: OrderRecord, asked: Replaced) -> Decision:
    found = Decision.model_construct(**dict(asked.content), seq=asked.seq)
    why = _taken_back(state, account, record, asked.content.kill_epoch)
    if why is None or found.decision is Verdict.DENIED:
        return found
    return found.model_copy(
        update={
            "decision": Verdict.DENIED,
            "reasons": [DenialReason.model_validate(reason(why))],
            "risk_level": RiskLevel.BLACK,
            "max_quantity": amount(0),
            "kill_epoch": state.kill_epoch,
        }
    )


def _taken_back(state: FirmState, account: Account, record: OrderRecord, kill_epoch: int) -> Broken | None:
    """Return why what was approved under an epoch may not go out any more: a switch ended it, released or not."""
    switch = state.kill_switches[record.taken_back_by] if record.taken_back_by else None
    if switch is None and record.status is OrderStatus.CANCELLED and state.kill_epoch > kill_epoch:
        active = state.active_switches(account.account_id, record.order.strategy_id, record.order.symbol)
        switch = next((each for each in active if each.kill_epoch > kill_epoch), None)
    if switch is None:
        return None
    return Broken(
        DenialCode.KILL_SWITCH_ACTIVE,
        f"approved, and taken back since: {switch.scope} was stopped ({switch.kind}): {switch.reason}",
    )


def _marks(command: ask.SetMarks, events: list[Event]) -> MarksResult:
    notes = command.notes
    return MarksResult(
        count=sum(len(event.body.marks) for event in events if isinstance(event.body, Marked)),
        ignored=[MarkNote(symbol=symbol, reason=reason) for symbol, reason in notes.ignored],
        doubted=[MarkNote(symbol=symbol, reason=reason) for symbol, reason in notes.doubted],
    )


def _reconciled(account: Account, events: list[Event]) -> ReconciliationResult:
    body = next(event.body for event in events if isinstance(event.body, AccountReconciled))
    return ReconciliationResult(
        account_id=account.account_id,
        breaks=body.breaks,
        adopted=body.adopted,
        reconciled=account.reconciled,
        seq=account.state_seq,
    )


def _high_water_mark(account: Account, events: list[Event]) -> HighWaterMarkResult:
    before = next((event.body.before for event in events if isinstance(event.body, HighWaterMarkSet)), None)
    cool_down = account.profile.limits.breaker_cool_down_seconds
    return HighWaterMarkResult(
        account_id=account.account_id,
        before=amount(account.high_water_mark) if before is None else before,
        high_water_mark=amount(account.high_water_mark),
        equity=amount(account.equity),
        drawdown=share(max(account.high_water_mark - account.equity, 0), account.high_water_mark),
        consequences=[
            "drawdown is measured from this mark from now on, and a higher equity raises it again",
            f"an open drawdown breaker opens halfway after {cool_down} s without its condition, or by a reset",
            "kill switches in force stay in force until they are released",
            "cash, positions, profit and the day's start stay as they are",
        ],
        seq=account.state_seq,
    )


def _reset(account: Account, name: str) -> BreakerResetResult:
    breaker = account.breakers.get(name)
    if breaker is None:
        strategy = name.partition(":")[2]
        return BreakerResetResult(
            account_id=account.account_id,
            name=name,
            state=BreakerState.CLOSED,
            scope=f"strategy {strategy} in account {account.account_id}",
            consequences=["the strategy may send orders again, counted from nothing"],
        )
    cool_down = account.profile.limits.breaker_cool_down_seconds
    return BreakerResetResult(
        account_id=account.account_id,
        name=name,
        state=breaker.state,
        scope=f"account {account.account_id}",
        consequences=[
            "only orders that reduce a position pass",
            f"it closes once its condition has stayed away for {cool_down} s, and opens again if it returns",
            "other breakers, the level and kill switches stay as they are",
            "the high-water mark and the day's start stay as they are",
        ],
    )
