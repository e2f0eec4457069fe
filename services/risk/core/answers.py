"""What a caller is told once its command is durable."""

from dataclasses import replace
from typing import Any

from services.risk.core import commands as ask
from services.risk.core.bodies import Broken, Marked
from services.risk.core.codec.writing import reason
from services.risk.core.levels import share
from services.risk.core.orders import Answered
from services.risk.core.outcome import Event
from services.risk.core.state import OPEN, Account, FirmState, OrderRecord
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
            return _replacement(state, account, record, command.request.replace_id)
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
    """Return the decision on an order as it holds now: an approval that is over, or stopped since, is denied."""
    body = record.decided
    why = _over(state, account, record, body.verdict.kill_epoch) if body.verdict.approved else None
    if why is None:
        return Answered(body, record.seq)
    verdict = replace(
        body.verdict,
        approved=False,
        broken=[why],
        level=_level_of(why, body.verdict.level),
        max_quantity=0,
        kill_epoch=state.kill_epoch,
    )
    return Answered(replace(body, verdict=verdict), record.seq)


def _replacement(state: FirmState, account: Account, record: OrderRecord, replace_id: str) -> Decision:
    asked = (record.replaced or {})[replace_id]
    found = Decision.model_construct(**dict(asked.content), seq=asked.seq)
    if found.decision is Verdict.DENIED:
        return found
    why = _over(state, account, record, found.kill_epoch)
    waits = record.replacement is not None and record.replacement.replace_id == replace_id
    if why is None and not waits and (record.order.quantity, record.order.limit) != (asked.quantity, asked.limit):
        why = Broken(DenialCode.ORDER_ENDED, "approved, and not in force any more: the order was changed since")
    if why is None:
        return found
    return found.model_copy(
        update={
            "decision": Verdict.DENIED,
            "reasons": [DenialReason.model_validate(reason(why))],
            "risk_level": _level_of(why, found.risk_level),
            "max_quantity": amount(0),
            "kill_epoch": state.kill_epoch,
        }
    )


def _over(state: FirmState, account: Account, record: OrderRecord, kill_epoch: int) -> Broken | None:
    """Return why what was approved under an epoch is no approval any more: nothing is held for it.

    What was filled has happened, and stays approved unless a switch that was pulled since is in force.
    """
    if record.status in OPEN:
        return None
    switch = state.kill_switches[record.taken_back_by] if record.taken_back_by else None
    if switch is None and state.kill_epoch > kill_epoch:
        active = state.active_switches(account.account_id, record.order.strategy_id, record.order.symbol)
        switch = next((each for each in active if each.kill_epoch > kill_epoch), None)
    if switch is not None:
        return Broken(
            DenialCode.KILL_SWITCH_ACTIVE,
            f"approved, and taken back since: {switch.scope} was stopped ({switch.kind}): {switch.reason}",
        )
    if record.status is OrderStatus.FILLED:
        return None
    return Broken(DenialCode.ORDER_ENDED, f"approved, and {record.status} since: nothing is held for it")


def _level_of(why: Broken, level: RiskLevel) -> RiskLevel:
    return RiskLevel.BLACK if why.code is DenialCode.KILL_SWITCH_ACTIVE else level


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
