"""Show every check of a decision again, on the state it was decided on."""

from services.risk.core.bodies import Broken, Decided
from services.risk.core.checks import BEYOND, GATES, HALTS, case_of, evaluate, halts, tail
from services.risk.core.checks.case import Case
from services.risk.core.checks.measures import MEASURES, before, with_order
from services.risk.core.codec.writing import reason
from services.risk.core.orders import decision_of
from services.risk.core.state import FirmState
from services.risk.core.views import account_status
from shared.schemas.accounts import Explanation
from shared.schemas.decisions import ExplainedCheck, Unit


def explain(state: FirmState, body: Decided, seq: int) -> Explanation:
    """Return a decision and its checks; `state` is that of the journal just before the decision's row."""
    account, order = state.accounts[body.account_id], body.order
    now = body.verdict.ts
    again = evaluate(state, account, order, now)
    checks: list[ExplainedCheck] = []
    killed = halts.killed(state, account, order)
    checks.append(_gate("killed", killed))
    case = case_of(state, account, order, now)
    if isinstance(case, Broken):
        checks.append(_gate("known", case))
    else:
        checks += [_gate(gate.__name__, gate(case)) for gate in (*HALTS, *GATES)]
        checks += _measures(case)
        checks += _tail(case)
    codes = {each.code for each in again.broken}
    return Explanation(
        decision=decision_of(body, seq),
        agrees=codes == {each.code for each in body.verdict.broken},
        checks=checks,
        account=account_status(state, account),
    )


def _gate(name: str, broken: Broken | None) -> ExplainedCheck:
    if broken is None:
        return ExplainedCheck(name=name, passed=True)
    return ExplainedCheck.model_validate({"name": name, "passed": False, **reason(broken)})


def _measures(case: Case) -> list[ExplainedCheck]:
    found = []
    for measure, was, will, cap in zip(
        MEASURES, before(case), with_order(case), case.account.capped().exact, strict=True
    ):
        base = measure.base(case.account)
        measured, value, limit = (min(each / base, BEYOND) if base > 0 else BEYOND for each in (was, will, cap))
        found.append(
            ExplainedCheck(
                name=measure.what,
                passed=will <= cap or (case.reduces and will <= was),
                code=measure.code,
                unit=measure.unit,
                measured=measured,
                value=value,
                # A limit that is off is shown as none.
                limit=limit if limit < BEYOND else None,
                utilisation=min(will / cap, BEYOND),
            )
        )
    return found


def _tail(case: Case) -> list[ExplainedCheck]:
    scenarios, profile = case.state.scenarios, case.profile
    measured = tail.with_order(scenarios, case) if scenarios is not None else None
    if scenarios is None or measured is None:
        return []
    were = tail.before(scenarios, case) or measured
    limits = (profile.value_at_risk, profile.expected_shortfall)
    return [
        ExplainedCheck(
            name=name,
            passed=not limit or value <= limit or (case.reduces and value <= was),
            unit=Unit.OF_EQUITY,
            measured=was,
            value=value,
            limit=limit or None,
            utilisation=value / limit if limit else None,
        )
        for name, was, value, limit in zip(("value at risk", "expected shortfall"), were, measured, limits, strict=True)
    ]
