"""The state as lines of text, and back: what the fold of a long journal begins with.

First what is the firm's, then a line for each account: nobody has to hold the text of all of them at once.

Facts are written, and sums with them, as they are: what is read is the state that was written, not one like it.
What only points to other parts of the state is put together again.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from services.risk.core.positions import HeldMark
from services.risk.core.scenarios import Scenarios
from services.risk.core.snapshot.accounts import read_account, write_account
from services.risk.core.snapshot.fields import Fields
from services.risk.core.state import Account, FirmState
from services.risk.core.terms import Terms
from services.risk.core.valuation import enlist
from services.risk.core.var.incremental import ReturnMatrix
from shared.schemas.base import Severity
from shared.schemas.instruments import Instrument, ScenarioSet
from shared.schemas.kill_switches import KillSwitchView

# Raised by every change of what is written: a snapshot of another format is passed over, and the journal folded.
FORMAT = 4

_MARK = Fields(HeldMark, quality=Severity)


def write(state: FirmState) -> Iterator[str]:
    """Yield the lines of a state; the same state has the same lines."""
    scenarios = state.scenarios
    yield _line(
        {
            "last_seq": state.last_seq,
            "kill_epoch": state.kill_epoch,
            "leader": state.leader,
            "heartbeats": state.heartbeats,
            "instruments": [each.instrument.model_dump(mode="json") for each in state.instruments.values()],
            "marks": [[*key, _MARK.write(mark)] for key, mark in state.marks.items()],
            "kill_switches": [each.model_dump(mode="json") for each in state.kill_switches.values()],
            "scenarios": scenarios and [scenarios.source.model_dump(mode="json"), scenarios.seq],
            "accounts": len(state.accounts),
        }
    )
    for account in state.accounts.values():
        yield _line(write_account(account))


def read(lines: Iterable[str]) -> FirmState:
    """Return the state of lines. Raises ValueError where they are not those that `write` gave."""
    remaining = iter(lines)
    try:
        firm = json.loads(next(remaining, ""))
        state = _firm(firm)
        for _ in range(firm["accounts"]):
            _put(read_account(json.loads(next(remaining, "")), state), state)
        if next(remaining, None) is not None:
            raise ValueError("there is more than its accounts")
        return state
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not a state: {error!r}") from error


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _firm(found: dict[str, Any]) -> FirmState:
    state = FirmState(
        kill_epoch=found["kill_epoch"],
        heartbeats=found["heartbeats"],
        leader=tuple(found["leader"]) if found["leader"] else None,
        last_seq=found["last_seq"],
    )
    for each in found["instruments"]:
        terms = Terms(Instrument.model_validate(each))
        state.instruments[terms.symbol] = terms
    state.marks = {(simulation, symbol): _MARK.read(mark) for simulation, symbol, mark in found["marks"]}
    for each in found["kill_switches"]:
        switch = KillSwitchView.model_validate(each)
        state.kill_switches[switch.kill_switch_id] = switch
        if switch.released_at is None:
            state.stopped.setdefault((switch.scope, switch.target), {})[switch.kill_switch_id] = switch
    if found["scenarios"]:
        source, seq = ScenarioSet.model_validate(found["scenarios"][0]), found["scenarios"][1]
        matrix = ReturnMatrix(list(source.returns), np.array(list(source.returns.values()), dtype=np.float64).T)
        state.scenarios = Scenarios(source, matrix, frozenset(source.returns), seq)
    return state


def _put(account: Account, state: FirmState) -> None:
    state.accounts[account.account_id] = account
    state.by_simulation.setdefault(account.simulation_id, []).append(account)
    for position in account.positions.values():
        enlist(state, account, position)
