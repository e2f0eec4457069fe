"""Show every check of a decision again, on the state it was decided on."""

from collections.abc import Sequence

from services.risk.core.batch import as_it_was_tried, because_of_batch
from services.risk.core.bodies import Broken, Decided, OrderTerms
from services.risk.core.checks import BEYOND, GATES, HALTS, case_of, equity, evaluate, halts, tail
from services.risk.core.checks.case import Case
from services.risk.core.checks.measures import MEASURES, before, with_order
from services.risk.core.codec.writing import reason
from services.risk.core.orders import decision_of
from services.risk.core.state import Account, FirmState
from services.risk.core.units import quotient
from services.risk.core.views import account_status
from shared.schemas.accounts import Explanation
from shared.schemas.decisions import ExplainedCheck, Unit


def explain(state: FirmState, body: Decided, seq: int, legs: Sequence[Decided] = ()) -> Explanation:
    """Return a decision and its checks; `state` is that of the journal just before the decision's row.

    `legs` are the orders before it that passed in its all-or-none batch until that was denied: it was measured with
    them, and the journal holds nothing for them.
    """
    account, now = state.accounts[body.account_id], body.verdict.ts
    tried = as_it_was_tried(state, account, legs) if legs else state
    again = evaluate(tried, tried.accounts[body.account_id], body.order, now)
    checks = _checks(tried, tried.accounts[body.account_id], body.order, now)
    codes = {each.code for each in again.broken}
    of_batch = because_of_batch(body.verdict)
    if of_batch is not None:
        checks.append(_gate("batch", of_batch))
        codes.add(of_batch.code)
    return Explanation(
        decision=decision_of(body, seq),
        agrees=codes == {each.code for each in body.verdict.broken},
        checks=checks,
        account=account_status(state, account),
    )


def _checks(state: FirmState, account: Account, order: OrderTerms, now: int) -> list[ExplainedCheck]:
    """Return the checks that are run, up to the first one that ends them."""
    killed = halts.killed(state, account, order)
    if killed is not None:
        return [_gate("killed", killed)]
    case = case_of(state, account, order, now)
    if isinstance(case, Broken):
        return [_gate("killed", None), _gate("known", case)]
    found = [_gate("killed", None)]
    found += [_gate(gate.__name__, gate(case)) for gate in (*HALTS, *GATES, equity)]
    # Of nothing no measure is a share: then `equity` has the word.
    if account.equity > 0:
        found += _measures(case)
    return found + _tail(case)


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
        measured, value, limit = (
            min(quotient(each, base), BEYOND) if base > 0 else BEYOND for each in (was, will, cap)
        )
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
                utilisation=min(quotient(will, cap), BEYOND),
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
            code=code,
            unit=Unit.OF_EQUITY,
            measured=was,
            value=value,
            limit=limit or None,
            utilisation=value / limit if limit else None,
        )
        for (code, name), was, value, limit in zip(tail.CODES, were, measured, limits, strict=True)
    ]
