"""The journal as server-sent events, live and from where a listener left off."""

import asyncio
from collections.abc import AsyncIterator

from services.risk import store
from services.risk.core.chain import Row
from services.risk.engine import Engine
from shared.database import Database
from shared.schemas.journal import EventKind

_PAGE = 1_000
# Proxies close what says nothing.
_SILENCE_SECONDS = 10.0


async def stream(
    engine: Engine, database: Database, after: int | None, account_id: str | None, kinds: frozenset[EventKind]
) -> AsyncIterator[str]:
    """Yield rows as they become durable, each with its sequence number as id, without gap or repeat.

    From after a row on where one is named, else from now on. It ends when this process stops leading, or the
    listener falls too far behind; whoever asks again with the last id misses nothing.
    """

    def wanted(row: Row) -> bool:
        # What has no account, such as a kill switch of the firm, concerns them all.
        mine = account_id is None or row.account_id is None or row.account_id == account_id
        return mine and (not kinds or row.kind in kinds)

    with engine.broadcast.listen(kinds or None) as live:
        yield ": listening\n\n"
        sent = after
        if sent is not None:
            # What was written before it listened; what comes meanwhile waits in the queue.
            async for row in _from_journal(database, sent):
                sent = row.seq
                if wanted(row):
                    yield _event(row)
        while True:
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    row_or_end = await live.get()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if row_or_end is None:
                return
            if (sent is None or row_or_end.seq > sent) and wanted(row_or_end):
                yield _event(row_or_end)


async def _from_journal(database: Database, after: int) -> AsyncIterator[Row]:
    while True:
        async with database.session() as session:
            rows = await store.read_page(session, after, _PAGE, ())
        for row in rows:
            yield row
        if len(rows) < _PAGE:
            return
        after = rows[-1].seq


def _event(row: Row) -> str:
    # Canonical text has no line breaks.
    return f"id: {row.seq}\nevent: {row.kind}\ndata: {row.body}\n\n"
