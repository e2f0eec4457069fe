"""What stops an account altogether: kill switches, a start not reconciled, breakers, its level."""

from services.risk.core.bodies import Broken, OrderTerms
from services.risk.core.checks.case import Case
from services.risk.core.liquidation import in_plan
from services.risk.core.state import Account, FirmState
from services.risk.core.units import stamp
from shared.schemas.decisions import RiskLevel
from shared.schemas.denials import DenialCode
from shared.schemas.kill_switches import KillReductions


def killed(state: FirmState, account: Account, order: OrderTerms) -> Broken | None:
    """Deny whatever it is while a switch in force lets nothing through."""
    if not state.stopped:
        return None
    for switch in state.active_switches(account.account_id, order.strategy_id, order.symbol):
        if switch.reductions is KillReductions.NONE:
            target = f" {switch.target}" if switch.target else ""
            return Broken(
                DenialCode.KILL_SWITCH_ACTIVE, f"{switch.scope}{target} is stopped ({switch.kind}): {switch.reason}"
            )
    return None


def kill_switch(case: Case) -> Broken | None:
    """Deny what does not reduce, or is not in the liquidation plan, while a switch lets only that through."""
    state = case.state
    if not state.stopped:
        return None
    order = case.order
    for switch in state.active_switches(case.account.account_id, order.strategy_id, order.symbol):
        if not case.reduces:
            return Broken(
                DenialCode.KILL_SWITCH_ACTIVE, f"{switch.scope} lets only reductions through: {switch.reason}"
            )
        # What it ended cannot be changed: an order that is open here was in the plan, and may be taken back in part.
        if (
            switch.reductions is KillReductions.PLAN
            and not case.backs_off
            and not in_plan(case.account, case.position, order, case.own)
        ):
            return Broken(
                DenialCode.KILL_SWITCH_ACTIVE,
                f"{switch.scope} lets only reduce-only orders of the liquidation plan through: {switch.reason}",
            )
    return None


def not_reconciled(case: Case) -> Broken | None:
    """Deny until the positions the engine started with have been compared with the broker's."""
    if case.account.reconciled:
        return None
    what = "it differs from the broker's" if case.account.breaks else "the engine started halted"
    return Broken(DenialCode.NOT_RECONCILED, f"{what}; reconcile the account, positions and cash")


def doubted_fill(case: Case) -> Broken | None:
    """Deny what does not reduce while a fill is not believed: what the account is worth may be made up."""
    if case.account.doubted_fill is None or case.reduces:
        return None
    return Broken(
        DenialCode.FILL_DOUBTED,
        f"trade {case.account.doubted_fill} is not believed; reconcile the account, positions and cash",
    )


def session(case: Case) -> Broken | None:
    """Deny what does not reduce before the session has begun: a day rolled early must not forget its loss."""
    account = case.account
    if case.now >= account.session_begins or case.reduces:
        return None
    return Broken(
        DenialCode.SESSION_NOT_BEGUN,
        f"the account is in the session of {account.session_date}, which begins at {stamp(account.session_begins)} "
        "at the earliest; only reductions pass",
    )


def breaker(case: Case) -> Broken | None:
    """Deny what does not reduce while a breaker is not closed."""
    if not case.account.halted or case.reduces:
        return None
    return Broken(DenialCode.BREAKER_OPEN, f"not closed: {', '.join(case.account.halted)}; only reductions pass")


def level(case: Case) -> Broken | None:
    """Deny what does not reduce while the account's level is RED."""
    if case.account.level is not RiskLevel.RED or case.reduces:
        return None
    return Broken(DenialCode.RISK_LEVEL, f"the level is RED, as {case.account.level_reason}; only reductions pass")
