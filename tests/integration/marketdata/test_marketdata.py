import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from redis.asyncio import Redis

from services.marketdata.formats.discover import discover
from services.marketdata.main import create
from services.marketdata.settings import MarketdataSettings
from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.events import MARKS_STREAM
from shared.roles import Role
from shared.schemas.marketdata import Bar, BarBatch, MarketStateBatch, MarkMessage
from tests.conftest import MakeSettings
from tests.harness import Tokens, plain, running
from tests.integration.marketdata.client import BASE, START, Client, bar, batch, state

pytestmark = pytest.mark.integration
Auth = Callable[[Role], dict[str, str]]


def states(*given: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"source": "test", "simulation_id": "s1", "states": list(given), **fields}


@pytest.fixture
async def client(make_settings: MakeSettings, auth: Auth) -> AsyncIterator[Client]:
    async with running(create(make_settings(MarketdataSettings)), auth(Role.SERVICE)) as http:
        yield Client(http)


async def marks(redis_url: str, count: int, seconds: float = 10) -> list[MarkMessage]:
    """Return the marks of the stream once there are `count`, and make sure that no more come."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        async with asyncio.timeout(seconds):
            while await redis.xlen(MARKS_STREAM) < count:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        entries = await redis.xrange(MARKS_STREAM)
    assert len(entries) == count
    return [MarkMessage.model_validate_json(fields["data"]) for _, fields in entries]


async def test_bars_are_stored_judged_and_published_in_order(client: Client, redis_url: str) -> None:
    answer = await client.post("/bars", batch(bar(2, "103"), bar(0, "101"), bar(1, "102")))
    assert (answer["received"], answer["stored"], answer["published"], answer["verdicts"]) == (3, 3, 3, [])
    found = await marks(redis_url, 3)
    assert [str(mark.price) for mark in found] == ["101", "102", "103"]
    assert found[0].ts_event == START + timedelta(minutes=1)
    assert {mark.simulation_id for mark in found} == {"s1"}
    stored = await client.get("/bars?symbol=X&interval=1m&simulation_id=s1")
    assert [item["close"] for item in stored["items"]] == ["101", "102", "103"]
    assert (await client.get("/bars?symbol=X&interval=1m"))["items"] == []


async def test_the_same_again_changes_and_publishes_nothing(client: Client, redis_url: str) -> None:
    body = batch(bar(0), bar(1))
    await client.post("/bars", body)
    again = await client.post("/bars", body)
    assert (again["stored"], again["unchanged"], again["published"]) == (0, 2, 0)
    await marks(redis_url, 2)
    assert (await client.get("/feeds"))["items"][0]["rows"] == 2


async def test_a_correction_is_a_new_revision(client: Client, redis_url: str) -> None:
    await client.post("/bars", batch(bar(0, "100"), bar(1, "100")))
    answer = await client.post("/bars", batch(bar(0, "105"), bar(1, "100")))
    assert (answer["stored"], answer["unchanged"]) == (1, 1)
    stored = await client.get("/bars?symbol=X&interval=1m&simulation_id=s1")
    assert [(item["close"], item["revision"]) for item in stored["items"]] == [("105", 2), ("100", 1)]
    assert [str(mark.price) for mark in await marks(redis_url, 3)] == ["100", "100", "105"]


async def test_a_critical_bar_is_stored_with_its_verdict_and_told_to_risk_as_that(
    client: Client, redis_url: str
) -> None:
    answer = await client.post("/bars", batch(bar(0), bar(1, "2000"), bar(2)))
    assert (answer["stored"], answer["published"]) == (3, 2)
    verdict = answer["verdicts"][0]
    assert (verdict["index"], verdict["severity"]) == (1, "critical")
    assert {issue["code"] for issue in verdict["issues"]} == {"ohlc_bounds"}
    stored = (await client.get("/bars?symbol=X&interval=1m&simulation_id=s1"))["items"]
    assert [item["severity"] for item in stored] == ["ok", "critical", "ok"]
    # Risk is told of it, as what it is: it denies orders until a better price comes.
    assert [mark.severity for mark in await marks(redis_url, 3)] == ["ok", "critical", "ok"]


async def test_rows_of_a_batch_that_contradict_each_other(client: Client) -> None:
    answer = await client.post("/bars", batch(bar(0, "100"), bar(0, "100"), bar(0, "101"), bar(1)))
    assert (answer["received"], answer["stored"], answer["unchanged"]) == (4, 2, 1)
    assert [(row["index"], "row 0" in row["reason"]) for row in answer["rejected"]] == [(2, True)]


async def test_paging_has_no_gap_and_no_repeat(client: Client) -> None:
    bars = [bar(minute) for minute in range(23)]
    await client.post("/bars", batch(*bars))
    await client.post("/bars", batch(*bars, source="other"))
    found = await client.all("/bars?symbol=X&interval=1m&simulation_id=s1&limit=7")
    keys = [(item["ts"], item["source"]) for item in found]
    assert len(keys) == len(set(keys)) == 46
    assert keys == sorted(keys)
    window = "&start=2024-01-02T00:05:00Z&end=2024-01-02T00:07:00Z"
    assert len(await client.all(f"/bars?symbol=X&interval=1m&simulation_id=s1{window}&limit=1")) == 4
    assert (await client.http.get(f"{BASE}/bars?symbol=X&interval=1m&cursor=x")).status_code == 400
    for path in ("/bars?symbol=X&interval=1m", "/market-states?symbol=X", "/feeds?"):
        assert (await client.http.get(f"{BASE}{path}&cursor=")).status_code == 200


async def test_states_have_one_id_however_often_they_are_sent(client: Client, redis_url: str) -> None:
    first = await client.post("/market-states", states(state(0)))
    again = await client.post("/market-states", states(state(0)))
    assert (first["stored"], again["stored"], again["unchanged"]) == (1, 0, 1)
    identifier = first["verdicts"][0]["market_state_id"]
    assert again["verdicts"][0]["market_state_id"] == identifier
    stored = await client.get(f"/market-states/{identifier}")
    assert (stored["spot_price"], stored["simulation_id"], len(stored["option_chain"])) == ("100", "s1", 2)
    assert (await marks(redis_url, 1))[0].ts_event == START


async def test_critical_states_are_kept_and_not_served_as_current(client: Client, redis_url: str) -> None:
    assert (await client.http.get(f"{BASE}/market-states/current?symbol=X&simulation_id=s1")).status_code == 404
    await client.post("/market-states", states(state(0), state(1, spot_price="0"), state(2, timestamp=None)))
    current = await client.get("/market-states/current?symbol=X&simulation_id=s1")
    assert (current["spot_price"], current["severity"]) == ("100", "ok")
    listed = await client.all("/market-states?symbol=X&simulation_id=s1&limit=1")
    assert [item["severity"] for item in listed] == ["ok", "critical"]
    feed = (await client.get("/feeds"))["items"][0]
    assert (feed["rows"], feed["critical"]) == (3, 2)
    # Of the one without a price risk hears the last that was known, as what it is.
    assert [(str(mark.price), mark.severity) for mark in await marks(redis_url, 2)] == [
        ("100", "ok"),
        ("100", "critical"),
    ]


async def test_content_that_stays_the_same_on_polls_in_a_row_is_stale(client: Client) -> None:
    """However the polls come: three in one batch, sent twice, and the rest one by one."""
    for _ in range(2):
        answer = await client.post("/market-states", states(*(state(minute) for minute in range(3))))
        assert [verdict["severity"] for verdict in answer["verdicts"]] == ["ok", "ok", "warning"]
    singly = [await client.post("/market-states", states(state(minute))) for minute in (3, 4, 5, 5)]
    assert [answer["verdicts"][0]["severity"] for answer in singly] == ["warning", "warning", "critical", "critical"]
    assert singly[2]["verdicts"][0]["issues"][0]["value"] == 6
    after = await client.post("/market-states", states(state(6), state(7, spot_price="101"), state(8)))
    assert [verdict["severity"] for verdict in after["verdicts"]] == ["critical", "ok", "ok"]


async def test_states_are_judged_by_the_hours_and_thresholds_of_their_symbol(client: Client, tokens: Tokens) -> None:
    """What is said again while the market is closed is not stale, and the session's first poll is a first."""
    admin = tokens.auth(Role.RISK_OFFICER)
    put = await client.http.put(f"{BASE}/symbols/X", json={"calendar": "XNSE"}, headers=admin)
    assert put.status_code == 200, put.text
    # 02:45 to 03:30 UTC, and from the opening at 03:45.
    polls = [state(minute) for minute in (165, 180, 195, 210, 225, 226, 227)]
    answer = await client.post("/market-states", states(*polls[:-1]))
    found = [[issue["code"] for issue in verdict["issues"]] for verdict in answer["verdicts"]]
    assert found == [["outside_session"]] * 4 + [[], []]
    bands = [{"symbol": "X", "code": "stale_content", "warning": None, "critical": 3}]
    put = await client.http.put(
        f"{BASE}/quality/thresholds", json={"thresholds": bands, "reason": "a busy chain"}, headers=admin
    )
    assert put.status_code == 200, put.text
    (verdict,) = (await client.post("/market-states", states(polls[-1])))["verdicts"]
    assert [(issue["code"], issue["value"], issue["severity"]) for issue in verdict["issues"]] == [
        ("stale_content", 3, "critical")
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/bars", batch({**bar(0), "close": 1.5})),
        ("/bars", batch({**bar(0), "close": "1e30"})),
        ("/bars", batch({**bar(0), "volume": "-1"})),
        ("/bars", batch({**bar(0), "extra": 1})),
        ("/bars", batch({**bar(0), "interval": "2m"})),
        ("/bars", batch({**bar(0), "ts": "yesterday"})),
        ("/bars", batch()),
        ("/bars", batch(bar(0), source="a\x00b")),
        ("/market-states", states(state(0, spot_price=1.5))),
        ("/market-states", states(state(0, option_chain=[{"strike": "1"}]))),
        ("/market-states", states()),
    ],
)
async def test_bad_rows_are_named_and_nothing_is_stored(client: Client, path: str, body: Any) -> None:
    response = await client.http.post(BASE + path, json=body)
    assert response.status_code == 422
    assert response.json()["errors"]
    assert (await client.get("/feeds"))["items"] == []


async def test_only_services_may_feed(client: Client, auth: Auth) -> None:
    for role in Role:
        expected = 200 if role is Role.SERVICE else 403
        response = await client.http.post(f"{BASE}/bars", json=batch(bar(0)), headers=auth(role))
        assert response.status_code == expected


async def test_batches_that_overlap_never_deadlock(client: Client, redis_url: str) -> None:
    forward = [bar(minute, symbol=symbol) for minute in range(40) for symbol in ("A", "B", "C")]
    orders = [forward, forward[::-1], sorted(forward, key=lambda row: row["symbol"])]
    answers = await asyncio.gather(*(client.post("/bars", batch(*orders[n % 3])) for n in range(9)))
    assert sum(answer["stored"] for answer in answers) == 120
    await marks(redis_url, 120)


async def test_fifty_thousand_bars_are_one_batch(client: Client, redis_url: str) -> None:
    answer = await client.post("/bars", batch(*(bar(minute) for minute in range(50_000))))
    assert (answer["stored"], answer["published"]) == (50_000, 50_000)
    await marks(redis_url, 50_000, seconds=60)


async def test_live_bars_are_judged_by_the_clock(client: Client) -> None:
    answer = await client.post("/bars", batch({**bar(0), "ts": "2999-01-01T00:00:00Z"}, simulation_id=None))
    assert answer["verdicts"][0]["issues"][0]["code"] == "future_timestamp"


@pytest.mark.parametrize("simulation_id", [None, "s1"])
@pytest.mark.parametrize(
    "last", [{"ts": "9999-12-31T23:59:00Z"}, {"ts": "9999-12-31T00:00:00Z", "interval": "1d"}], ids=["minute", "day"]
)
async def test_a_bar_that_ends_after_the_end_of_time_is_critical(
    client: Client, redis_url: str, last: dict[str, str], simulation_id: str | None
) -> None:
    answer = await client.post("/bars", batch({**bar(0), **last}, simulation_id=simulation_id))
    assert (answer["stored"], answer["published"]) == (1, 0)
    assert [issue["code"] for issue in answer["verdicts"][0]["issues"]] == ["future_timestamp"]
    assert [mark.severity for mark in await marks(redis_url, 1)] == ["critical"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_the_first_and_the_last_moment_can_be_stored_and_read(client: Client, moment: str) -> None:
    await client.post("/bars", batch({**bar(0), "ts": moment}))
    await client.post("/market-states", states(state(0, timestamp=moment), state(1)))
    window = f"symbol=X&simulation_id=s1&start={moment}&limit=1"
    assert (await client.all(f"/bars?interval=1m&{window}"))[0]["ts"] == moment
    assert (await client.all(f"/market-states?{window}"))[0]["timestamp"] == moment
    for path in ("/bars?interval=1m&", "/market-states?"):
        assert (await client.http.get(f"{BASE}{path}symbol=X&end={moment}")).status_code == 200
    assert (await client.http.get(f"{BASE}/market-states/current?symbol=X&simulation_id=s1")).status_code == 200


async def test_marks_wait_while_redis_is_away_and_go_out_in_order_once(
    own_valkey: EmbeddedValkey, make_settings: MakeSettings, auth: Auth
) -> None:
    url = own_valkey.start()
    async with running(create(make_settings(MarketdataSettings, redis_url=url)), auth(Role.SERVICE)) as http:
        client = Client(http)
        await client.post("/bars", batch(bar(0, "1")))
        await marks(url, 1)
        own_valkey.stop()
        for minute in range(1, 6):
            answer = await client.post("/bars", batch(bar(minute, "1")))
            assert answer["stored"] == 1
        assert (await http.get("/readyz")).status_code == 503
        own_valkey.start()
        found = await marks(url, 6)
        assert [mark.ts_event for mark in found] == [START + timedelta(minutes=minute + 1) for minute in range(6)]


async def test_marks_of_a_killed_process_are_sent_by_the_next(
    make_settings: MakeSettings, auth: Auth, redis_url: str, database_url: str
) -> None:
    settings = make_settings(MarketdataSettings)
    # As a process leaves it that stored and was killed before it could publish.
    mark = MarkMessage.model_validate({"symbol": "X", "price": "7", "ts_event": START.isoformat(), "source": "test"})
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        connection.execute("INSERT INTO marketdata.outbox (message) VALUES (%s)", (mark.model_dump_json(),))
    async with running(create(settings), auth(Role.SERVICE)):
        assert await marks(redis_url, 1) == [mark]


async def test_a_lost_database_is_a_503_and_nothing_is_half_stored(
    own_postgres: EmbeddedPostgres, make_settings: MakeSettings, auth: Auth, redis_url: str
) -> None:
    url = own_postgres.start()
    async with running(create(make_settings(MarketdataSettings, database_url=url)), auth(Role.SERVICE)) as http:
        client = Client(http)
        await client.post("/bars", batch(bar(0)))
        own_postgres.stop()
        response = await http.post(f"{BASE}/bars", json=batch(bar(1)))
        assert response.status_code == 503
        own_postgres.start()
        assert len((await client.get("/bars?symbol=X&interval=1m&simulation_id=s1"))["items"]) == 1
        await client.post("/bars", batch(bar(1)))
        await marks(redis_url, 2)


async def test_the_bundled_sample_is_sound(client: Client) -> None:
    from cli.training.sample import SAMPLE

    critical: dict[str, set[str]] = {}
    for dataset in discover(SAMPLE):
        records = list(dataset.records())
        bars = [record for record in records if isinstance(record, Bar)]
        others = [record for record in records if not isinstance(record, Bar)]
        answers = []
        if bars:
            body = BarBatch(source=dataset.source, simulation_id="sample", bars=bars)
            answers.append(await client.post("/bars", body.model_dump(mode="json")))
        for start in range(0, len(others), 50):
            body2 = MarketStateBatch(source=dataset.source, simulation_id="sample", states=others[start : start + 50])
            answers.append(await client.post("/market-states", body2.model_dump(mode="json")))
        for answer in answers:
            for verdict in answer["verdicts"]:
                if verdict["severity"] == "critical":
                    critical.setdefault(dataset.name, set()).update(issue["code"] for issue in verdict["issues"])
    # Not even the minute of 5 December 2024 in which Bitcoin fell by 3.7 %: a hundred times the usual was traded in it.
    assert critical == {}
