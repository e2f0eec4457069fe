"""One step of the engine: decide on a command, bring the state forward, and do what follows from that."""

from collections.abc import Iterable
from typing import Final

from services.risk.core.bodies import Filled, Marked
from services.risk.core.commands import Command, PassTime
from services.risk.core.decide import decide
from services.risk.core.evolve import evolve
from services.risk.core.outcome import Event, Refused
from services.risk.core.state import Account, FirmState
from services.risk.core.watch import watch
from shared.schemas.events import AccountReconciled, CashMoved, DayRolled, HighWaterMarkSet, LimitsSet, ScenariosSet

# What changes an account's measures, beside marks and scenarios, which change many accounts'.
_MOVES: Final = (Filled, CashMoved, DayRolled, LimitsSet, AccountReconciled, HighWaterMarkSet)


def apply(state: FirmState, command: Command, outcome: tuple[Event, ...], now: int) -> list[Event]:
    """Bring the state forward by what was decided; return that and everything that followed."""
    events = list(outcome)
    for event in events:
        evolve(state, event, state.last_seq + 1)
    for account in _touched(state, command, outcome):
        for event in watch(state, account, now):
            evolve(state, event, state.last_seq + 1)
            events.append(event)
    return events


def step(state: FirmState, command: Command, now: int) -> list[Event] | Refused:
    """Decide on a command and carry it out in memory; return every event, or the refusal."""
    outcome = decide(state, command, now)
    return outcome if isinstance(outcome, Refused) else apply(state, command, outcome, now)


def _touched(state: FirmState, command: Command, outcome: tuple[Event, ...]) -> Iterable[Account]:
    if isinstance(command, PassTime):
        return [account for account in state.by_simulation.get(None, []) if account.halted]
    found: dict[str, Account] = {}
    for event in outcome:
        body = event.body
        if isinstance(body, Marked):
            for quote in body.marks:
                for account, _ in state.valued_by.get((body.simulation_id, quote.symbol), {}).values():
                    found[account.account_id] = account
        elif isinstance(body, _MOVES):
            found[body.account_id] = state.accounts[body.account_id]
        elif isinstance(body, ScenariosSet):
            return list(state.accounts.values())
    return found.values()
