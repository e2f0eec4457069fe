"""The history of accounts: written beside the journal, read by ranges and by sessions."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TypeVar

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.risk.core.var_days import SessionEnd
from services.risk.models import PortfolioHistory, RiskMetricsHistory
from shared.schemas.accounts import TailRisk
from shared.schemas.history import PortfolioPoint, RiskPoint
from shared.windows import Window, page_of

_Point = TypeVar("_Point", PortfolioPoint, RiskPoint)

# One text for all rows, as the journal's are sent; what is there already is left as it is.
_PUT_PORTFOLIOS = text("""
    INSERT INTO risk.portfolio_history
    SELECT * FROM json_populate_recordset(NULL::risk.portfolio_history, CAST(:rows AS json))
    ON CONFLICT DO NOTHING
""")
_PUT_RISKS = text("""
    INSERT INTO risk.risk_metrics_history
    SELECT * FROM json_populate_recordset(NULL::risk.risk_metrics_history, CAST(:rows AS json))
    ON CONFLICT DO NOTHING
""")

# From the session before the first wanted one; each step is one look into the index, however many rows a session has.
# The newest session of all may still be going on.
_SESSION_ENDS = text("""
    WITH RECURSIVE
    known AS NOT MATERIALIZED (SELECT session_date FROM risk.risk_metrics_history WHERE account_id = :account_id),
    edges AS (
        SELECT (SELECT max(session_date) FROM known) AS newest,
               coalesce(
                   (SELECT max(session_date) FROM known WHERE session_date < CAST(:first AS date)),
                   (SELECT min(session_date) FROM known)
               ) AS oldest
    ),
    sessions(day) AS (
        SELECT oldest FROM edges
        UNION ALL
        SELECT (SELECT min(session_date) FROM known WHERE session_date > sessions.day)
        FROM sessions WHERE day IS NOT NULL
    )
    SELECT sessions.day, ended.tail_risk, held.start_of_day_equity, held.day_pnl
    FROM sessions
    CROSS JOIN edges
    CROSS JOIN LATERAL (
        SELECT ts, journal_seq, tail_risk FROM risk.risk_metrics_history
        WHERE account_id = :account_id AND session_date = sessions.day
        ORDER BY ts DESC, journal_seq DESC LIMIT 1
    ) AS ended
    JOIN risk.portfolio_history AS held
      ON held.account_id = :account_id AND held.ts = ended.ts AND held.journal_seq = ended.journal_seq
    WHERE sessions.day < edges.newest AND (CAST(:end AS date) IS NULL OR sessions.day < CAST(:end AS date))
    ORDER BY sessions.day
""")


async def put_history(session: AsyncSession, rows: Sequence[tuple[str, str]]) -> None:
    """Store moments, each the JSON text of its portfolio and of its risk; a moment that is there stays."""
    for statement, texts in ((_PUT_PORTFOLIOS, [each for each, _ in rows]), (_PUT_RISKS, [each for _, each in rows])):
        await session.execute(statement, {"rows": f"[{','.join(texts)}]"})


async def list_portfolios(
    session: AsyncSession, account_id: str, window: Window, after: tuple[datetime, int] | None, limit: int
) -> list[PortfolioPoint]:
    """Return what an account held from a start until before an end, oldest first."""
    return await _list(session, PortfolioHistory, PortfolioPoint, account_id, window, after, limit)


async def list_risks(
    session: AsyncSession, account_id: str, window: Window, after: tuple[datetime, int] | None, limit: int
) -> list[RiskPoint]:
    """Return how an account stood from a start until before an end, oldest first."""
    return await _list(session, RiskMetricsHistory, RiskPoint, account_id, window, after, limit)


async def session_ends(
    session: AsyncSession, account_id: str, first: date | None, end: date | None
) -> list[SessionEnd]:
    """Return the last moment of each closed session before an end, from the one before the first wanted on."""
    values = {"account_id": account_id, "first": first, "end": end}
    return [
        SessionEnd(day, [TailRisk.model_validate(each) for each in tail], start_of_day_equity, day_pnl)
        for day, tail, start_of_day_equity, day_pnl in await session.execute(_SESSION_ENDS, values)
    ]


async def _list(
    session: AsyncSession,
    table: type[PortfolioHistory] | type[RiskMetricsHistory],
    point: type[_Point],
    account_id: str,
    window: Window,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[_Point]:
    chosen = select(table).where(table.account_id == account_id)
    query = page_of(chosen, (table.ts, table.journal_seq), window, after, limit)
    fields = point.model_fields
    return [point.model_validate({name: getattr(row, name) for name in fields}) for row in await session.scalars(query)]
