"""States held against the days before: prior close, learnt band, and the day's spreads."""

from datetime import timedelta
from typing import Any

import pytest

from shared.roles import Role
from tests.harness import Tokens
from tests.integration.marketdata.watched import NOW, Watched

pytestmark = pytest.mark.integration


def state(days: float, spot: float, spread: float = 0.5, **changes: Any) -> dict[str, Any]:
    price = round(5 + spot % 1, 4)
    quote = {
        "expiry": "2024-02-01", "strike": "100", "open_interest": "7", "bid": str(price),
        "ask": f"{price + spread:.4f}",
    }  # fmt: skip
    chain = [{**quote, "right": "C"}, {**quote, "right": "P"}]
    totals = {"total_call_oi": "7", "total_put_oi": "7", "option_chain": chain}
    moment = (NOW + timedelta(days=days)).isoformat()
    return {"symbol": "X", "timestamp": moment, "spot_price": str(spot), **totals, **changes}


async def post(live: Watched, *states: dict[str, Any], **fields: Any) -> list[dict[str, str]]:
    body = {"source": "a", "simulation_id": "s1", "states": list(states), **fields}
    answer = await live.client.post("/market-states", body)
    return [{issue["code"]: issue["severity"] for issue in verdict["issues"]} for verdict in answer["verdicts"]]


async def test_a_move_is_from_the_close_of_the_session_before(live: Watched) -> None:
    # In steps of which none is large by itself.
    await post(live, state(-1.1, 90), state(-1, 100))
    found = await post(live, state(0, 104), state(0.01, 106), state(0.02, 107.5), state(0.03, 110.5))
    assert [each.get("spot_move") for each in found] == [None, None, "warning", "critical"]


async def test_a_band_is_learnt_from_the_closes_of_sessions_and_a_set_one_goes_before(
    live: Watched, tokens: Tokens
) -> None:
    await post(live, *(state(n, 100 + n % 3) for n in range(-25, -1)))
    far = {"spot_above_band": "critical"}
    assert far.items() <= (await post(live, state(0, 300)))[0].items()
    assert not far.items() <= (await post(live, state(0.01, 110)))[0].items()
    change = {"thresholds": [{"symbol": "X", "code": "spot_above_band", "critical": 105}], "reason": "known better"}
    await live.put("/quality/thresholds", change, tokens.auth(Role.RISK_OFFICER))
    assert far.items() <= (await post(live, state(0.02, 110)))[0].items()
    # Of a symbol that is new nothing is known.
    assert "spot_above_band" not in (await post(live, state(0, 300, symbol="Y")))[0]


async def test_a_spread_is_held_against_the_days_median(live: Watched) -> None:
    # Prices that move: what repeats itself would be stale.
    found = [await post(live, state(n / 1_000, 100 + n / 100, 0.02)) for n in range(12)]
    assert all("spread_wide" not in each for (each,) in found)
    (wide,) = await post(live, state(0.02, 100.5, 0.5))
    assert wide["spread_wide"] in ("warning", "critical")
    assert "spread_wide" not in (await post(live, state(0.03, 100.6, 0.02)))[0]
    # The next day begins anew.
    assert "spread_wide" not in (await post(live, state(1, 100.5, 0.5)))[0]


async def test_the_spots_of_a_state_are_kept(live: Watched) -> None:
    body = {"source": "a", "simulation_id": "s1", "states": [state(0, 100, spot_prices=["100", "101.5"])]}
    verdict = (await live.client.post("/market-states", body))["verdicts"][0]
    stored = await live.client.get(f"/market-states/{verdict['market_state_id']}")
    assert stored["spot_prices"] == ["100", "101.5"]
    none = await live.client.post("/market-states", {**body, "states": [state(1, 100)]})
    again = await live.client.get(f"/market-states/{none['verdicts'][0]['market_state_id']}")
    assert again["spot_prices"] is None
