"""The journal: its rows, its chain, and what a decision was made on."""

import asyncio
import json
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.risk import store
from services.risk.core.batch import legs_before
from services.risk.core.bodies import Decided
from services.risk.core.chain import Row, Tip, event_of, follow
from services.risk.core.evolve import evolve
from services.risk.core.explain import explain
from services.risk.core.state import FirmState
from services.risk.replica import Restore
from shared.database import Database
from shared.problems import NotFound
from shared.schemas.accounts import Explanation
from shared.schemas.journal import EventKind, JournalEntry, JournalPage, JournalVerification
from shared.schemas.orders import MOST_IN_BATCH

_PAGE = 5_000


async def read_journal(session: AsyncSession, after: int, limit: int, kinds: Sequence[EventKind]) -> JournalPage:
    """Return durable rows after a sequence number."""
    # First, so that rows added meanwhile are never skipped.
    newest = await store.last_seq(session)
    rows = await store.read_page(session, after, limit, kinds)
    items = [JournalEntry.model_validate({**row._asdict(), "body": json.loads(row.body)}) for row in rows]
    newest = max(newest, rows[-1].seq) if rows else newest
    following = rows[-1].seq if len(rows) == limit else max(newest, after)
    return JournalPage(items=items, next_after=following, last_seq=newest)


async def verify_journal(database: Database) -> JournalVerification:
    """Follow the whole chain; name the first row that is not what was written."""
    tip = Tip()
    async with database.session() as session:
        newest = await store.last_seq(session)
        while True:
            rows = await store.read_page(session, tip.seq, _PAGE, ())
            # Hashing holds the interpreter, and orders wait for nothing else.
            tip, broken = await asyncio.to_thread(follow, tip, rows)
            if broken is not None or len(rows) < _PAGE:
                break
    if broken is None and tip.seq < newest:
        return _verification(tip, newest, tip.seq + 1, f"rows {tip.seq + 1} to {newest} are missing")
    if broken is not None:
        return _verification(tip, newest, broken.seq, broken.problem)
    return _verification(tip, max(newest, tip.seq), None, None)


async def explain_decision(database: Database, restore: Restore, account_id: str, client_order_id: str) -> Explanation:
    """Rebuild the state a decision was made on, and show every check on it. Raises NotFound."""
    async with database.session() as session:
        decision = await store.find_decision(session, account_id, client_order_id)
        if decision is None:
            raise NotFound(f"the journal has no decision on order {client_order_id} of account {account_id}")
        body = event_of(decision).body
        if not isinstance(body, Decided):
            raise NotFound(f"row {decision.seq} is no decision")
        found = await restore(decision.seq)
        state = found.state if found else FirmState()
        while state.last_seq < decision.seq - 1:
            limit = min(_PAGE, decision.seq - 1 - state.last_seq)
            rows = await store.read_page(session, state.last_seq, limit, ())
            await asyncio.to_thread(_fold, state, rows)
        # All that a batch can have before it.
        first = max(decision.seq - MOST_IN_BATCH, 0)
        near = await store.read_page(session, first, decision.seq - 1 - first, ()) if first < decision.seq - 1 else []
    return await asyncio.to_thread(explain, state, body, decision.seq, legs_before(near, decision))


def _fold(state: FirmState, rows: Sequence[Row]) -> None:
    for row in rows:
        evolve(state, event_of(row), row.seq)


def _verification(tip: Tip, newest: int, bad: int | None, problem: str | None) -> JournalVerification:
    return JournalVerification(
        ok=bad is None, checked=tip.seq, last_seq=newest, last_hash=tip.hash, first_bad_seq=bad, problem=problem
    )
