"""One function per use case: ask the engine, and tell the caller what came of it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.risk import store
from services.risk.core.chain import Tip, follow
from services.risk.core.commands import (
    ActivateKillSwitch,
    ApplyFill,
    CloseOrder,
    Command,
    OpenAccount,
    PlaceOrder,
    ReleaseKillSwitch,
    RollDay,
    SetInstruments,
    SetLimits,
    SetMarks,
)
from services.risk.core.outcome import RefusalKind, Refused, not_found
from services.risk.core.state import Account, FirmState
from services.risk.core.views import account_status
from services.risk.engine import Engine
from shared.auth import Principal
from shared.database import Database
from shared.logging.context import correlation_id
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import Conflict, NotFound, Problem, Unprocessable
from shared.schemas.accounts import AccountCreate, AccountStatus, DayRoll
from shared.schemas.base import Page
from shared.schemas.decisions import Decision
from shared.schemas.instruments import Instrument, InstrumentBatch, Mark, MarkBatch
from shared.schemas.journal import EventKind, JournalEntry, JournalPage, JournalVerification
from shared.schemas.kill_switches import KillReason, KillSwitchCreate, KillSwitchRelease, KillSwitchView
from shared.schemas.limits import LimitsUpdate, LimitsView
from shared.schemas.orders import Fill, FillResult, Order, OrderClose, OrderStatus, OrderView

_PROBLEMS: dict[RefusalKind, type[Problem]] = {
    RefusalKind.NOT_FOUND: NotFound,
    RefusalKind.CONFLICT: Conflict,
    RefusalKind.INVALID: Unprocessable,
}
_VERIFY_PAGE = 5_000
T = TypeVar("T")


async def open_account(engine: Engine, request: AccountCreate, caller: Principal) -> tuple[AccountStatus, bool]:
    """Open an account; return it and whether it is new."""
    found: tuple[AccountStatus, bool] = await _do(engine, OpenAccount(request, caller.subject))
    return found


async def get_account(engine: Engine, account_id: str) -> AccountStatus:
    """Return an account as it stands."""
    return await _of_account(engine, account_id, account_status)


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


async def set_limits(engine: Engine, account_id: str, update: LimitsUpdate, caller: Principal) -> LimitsView:
    """Put a new limit profile in force."""
    found: LimitsView = await _do(engine, SetLimits(account_id, update, caller.subject))
    return found


async def get_limits(engine: Engine, account_id: str) -> LimitsView:
    """Return the limit profile in force."""
    return await _of_account(engine, account_id, lambda _, account: account.limits)


async def roll_day(engine: Engine, account_id: str, request: DayRoll, caller: Principal) -> AccountStatus:
    """Close an account's trading day."""
    found: AccountStatus = await _do(engine, RollDay(account_id, request, caller.subject))
    return found


async def place_order(engine: Engine, account_id: str, order: Order, caller: Principal) -> Decision:
    """Decide on an order."""
    command = PlaceOrder(account_id, order, caller.subject, correlation_id.get())
    found: Decision = await _do(engine, command)
    return found


async def get_decision(engine: Engine, account_id: str, client_order_id: str) -> Decision:
    """Return the stored decision on an order."""

    def find(_: FirmState, account: Account) -> Decision | Refused:
        record = account.orders.get(client_order_id)
        return record.decision if record else not_found(f"account {account_id} has no order {client_order_id}")

    found = await _of_account(engine, account_id, find)
    if isinstance(found, Refused):
        raise _problem(found)
    return found


async def close_order(
    engine: Engine, account_id: str, client_order_id: str, status: OrderStatus, request: OrderClose, caller: Principal
) -> OrderView:
    """End an order that will not fill further."""
    command = CloseOrder(account_id, client_order_id, status, request, caller.subject)
    found: OrderView = await _do(engine, command)
    return found


async def apply_fill(engine: Engine, account_id: str, fill: Fill, caller: Principal) -> FillResult:
    """Book an execution."""
    found: FillResult = await _do(engine, ApplyFill(account_id, fill, caller.subject))
    return found


async def set_instruments(engine: Engine, batch: InstrumentBatch, caller: Principal) -> int:
    """Add or replace instruments; return how many are new or changed."""
    found: int = await _do(engine, SetInstruments(tuple(batch.instruments), caller.subject))
    return found


async def list_instruments(engine: Engine, cursor: str | None, limit: int) -> Page[Instrument]:
    """Return instruments by symbol."""
    after = str(decode_cursor(cursor, symbol=str)["symbol"]) if cursor else ""

    def page(state: FirmState) -> Page[Instrument]:
        symbols = sorted(symbol for symbol in state.instruments if symbol > after)
        items = [state.instruments[symbol] for symbol in symbols[:limit]]
        following = encode_cursor({"symbol": symbols[limit - 1]}) if len(symbols) > limit else None
        return Page(items=items, next_cursor=following)

    return await engine.read(page)


async def set_marks(engine: Engine, batch: MarkBatch) -> int:
    """Take marks; return how many were news."""
    found: int = await _do(engine, SetMarks(batch.simulation_id, tuple(batch.marks)))
    return found


async def list_marks(
    engine: Engine, simulation_id: str | None, symbol: str | None, cursor: str | None, limit: int
) -> Page[Mark]:
    """Return the marks risk holds for a simulation, or the live ones, by symbol."""
    after = str(decode_cursor(cursor, symbol=str)["symbol"]) if cursor else ""

    def page(state: FirmState) -> Page[Mark]:
        if symbol is not None:
            mark = state.marks.get((simulation_id, symbol))
            return Page(items=[mark] if mark and symbol > after else [])
        held = sorted((name, mark) for (simulation, name), mark in state.marks.items() if simulation == simulation_id)
        chosen = [mark for name, mark in held if name > after]
        following = encode_cursor({"symbol": chosen[limit - 1].symbol}) if len(chosen) > limit else None
        return Page(items=list(islice(chosen, limit)), next_cursor=following)

    return await engine.read(page)


async def activate_kill_switch(
    engine: Engine, request: KillSwitchCreate, caller: Principal, kill_switch_id: str | None = None
) -> KillSwitchView:
    """Stop a scope; once this returns, nothing in it is approved."""
    command = ActivateKillSwitch(kill_switch_id or f"ks-{uuid4().hex[:16]}", request, KillReason.MANUAL, caller.subject)
    found: KillSwitchView = await _do(engine, command)
    return found


async def release_kill_switch(
    engine: Engine, kill_switch_id: str, request: KillSwitchRelease, caller: Principal
) -> KillSwitchView:
    """Let a scope trade again."""
    command = ReleaseKillSwitch(kill_switch_id, request.reason, caller.subject)
    found: KillSwitchView = await _do(engine, command)
    return found


async def list_kill_switches(
    engine: Engine, active: bool | None, cursor: str | None, limit: int
) -> Page[KillSwitchView]:
    """Return kill switches, the newest first."""
    before = int(decode_cursor(cursor, seq=int)["seq"]) if cursor else None

    def page(state: FirmState) -> Page[KillSwitchView]:
        chosen = [
            switch
            for switch in sorted(state.kill_switches.values(), key=lambda each: -each.seq)
            if (before is None or switch.seq < before) and (active is None or (switch.released_at is None) is active)
        ]
        following = encode_cursor({"seq": chosen[limit - 1].seq}) if len(chosen) > limit else None
        return Page(items=chosen[:limit], next_cursor=following)

    return await engine.read(page)


async def read_journal(session: AsyncSession, after: int, limit: int, kinds: Sequence[EventKind]) -> JournalPage:
    """Return durable rows after a sequence number."""
    # First, so that rows added meanwhile are never skipped.
    newest = await store.last_seq(session)
    rows = await store.read_page(session, after, limit, kinds)
    items = [JournalEntry.model_validate({**asdict(row), "body": json.loads(row.body)}) for row in rows]
    newest = max(newest, rows[-1].seq) if rows else newest
    following = rows[-1].seq if len(rows) == limit else max(newest, after)
    return JournalPage(items=items, next_after=following, last_seq=newest)


async def verify_journal(database: Database) -> JournalVerification:
    """Follow the whole chain; name the first row that is not what was written."""
    tip = Tip()
    async with database.session() as session:
        newest = await store.last_seq(session)
        while True:
            rows = await store.read_page(session, tip.seq, _VERIFY_PAGE, ())
            # Hashing holds the interpreter, and orders wait for nothing else.
            tip, broken = await asyncio.to_thread(follow, tip, rows)
            if broken is not None or len(rows) < _VERIFY_PAGE:
                break
    if broken is None and tip.seq < newest:
        return _verification(tip, newest, tip.seq + 1, f"rows {tip.seq + 1} to {newest} are missing")
    if broken is not None:
        return _verification(tip, newest, broken.seq, broken.problem)
    return _verification(tip, max(newest, tip.seq), None, None)


def _verification(tip: Tip, newest: int, bad: int | None, problem: str | None) -> JournalVerification:
    return JournalVerification(
        ok=bad is None, checked=tip.seq, last_seq=newest, last_hash=tip.hash, first_bad_seq=bad, problem=problem
    )


async def _do(engine: Engine, command: Command) -> Any:
    found = await engine.submit(command)
    if isinstance(found, Refused):
        raise _problem(found)
    return found


async def _of_account(engine: Engine, account_id: str, question: Callable[[FirmState, Account], T]) -> T:
    def ask(state: FirmState) -> T | Refused:
        account = state.accounts.get(account_id)
        return question(state, account) if account else not_found(f"account {account_id} does not exist")

    found = await engine.read(ask)
    if isinstance(found, Refused):
        raise _problem(found)
    return found


def _problem(refused: Refused) -> Problem:
    return _PROBLEMS[refused.kind](refused.detail)
