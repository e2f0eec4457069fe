"""Calls of a replay: what they wait for, and what they say when it does not come."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from cli.client import Api, CommandError, Refused
from cli.replay import rest
from cli.replay.rest import RestSuite
from cli.replay.timeline import account_timeline
from shared.schemas.accounts import DayRoll
from shared.schemas.base import format_utc
from tests.unit.cli.recording import START, bar, dataset, state
from tests.unit.cli.statuses import account_status

pytestmark = pytest.mark.unit

Answer = Callable[[httpx.Request], httpx.Response]


def suite(answer: Answer) -> RestSuite:
    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://suite")
    return RestSuite(Api(client), "demo-1")


def refusal(status: int) -> httpx.Response:
    return httpx.Response(status, json={"title": "No", "detail": "because", "correlation_id": None})


def marks(*minutes: int) -> httpx.Response:
    items = [{"symbol": "AAA", "price": "1", "ts_event": format_utc(START + timedelta(minutes=m))} for m in minutes]
    return httpx.Response(200, json={"items": items, "next_cursor": None})


def test_a_mark_is_awaited_until_it_is_as_new_as_the_bar() -> None:
    answers = [marks(), marks(4), marks(5)]
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return answers.pop(0)

    suite(answer).await_mark("AAA", START + timedelta(minutes=5))
    assert not answers
    assert dict(asked[0].params) == {"simulation_id": "demo-1", "symbol": "AAA"}


def test_a_mark_that_does_not_come_is_named_with_what_risk_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "_MARK_SECONDS", 0.05)
    with pytest.raises(CommandError, match=r"mark of AAA at 2024-12-02T09:05:00Z .*holds 2024-12-02T09:04:00Z"):
        suite(lambda _: marks(4)).await_mark("AAA", START + timedelta(minutes=5))


def test_without_a_champion_the_command_to_run_is_named() -> None:
    with pytest.raises(CommandError, match="run keelson train"):
        suite(lambda _: refusal(404)).require_champion()


def test_another_refusal_is_not_taken_for_a_missing_champion() -> None:
    with pytest.raises(Refused, match="403"):
        suite(lambda _: refusal(403)).require_champion()


def rolling(session: str) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return refusal(409)
        return httpx.Response(200, text=account_status("a", session_date=session).model_dump_json())

    return answer


def test_a_day_that_was_rolled_before_stays_rolled() -> None:
    roll = DayRoll(next_session_date=START.date(), ts_event=START)
    suite(rolling("2024-12-03")).roll_day("a", roll)
    with pytest.raises(Refused, match="409"):
        suite(rolling("2024-12-01")).roll_day("a", roll)


def test_a_ledger_that_does_not_catch_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "_LEDGER_SECONDS", 0.05)
    ledger = {"cursor": 7, "journal_last_seq": 9, "lag": 2, "trades": 0, "rollups": 0, "state": "behind"}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/journal"):
            return httpx.Response(200, json={"items": [], "next_after": 0, "last_seq": 9})
        return httpx.Response(200, json={**ledger, "updated_at": None})

    with pytest.raises(CommandError, match=r"to 7 of 9 .*behind"):
        suite(answer).counts()


@pytest.mark.parametrize(("records", "path"), [([bar(0, "1"), bar(1, "2")], "bars"), ([state(0, "1")], "states")])
def test_records_go_out_as_exact_text_under_their_simulation(records: list[Any], path: str) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"received": 1, "stored": 1, "unchanged": 0, "published": 1})

    data = dataset(records)
    suite(answer).ingest(data, list(account_timeline([data], timedelta(minutes=15))))
    body = json.loads(sent[0].content)
    assert sent[0].url.path.endswith(path)
    assert (body["source"], body["simulation_id"], len(body[path])) == ("test", "demo-1", len(records))
    assert {type(row.get("close") or row.get("spot_price")) for row in body[path]} == {str}
