"""Ask the engine; a refusal becomes the problem the caller is told."""

from collections.abc import Callable
from typing import Any, TypeVar

from services.risk.core.commands import Command
from services.risk.core.outcome import RefusalKind, Refused, not_found
from services.risk.core.state import Account, FirmState
from services.risk.engine import Engine
from shared.problems import Conflict, Forbidden, NotFound, Problem, Unprocessable

_PROBLEMS: dict[RefusalKind, type[Problem]] = {
    RefusalKind.NOT_FOUND: NotFound,
    RefusalKind.CONFLICT: Conflict,
    RefusalKind.INVALID: Unprocessable,
    RefusalKind.FORBIDDEN: Forbidden,
}
T = TypeVar("T")


async def do(engine: Engine, command: Command) -> Any:
    """Carry out a command and return its answer. Raises Problem where it is refused."""
    found = await engine.submit(command)
    if isinstance(found, Refused):
        raise problem(found)
    return found


async def of_account(engine: Engine, account_id: str, question: Callable[[FirmState, Account], T | Refused]) -> T:
    """Return what the state says of an account. Raises Problem where there is none, or the question is refused."""

    def ask(state: FirmState) -> T | Refused:
        account = state.accounts.get(account_id)
        return question(state, account) if account else not_found(f"account {account_id} does not exist")

    found = await engine.read(ask)
    if isinstance(found, Refused):
        raise problem(found)
    return found


def problem(refused: Refused) -> Problem:
    """Return what the caller is told of a refusal."""
    return _PROBLEMS[refused.kind](refused.detail)
