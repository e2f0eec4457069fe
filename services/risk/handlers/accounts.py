"""Accounts: opening, standing, limits, cash, days, breakers, reconciliation."""

import asyncio

from services.risk.core.book import Book, book_of
from services.risk.core.commands import (
    MoveCash,
    OpenAccount,
    Reconcile,
    ResetBreaker,
    RollBackLimits,
    RollDay,
    SetHighWaterMark,
    SetLimits,
)
from services.risk.core.liquidation import liquidation_plan
from services.risk.core.state import Account, FirmState
from services.risk.core.tail_methods import every_method
from services.risk.core.views import account_status
from services.risk.engine import Engine
from services.risk.handlers.asking import do, of_account
from services.risk.sharding import require_own
from shared.auth import Principal, Role
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import Forbidden
from shared.schemas.accounts import (
    AccountCreate,
    AccountStatus,
    CashMovement,
    DayRoll,
    HighWaterMarkResult,
    HighWaterMarkUpdate,
    LiquidationPlan,
    Reconciliation,
    ReconciliationResult,
)
from shared.schemas.base import Page
from shared.schemas.breakers import BreakerReset, BreakerResetResult
from shared.schemas.limits import LimitsRollback, LimitsUpdate, LimitsView


async def open_account(engine: Engine, request: AccountCreate, caller: Principal) -> tuple[AccountStatus, bool]:
    """Open an account; return it and whether it is new. Raises Misdirected for one of another shard."""
    require_own(engine.shard, request.account_id)
    found: tuple[AccountStatus, bool] = await do(engine, OpenAccount(request, caller.subject))
    return found


async def get_account(engine: Engine, account_id: str) -> AccountStatus:
    """Return an account as it stands."""
    return await of_account(engine, account_id, account_status)


async def get_status(engine: Engine, account_id: str) -> AccountStatus:
    """Return an account as it stands, with VaR and ES by every method."""

    def question(state: FirmState, account: Account) -> tuple[AccountStatus, Book | None]:
        return account_status(state, account), book_of(state, account)

    status, book = await of_account(engine, account_id, question)
    if book is None:
        return status
    # Off the engine's thread: a simulation takes milliseconds, and orders wait for nothing else.
    found = await asyncio.to_thread(every_method, book)
    return status.model_copy(update={"tail_risk": found})


async def list_accounts(
    engine: Engine, simulation_id: str | None, cursor: str | None, limit: int
) -> Page[AccountStatus]:
    """Return accounts, the newest first."""
    before = int(decode_cursor(cursor, position=int)["position"]) if cursor else None

    def page(state: FirmState) -> Page[AccountStatus]:
        accounts = list(enumerate(state.accounts.values()))
        chosen = [
            (position, account)
            for position, account in reversed(accounts)
            if (before is None or position < before)
            and (simulation_id is None or account.simulation_id == simulation_id)
        ]
        items = [account_status(state, account) for _, account in chosen[:limit]]
        following = encode_cursor({"position": chosen[limit - 1][0]}) if len(chosen) > limit else None
        return Page(items=items, next_cursor=following)

    return await engine.read(page)


async def get_liquidation_plan(engine: Engine, account_id: str) -> LiquidationPlan:
    """Return what would close an account's positions."""
    return await of_account(engine, account_id, liquidation_plan)


async def set_limits(engine: Engine, account_id: str, update: LimitsUpdate, caller: Principal) -> LimitsView:
    """Put a new limit profile in force."""
    found: LimitsView = await do(engine, SetLimits(account_id, update, caller.subject))
    return found


async def roll_back_limits(engine: Engine, account_id: str, request: LimitsRollback, caller: Principal) -> LimitsView:
    """Put an earlier limit profile in force again."""
    found: LimitsView = await do(engine, RollBackLimits(account_id, request, caller.subject))
    return found


async def get_limits(engine: Engine, account_id: str) -> LimitsView:
    """Return the limit profile in force."""
    return await of_account(engine, account_id, lambda _, account: account.limits)


async def list_limits(engine: Engine, account_id: str, cursor: str | None, limit: int) -> Page[LimitsView]:
    """Return every limit profile there was, the newest first."""
    before = int(decode_cursor(cursor, version=int)["version"]) if cursor else None
    history = await of_account(engine, account_id, lambda _, account: list(account.history))
    chosen = [each for each in reversed(history) if before is None or each.version < before]
    following = encode_cursor({"version": chosen[limit - 1].version}) if len(chosen) > limit else None
    return Page(items=chosen[:limit], next_cursor=following)


async def move_cash(engine: Engine, account_id: str, request: CashMovement, caller: Principal) -> AccountStatus:
    """Pay in or out."""
    found: AccountStatus = await do(engine, MoveCash(account_id, request, caller.subject))
    return found


async def set_high_water_mark(
    engine: Engine, account_id: str, request: HighWaterMarkUpdate, caller: Principal
) -> HighWaterMarkResult:
    """Correct an account's high-water mark."""
    found: HighWaterMarkResult = await do(engine, SetHighWaterMark(account_id, request, caller.subject))
    return found


async def roll_day(engine: Engine, account_id: str, request: DayRoll, caller: Principal) -> AccountStatus:
    """Close an account's trading day."""
    found: AccountStatus = await do(engine, RollDay(account_id, request, caller.subject))
    return found


async def reset_breaker(
    engine: Engine, account_id: str, name: str, request: BreakerReset, caller: Principal
) -> BreakerResetResult:
    """Open a breaker halfway, or enable a strategy the throttle disabled."""
    found: BreakerResetResult = await do(engine, ResetBreaker(account_id, name, request.reason, caller.subject))
    return found


async def reconcile(
    engine: Engine, account_id: str, request: Reconciliation, caller: Principal
) -> ReconciliationResult:
    """Compare an account with its broker; only an admin may take the broker's word."""
    if request.adopt and Role.ADMIN not in caller.roles:
        raise Forbidden("Only an admin may adopt the broker's positions and cash")
    found: ReconciliationResult = await do(engine, Reconcile(account_id, request, caller.subject))
    return found
