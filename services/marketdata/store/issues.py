"""Issues: one for as long as it is found again."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, SMALLINT, TEXT, TIMESTAMP
from sqlalchemy.dialects.postgresql import BIGINT as BIG
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.finding import SEVERITIES
from services.marketdata.models import FeedSymbol, QualityIssueRow
from services.marketdata.store.origin import Origin
from shared.schemas.base import Severity
from shared.schemas.marketdata import QualityIssue
from shared.schemas.quality import Issue


@dataclass(slots=True)
class Found:
    """What a batch found of one check and symbol: the worst, how often, and the last time."""

    symbol: str
    subject: str
    issue: QualityIssue
    count: int
    first_ts: datetime | None
    last_ts: datetime | None


_ROWS: tuple[BindParameter[Any], ...] = (
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("symbols", "subjects", "codes", "messages", "details")),
    bindparam("severities", type_=ARRAY(SMALLINT)),
    *(bindparam(name, type_=ARRAY(DOUBLE_PRECISION)) for name in ("found", "thresholds")),
    bindparam("counts", type_=ARRAY(BIG)),
    *(bindparam(name, type_=ARRAY(TIMESTAMP(timezone=True))) for name in ("first_tss", "last_tss")),
)
_UPSERT = text("""
    INSERT INTO marketdata.quality_issue AS known
        (scope, source, symbol, subject, code, severity, message, value, threshold, details, count, first_ts, last_ts,
         first_seen, last_seen)
    SELECT :scope, :source, r.symbol, r.subject, r.code, r.severity, r.message, r.value, r.threshold,
           CAST(r.details AS jsonb), r.count, r.first_ts, r.last_ts, :now, :now
    FROM unnest(:symbols, :subjects, :codes, :severities, :messages, :found, :thresholds, :details, :counts,
                :first_tss, :last_tss)
        AS r(symbol, subject, code, severity, message, value, threshold, details, count, first_ts, last_ts)
    ON CONFLICT (scope, source, symbol, subject, code) WHERE ended_at IS NULL DO UPDATE SET
        severity = greatest(known.severity, excluded.severity), message = excluded.message, value = excluded.value,
        threshold = excluded.threshold, details = excluded.details, count = known.count + excluded.count,
        first_ts = least(known.first_ts, excluded.first_ts), last_ts = greatest(known.last_ts, excluded.last_ts),
        last_seen = excluded.last_seen
""").bindparams(*_ROWS)

# An issue of history goes on while batches of one file come; one that stands goes on as it is.
_GOES_ON = timedelta(minutes=10)
_PAST = text("""
    WITH r AS (
        SELECT * FROM unnest(:symbols, :subjects, :codes, :severities, :messages, :found, :thresholds, :details,
                             :counts, :first_tss, :last_tss)
            AS r(symbol, subject, code, severity, message, value, threshold, details, count, first_ts, last_ts)
    ), known AS (
        SELECT DISTINCT ON (r.symbol, r.subject, r.code) k.issue_id, r.*
        FROM r JOIN marketdata.quality_issue AS k
            ON k.scope = :scope AND k.source = :source AND k.symbol = r.symbol AND k.subject = r.subject
            AND k.code = r.code AND (k.ended_at IS NULL OR (k.ended_at = k.last_seen AND k.last_seen > :since))
        ORDER BY r.symbol, r.subject, r.code, k.ended_at IS NULL DESC, k.issue_id DESC
    ), gone_on AS (
        UPDATE marketdata.quality_issue AS k SET
            severity = greatest(k.severity, known.severity), message = known.message, value = known.value,
            threshold = known.threshold, details = CAST(known.details AS jsonb), count = k.count + known.count,
            first_ts = least(k.first_ts, known.first_ts), last_ts = greatest(k.last_ts, known.last_ts),
            last_seen = :now, ended_at = CASE WHEN k.ended_at IS NOT NULL THEN CAST(:now AS timestamptz) END
        FROM known WHERE k.issue_id = known.issue_id
    )
    INSERT INTO marketdata.quality_issue
        (scope, source, symbol, subject, code, severity, message, value, threshold, details, count, first_ts, last_ts,
         first_seen, last_seen, ended_at)
    SELECT :scope, :source, r.symbol, r.subject, r.code, r.severity, r.message, r.value, r.threshold,
           CAST(r.details AS jsonb), r.count, r.first_ts, r.last_ts, :now, :now, :now
    FROM r WHERE NOT EXISTS (
        SELECT FROM known WHERE (known.symbol, known.subject, known.code) = (r.symbol, r.subject, r.code))
""").bindparams(*_ROWS)

_END = text("""
    UPDATE marketdata.quality_issue AS known SET ended_at = :now
    WHERE ended_at IS NULL AND scope = :scope AND source = :source AND subject = :subject AND symbol = ANY(:judged)
        AND code = ANY(:checked) AND NOT EXISTS (
            SELECT FROM unnest(:symbols, :codes) AS r(symbol, code)
            WHERE r.symbol = known.symbol AND r.code = known.code)
""").bindparams(*(bindparam(name, type_=ARRAY(TEXT)) for name in ("judged", "checked", "symbols", "codes")))


async def put_issues(
    session: AsyncSession,
    origin: Origin,
    subject: str,
    judged: Sequence[str],
    checked: Sequence[str],
    found: Sequence[Found],
    past: Collection[str] = (),
) -> None:
    """Keep what was found, and end what was not found again of the symbols and checks that were judged.

    What is found of the symbols in the `past` begins no issue that stands: it is kept as one that has ended.
    """
    if not judged:
        return
    ordered = sorted(found, key=lambda each: (each.symbol, each.issue.code))
    of = {"scope": origin.scope, "source": origin.source, "now": origin.ts_init}
    names = {"symbols": [each.symbol for each in ordered], "codes": [each.issue.code for each in ordered]}
    await session.execute(_END, {**of, **names, "subject": subject, "judged": sorted(judged), "checked": list(checked)})
    if standing := [each for each in ordered if each.symbol not in past]:
        await session.execute(_UPSERT, {**of, **_values(standing)})
    if over := [each for each in ordered if each.symbol in past]:
        await session.execute(_PAST, {**of, "since": origin.ts_init - _GOES_ON, **_values(over)})


def _values(found: Sequence[Found]) -> dict[str, Any]:
    return {
        "symbols": [each.symbol for each in found],
        "subjects": [each.subject for each in found],
        "codes": [each.issue.code for each in found],
        "severities": [SEVERITIES.index(each.issue.severity) for each in found],
        "messages": [each.issue.message for each in found],
        "found": [each.issue.value for each in found],
        "thresholds": [each.issue.threshold for each in found],
        "details": [json.dumps(each.issue.details, default=str) for each in found],
        "counts": [each.count for each in found],
        "first_tss": [each.first_ts for each in found],
        "last_tss": [each.last_ts for each in found],
    }


@dataclass(frozen=True)
class IssueFilter:
    """Which issues; None is all."""

    scope: str | None = ""
    source: str | None = None
    symbol: str | None = None
    code: str | None = None
    severity: Severity | None = None
    is_open: bool | None = None


async def list_issues(session: AsyncSession, wanted: IssueFilter, before: int | None, limit: int) -> list[Issue]:
    """Return issues, the newest first; `before` is the last one's id of an earlier page."""
    row = QualityIssueRow
    query = select(row).order_by(row.issue_id.desc()).limit(limit)
    for column, value in (
        (row.scope, wanted.scope),
        (row.source, wanted.source),
        (row.symbol, wanted.symbol),
        (row.code, wanted.code),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.severity is not None:
        query = query.where(row.severity == SEVERITIES.index(wanted.severity))
    if wanted.is_open is not None:
        query = query.where(row.ended_at.is_(None) if wanted.is_open else row.ended_at.is_not(None))
    if before is not None:
        query = query.where(row.issue_id < before)
    return [_issue(found) for found in await session.scalars(query)]


async def totals(session: AsyncSession, now: datetime) -> dict[str, Any]:
    """Return the counts of live rows and of live issues."""
    feed, issue, since = FeedSymbol, QualityIssueRow, now - timedelta(hours=1)
    rows = (
        await session.execute(
            select(func.sum(feed.rows), func.sum(feed.critical), func.sum(feed.warning)).where(feed.scope == "")
        )
    ).one()
    recent = issue.last_seen > since
    counts = (
        await session.execute(
            select(
                func.count().filter(issue.ended_at.is_(None)),
                func.count().filter(recent, issue.severity == 2),
                func.count().filter(recent, issue.severity == 1),
            ).where(issue.scope == "")
        )
    ).one()
    return {
        "rows": int(rows[0] or 0),
        "critical_rows": int(rows[1] or 0),
        "warning_rows": int(rows[2] or 0),
        "open_issues": counts[0],
        "critical_last_hour": counts[1],
        "warning_last_hour": counts[2],
    }


def _issue(row: QualityIssueRow) -> Issue:
    until = row.ended_at or row.last_seen
    return Issue(
        **{
            name: getattr(row, name)
            for name in Issue.model_fields
            if name not in ("severity", "duration_seconds", "simulation_id")
        },
        severity=SEVERITIES[row.severity],
        duration_seconds=(until - row.first_seen).total_seconds(),
        simulation_id=row.scope or None,
    )
