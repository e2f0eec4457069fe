"""Journals no risk of this version writes, served over HTTP."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.reporting.main import create
from services.reporting.settings import ReportingSettings
from shared.embedded import EmbeddedPostgres
from shared.journal import GENESIS_HASH, canonical, row_hash
from shared.roles import Role
from shared.schemas.base import format_utc
from tests.conftest import MakeSettings
from tests.harness import Tokens, plain, running, serving
from tests.integration.risk.client import until

pytestmark = pytest.mark.integration
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


class Journal:
    """Rows in a chain, as pages of risk's route."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.instead: Response | None = None
        self.app = Starlette(routes=[Route("/api/v1/risk/journal", self._page)])

    def add(self, kind: str, body: dict[str, Any]) -> None:
        seq = len(self.rows) + 1
        previous = self.rows[-1]["hash"] if self.rows else GENESIS_HASH
        row = {"seq": seq, "ts": format_utc(NOW), "epoch": 1, "account_id": "main", "kind": kind, "body": body}
        digest = row_hash(seq, NOW, 1, "main", kind, canonical(body), previous)
        self.rows.append({**row, "prev_hash": previous, "hash": digest})

    async def _page(self, request: Request) -> Response:
        if self.instead is not None:
            return self.instead
        after, limit = (int(request.query_params[name]) for name in ("after", "limit"))
        items = self.rows[after : after + limit]
        last = len(self.rows)
        return JSONResponse({"items": items, "next_after": items[-1]["seq"] if items else after, "last_seq": last})


def fill(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "account_id": "main",
        "simulation_id": None,
        "session_date": "2026-03-02",
        "trade_id": f"t{number}",
        "client_order_id": f"o{number}",
        "strategy_id": "trend",
        "symbol": "X",
        "side": "BUY",
        "price": "10",
        "quantity": "1",
        "fee": "0",
        "currency": "USD",
        "multiplier": "1",
        "realised_pnl": "0",
        "position_quantity": str(number),
        "order_status": "FILLED",
        "leaves_quantity": "0",
        "telemetry": None,
        "request_hash": "h",
        "by": "ada",
        "ts_event": "2026-03-02T15:00:00Z",
        **changes,
    }


@asynccontextmanager
async def ledger(
    make_settings: MakeSettings, tokens: Tokens, journal: Journal, **overrides: Any
) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(journal.app) as url:
        settings = make_settings(ReportingSettings, risk_url=url, reporting_poll_seconds=0.02, **overrides)
        async with running(create(settings), tokens.auth(Role.VIEWER)) as client:
            yield client


async def state(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/api/v1/reporting/state")).json()
    return found


async def until_state(client: httpx.AsyncClient, wanted: str, cursor: int) -> dict[str, Any]:
    async def reached() -> bool:
        found = await state(client)
        return bool(found["state"] == wanted and found["cursor"] == cursor)

    await until(reached)
    return await state(client)


async def test_kinds_of_a_newer_risk_are_left_out_counted_and_passed(
    make_settings: MakeSettings, tokens: Tokens
) -> None:
    journal = Journal()
    journal.add("FILL_APPLIED", fill(1))
    journal.add("BREAKER_OPENED", {"anything": 1})
    journal.add("FILL_APPLIED", fill(2))
    name, labels = "reporting_journal_rows_skipped_total", {"kind": "BREAKER_OPENED"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    async with ledger(make_settings, tokens, journal, reporting_page=1) as client:
        found = await until_state(client, "current", 3)
        assert found["trades"] == 2
    assert REGISTRY.get_sample_value(name, labels) == before + 1


async def test_a_row_that_cannot_be_read_stops_the_ledger_before_its_page_and_is_named_once(
    make_settings: MakeSettings, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal()
    journal.add("FILL_APPLIED", fill(1))
    journal.add("FILL_APPLIED", fill(2, quantity="a lot"))
    with caplog.at_level(logging.ERROR):
        async with ledger(make_settings, tokens, journal) as client:
            found = await until_state(client, "journal_broken", 0)
            assert found["problem"].startswith("row 2 (FILL_APPLIED) cannot be read: quantity: ")
            assert found["trades"] == 0
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert "row 2" in ready.json()["dependencies"]["ledger"]["detail"]
            attempts = REGISTRY.get_sample_value("reporting_worker_errors_total", {"reason": "broken"}) or 0

            async def tried_more() -> bool:
                now = REGISTRY.get_sample_value("reporting_worker_errors_total", {"reason": "broken"}) or 0
                return now >= attempts + 3

            await until(tried_more)
            # Mended, it goes on by itself.
            journal.rows.pop()
            journal.add("FILL_APPLIED", fill(2))
            assert (await until_state(client, "current", 2))["trades"] == 2
            assert (await client.get("/readyz")).status_code == 200
    said = [record for record in caplog.records if record.message == "the ledger stands still"]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("answer", "wanted", "problem"),
    [
        (PlainTextResponse("<html>", 200), "journal_broken", "the page after row 1 cannot be read"),
        (PlainTextResponse("{}", 401), "risk_unreachable", "401"),
        (PlainTextResponse("{}", 503), "risk_unreachable", "503"),
    ],
)
async def test_an_answer_that_is_no_page_moves_nothing_and_is_said(
    make_settings: MakeSettings, tokens: Tokens, answer: Response, wanted: str, problem: str
) -> None:
    journal = Journal()
    journal.add("FILL_APPLIED", fill(1))
    async with ledger(make_settings, tokens, journal) as client:
        await until_state(client, "current", 1)
        journal.instead = answer
        journal.add("FILL_APPLIED", fill(2))
        assert problem in (await until_state(client, wanted, 1))["problem"]
        journal.instead = None
        assert (await until_state(client, "current", 2))["problem"] is None


async def test_a_lost_database_is_not_put_down_to_risk(
    make_settings: MakeSettings, tokens: Tokens, own_postgres: EmbeddedPostgres
) -> None:
    journal = Journal()
    journal.add("FILL_APPLIED", fill(1))
    async with ledger(make_settings, tokens, journal, database_url=own_postgres.start()) as client:
        await until_state(client, "current", 1)
        lost = REGISTRY.get_sample_value("reporting_worker_errors_total", {"reason": "database"}) or 0
        own_postgres.stop()

        async def noticed() -> bool:
            return (REGISTRY.get_sample_value("reporting_worker_errors_total", {"reason": "database"}) or 0) > lost

        await until(noticed)
        assert (await client.get("/api/v1/reporting/state")).status_code == 503
        own_postgres.start()
        found = await state(client)
        assert (found["state"], found["problem"]) == ("current", None)


async def test_a_day_worth_more_than_an_amount_can_hold_is_rolled_up_like_any_other(
    make_settings: MakeSettings, tokens: Tokens, database_url: str
) -> None:
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        connection.execute("INSERT INTO reporting.account (account_id, currency) VALUES ('main', 'USD')")
    journal = Journal()
    # Each is worth the most risk takes for one fill, 10^16.
    largest = {"quantity": "0.1", "price": "99999999999999999", "realised_pnl": "-9999999999999999.9"}
    for number in range(1, 111):
        journal.add("FILL_APPLIED", fill(number, **largest))
    journal.add(
        "DAY_ROLLED",
        {
            "account_id": "main",
            "simulation_id": None,
            "session_date": "2026-03-02",
            "next_session_date": "2026-03-03",
            "start_of_day_equity": "100",
            "end_equity": "100",
            "realised_pnl_total": "0",
            "fees_total": "0",
            "by": "ada",
            "ts_event": "2026-03-02T16:00:00Z",
        },
    )
    async with ledger(make_settings, tokens, journal) as client:
        assert (await until_state(client, "current", 111))["rollups"] == 2
        whole = (await client.get("/api/v1/reporting/rollups?account_id=main")).json()["items"][-1]
        assert (whole["strategy_id"], whole["volume_notional"]) == (None, "1099999999999999989")
        counts = (await client.get("/api/v1/reporting/counts")).json()
        assert counts["realised_pnl"] == {"USD": "-1099999999999999989"}
