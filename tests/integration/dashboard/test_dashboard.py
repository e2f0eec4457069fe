import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.dashboard.app import create
from services.marketdata.main import create as create_marketdata
from services.marketdata.settings import MarketdataSettings
from services.ml.main import create as create_ml
from services.ml.settings import MlSettings
from services.reporting.main import create as create_reporting
from services.reporting.settings import ReportingSettings
from services.risk.main import create as create_risk
from services.risk.settings import RiskSettings
from shared.problems import DependencyUnavailable
from shared.roles import Role
from shared.schemas.dashboard import Dashboard
from shared.settings import AppSettings
from tests.conftest import _TEMPLATE, MakeSettings
from tests.harness import Tokens, fresh_database, running, serving
from tests.integration.risk.client import RiskClient, until

pytestmark = pytest.mark.integration
NOWHERE = "http://127.0.0.1:1"
Auth = Callable[[Role], dict[str, str]]


@asynccontextmanager
async def board(tokens: Tokens, **urls: str) -> AsyncIterator[httpx.AsyncClient]:
    everywhere = {f"{name}_url": NOWHERE for name in ("risk", "marketdata", "ml", "reporting")}
    settings = AppSettings(
        environment="test",
        log_level="ERROR",
        api_keys_file=tokens.file,
        **{**everywhere, **urls},  # type: ignore[arg-type]
    )
    async with running(create(settings), tokens.auth(Role.VIEWER)) as client:
        yield client


async def document(client: httpx.AsyncClient) -> Dashboard:
    response = await client.get("/api/v1/dashboard")
    assert response.status_code == 200, response.text
    return Dashboard.model_validate_json(response.content)


@pytest.fixture
async def suite(make_settings: MakeSettings) -> AsyncIterator[dict[str, str]]:
    """The four real services over HTTP."""
    async with AsyncExitStack() as stack:
        risk = await stack.enter_async_context(serving(create_risk(make_settings(RiskSettings))))
        others = {
            "marketdata": create_marketdata(make_settings(MarketdataSettings)),
            "ml": create_ml(make_settings(MlSettings)),
            "reporting": create_reporting(make_settings(ReportingSettings, risk_url=risk)),
        }
        urls = {f"{name}_url": await stack.enter_async_context(serving(app)) for name, app in others.items()}
        yield {"risk_url": risk, **urls}


async def test_one_document_of_the_real_services(suite: dict[str, str], tokens: Tokens, auth: Auth) -> None:
    async with httpx.AsyncClient(base_url=suite["risk_url"]) as http, board(tokens, **suite) as client:
        risk = RiskClient(http, auth, None)  # type: ignore[arg-type]
        await until(risk.ready)
        await risk.set_up()
        await risk.order("o1", "50")
        await risk.fill("o1", "t1", "50")
        await risk.ok("POST", "/kill-switches", {"scope": "SYMBOL", "target": "OTHER", "reason": "drill"}, Role.ADMIN)

        async def booked() -> bool:
            return bool((await document(client)).trades.data)

        await until(booked)
        found = await document(client)
        assert {service.name: service.state for service in found.services} == dict.fromkeys(
            ("risk", "marketdata", "ml", "reporting"), "ready"
        )
        assert found.accounts.data is not None
        assert found.accounts.data[0].positions[0].quantity == 50
        assert found.kill_switches.data is not None
        assert [switch.target for switch in found.kill_switches.data] == ["OTHER"]
        assert found.counts.data is not None
        assert (found.counts.data.approved, found.simulation_id) == (1, None)
        assert (found.models.data, found.feeds.data) == ([], [])


async def test_several_shards_of_risk_are_shown_as_one(
    make_settings: MakeSettings, tokens: Tokens, auth: Auth, database_url: str, postgres_url: str
) -> None:
    shards = {"risk_shards": 2, "risk_peers": f"{NOWHERE},{NOWHERE}", "risk_peer_seconds": 0.1}
    with fresh_database(postgres_url, _TEMPLATE) as other:
        async with AsyncExitStack() as stack:
            urls = []
            for number, database in enumerate((database_url, other)):
                settings = make_settings(RiskSettings, **shards, risk_shard=number, database_url=database)
                urls.append(await stack.enter_async_context(serving(create_risk(settings))))
                http = await stack.enter_async_context(httpx.AsyncClient(base_url=urls[-1]))
                risk = RiskClient(http, auth, None)  # type: ignore[arg-type]
                await until(risk.ready)
                # Of shard 0 and of shard 1.
                account = {"account_id": ("acc-1", "acc-0")[number], "base_currency": "USD", "initial_cash": "1"}
                await risk.ok("POST", "/accounts", account)
                stop = {"scope": "FIRM", "reason": "drill", "kill_switch_id": "ks-drill"}
                assert (await risk.call("POST", "/kill-switches", stop, Role.ADMIN)).status_code == 504
            async with board(tokens, risk_url=",".join(urls)) as client:
                found = await document(client)
            async with board(tokens, risk_url=f"{urls[0]},{NOWHERE}") as client:
                half = await document(client)
    assert [service.name for service in found.services[:2]] == ["risk-0", "risk-1"]
    assert [each.account_id for each in found.accounts.data or []] == ["acc-1", "acc-0"]
    assert [each.kill_switch_id for each in found.kill_switches.data or []] == ["ks-drill"]
    assert (half.accounts.data, half.kill_switches.data) == (None, None)
    assert "risk-1 does not answer" in (half.kill_switches.unavailable or "")


async def test_services_that_do_not_answer_are_null_with_the_reason(tokens: Tokens) -> None:
    async with board(tokens) as client:
        found = await document(client)
    assert {service.state for service in found.services} == {"unreachable"}
    for section in (found.accounts, found.counts, found.feeds, found.models, found.ledger, found.trades):
        assert section.data is None
        assert "does not answer" in (section.unavailable or "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (PlainTextResponse("down", 500), "answered 500"),
        (PlainTextResponse("not json"), "cannot be read"),
        (PlainTextResponse('{"items": [{"no": "account"}]}'), "cannot be read"),
        (PlainTextResponse("{}", 403), "answered 403"),
    ],
)
async def test_a_service_that_answers_nonsense_does_not_spoil_the_rest(
    tokens: Tokens, answer: Response, reason: str
) -> None:
    async def nonsense(_: Request) -> Response:
        return answer

    app = Starlette(routes=[Route("/{path:path}", nonsense)])
    async with serving(app) as url, board(tokens, risk_url=url) as client:
        found = await document(client)
    assert found.accounts.data is None
    assert reason in (found.accounts.unavailable or "")
    assert found.services[0].state == "unreachable"


async def test_without_risk_counts_of_other_accounts_are_not_shown_as_the_runs(
    suite: dict[str, str], tokens: Tokens
) -> None:
    async with board(tokens, **{**suite, "risk_url": NOWHERE}) as client:
        found = await document(client)
    assert found.trades.data == []
    assert found.counts.data is None
    assert "risk does not answer" in (found.counts.unavailable or "")


async def test_a_service_that_never_ends_its_answer_holds_nobody_up(tokens: Tokens) -> None:
    async def drip(_: Request) -> Response:
        async def forever() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.2)

        return StreamingResponse(forever())

    app = Starlette(routes=[Route("/{path:path}", drip)])
    async with serving(app) as url, board(tokens, marketdata_url=url) as client:
        async with asyncio.timeout(9):
            found = await document(client)
    assert found.feeds.unavailable == "marketdata does not answer within 3 s"
    assert (found.services[1].state, found.services[1].detail) == ("unreachable", "no answer within 4 s")


@pytest.mark.parametrize(
    "body",
    [
        {"dependencies": {"database": {"ok": False}}, "detail": 5},
        {"dependencies": {"database": {"ok": "who knows"}}},
        {"dependencies": ["database"]},
        ["database"],
        None,
    ],
)
async def test_readiness_that_cannot_be_read_is_said_and_spoils_nothing(tokens: Tokens, body: Any) -> None:
    async def answer(_: Request) -> Response:
        return JSONResponse(body, 503)

    app = Starlette(routes=[Route("/{path:path}", answer)])
    async with serving(app) as url, board(tokens, ml_url=url) as client:
        found = await document(client)
    assert found.services[2].state == "unreachable"
    assert "not as a service of the suite" in (found.services[2].detail or "")


async def test_the_reason_of_a_refusal_is_passed_on(tokens: Tokens) -> None:
    async def answer(_: Request) -> Response:
        return DependencyUnavailable("PostgreSQL does not answer").response()

    app = Starlette(routes=[Route("/{path:path}", answer)])
    async with serving(app) as url, board(tokens, reporting_url=url) as client:
        found = await document(client)
    assert found.trades.unavailable == "reporting answered 503: PostgreSQL does not answer"


async def test_the_champion_is_listed_however_many_versions_came_after(tokens: Tokens) -> None:
    signature = {"features": [{"name": "a", "minimum": 0, "maximum": 1}]}
    models = [
        {
            "name": "edge",
            "version": f"1.{number}.0",
            "sha256": "0" * 64,
            "signature": signature,
            "training_data_hash": "0" * 64,
            "metrics": {},
            "trained_at": "2026-03-02T15:00:00Z",
            "registered_at": "2026-03-02T15:00:00Z",
            "aliases": ["champion"] if number == 1 else [],
        }
        for number in range(60, 0, -1)
    ]

    async def answer(request: Request) -> Response:
        return JSONResponse({"items": models[: int(request.query_params["limit"])], "next_cursor": None})

    app = Starlette(routes=[Route("/api/v1/ml/models", answer)])
    async with serving(app) as url, board(tokens, ml_url=url) as client:
        found = await document(client)
    assert [model.version for model in found.models.data or [] if "champion" in model.aliases] == ["1.1.0"]


async def test_services_are_asked_with_the_callers_own_token(tokens: Tokens) -> None:
    seen: list[tuple[str, str | None]] = []

    async def listen(request: Request) -> Response:
        seen.append((str(request.url), request.headers.get("authorization")))
        return PlainTextResponse("{}", 404)

    app = Starlette(routes=[Route("/{path:path}", listen)])
    async with serving(app) as url, board(tokens, risk_url=url) as client:
        await document(client)
    token = tokens.by_role[Role.VIEWER]
    assert {header for _, header in seen if header} == {f"Bearer {token}"}
    assert not any(token in address for address, _ in seen)


async def test_the_document_needs_a_token_and_the_page_does_not(tokens: Tokens) -> None:
    async with board(tokens) as client:
        client.headers.pop("authorization")
        assert (await client.get("/api/v1/dashboard")).status_code == 401
        assert (await client.get("/healthz")).status_code == 200
        for path, kind in (
            ("/", "text/html"),
            ("/dashboard.js", "text/javascript"),
            ("/dashboard.css", "text/css"),
            ("/dashboard.svg", "image/svg+xml"),
        ):
            page = await client.get(path)
            assert page.status_code == 200
            assert page.headers["content-type"].startswith(kind)
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        assert (await client.get("/nowhere")).status_code == 404


async def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_script(tokens: Tokens) -> None:
    async with board(tokens) as client:
        page = (await client.get("/")).text
        script = (await client.get("/dashboard.js")).text
    assert "http://" not in page + script
    assert "https://" not in page + script
    assert "innerHTML" not in script
    assert "<style" not in page
    assert page.count("<script") == 1
    assert not any(f" {handler}=" in page for handler in ("onclick", "onload", "onerror", "style"))


def test_every_element_the_script_asks_for_is_in_the_page() -> None:
    import re
    from pathlib import Path

    static = Path(create.__code__.co_filename).parent / "static"
    script = (static / "dashboard.js").read_text()
    page = (static / "index.html").read_text()
    asked: set[Any] = set(re.findall(r'element\("([a-z-]+)"\)', script)) | set(
        re.findall(r'(?:table|note|section)\("([a-z]+)"', script)
    )
    assert asked
    assert asked <= set(re.findall(r'id="([a-z-]+)"', page))
