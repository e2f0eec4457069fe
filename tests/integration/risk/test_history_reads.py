"""The history of accounts, read by ranges and in pages."""

from datetime import timedelta
from typing import Any

import pytest

from shared.roles import Role
from tests.integration.risk.client import RiskClient
from tests.integration.risk.conftest import Running
from tests.integration.risk.recorded import WIDE, buy, has, keeping, points

pytestmark = pytest.mark.integration


async def test_it_is_read_in_pages_from_a_start_until_before_an_end(run_risk: Running, database_url: str) -> None:
    async with run_risk() as risk:
        await risk.set_up(limits=WIDE)
        await buy(risk, "10")
        async with keeping(risk, database_url, every=timedelta(milliseconds=200)):
            await has(risk, 7)
        for path in ("history", "risk-history"):
            whole = await points(risk, path)
            assert whole == sorted(whole, key=lambda each: (each["ts"], each["journal_seq"]))
            seen: list[Any] = []
            cursor: dict[str, str] = {}
            for _ in range(len(whole)):
                page = (
                    await risk.http.get(
                        f"/api/v1/risk/accounts/main/{path}",
                        params={"limit": 2, **cursor},
                        headers=risk.auth(Role.VIEWER),
                    )
                ).json()
                seen += page["items"]
                if page["next_cursor"] is None:
                    break
                cursor = {"cursor": page["next_cursor"]}
            assert seen == whole
            window = await points(risk, path, start=whole[1]["ts"], end=whole[4]["ts"])
            assert window == whole[1:4]


@pytest.mark.parametrize("path", ["history", "risk-history"])
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("cursor=rubbish", 400),
        ("cursor=eyJzZXEiOjEsInRzIjoibm9wZSJ9", 400),
        ("start=yesterday", 422),
        ("start=2026-01-02T00:00:00Z&end=2026-01-02T00:00:00Z", 422),
        ("limit=0", 422),
    ],
)
async def test_what_cannot_be_a_range_is_a_problem(risk: RiskClient, path: str, query: str, status: int) -> None:
    response = await risk.call("GET", f"/accounts/main/{path}?{query}")
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["history", "risk-history", "var", "var-backtest"])
async def test_an_account_that_is_none_is_not_found_and_a_caller_without_a_role_is_not_told(
    risk: RiskClient, path: str
) -> None:
    assert (await risk.call("GET", f"/accounts/nobody/{path}")).status_code == 404
    nobody = await risk.http.get(f"/api/v1/risk/accounts/main/{path}", headers={"Authorization": "Bearer x"})
    assert nobody.status_code == 401
