"""What the monitor says of order: older, repeated, conflicting and missing messages."""

from typing import Any

import pytest

from services.marketdata.core.stream.messages import DepthUpdate, Message, Quote, Side, Trade
from tests.unit.stream.made import (
    BEGAN,
    EASED,
    ENDED,
    WORSENED,
    quote,
    snapshot,
    told,
    trade,
    trades,
    update,
    watching,
    with_one,
)

pytestmark = pytest.mark.unit


def test_messages_of_one_millisecond_are_in_order() -> None:
    assert told(trade(number, at=number // 10) for number in range(500)) == []


def test_swapped_messages_are_one_out_of_order() -> None:
    messages = list(trades(2_000))
    messages[500], messages[501] = messages[501], messages[500]
    assert told(messages) == [(501, BEGAN, "out_of_order", "warning"), (1_510, ENDED, "out_of_order", "warning")]


def test_ten_of_a_thousand_out_of_order_are_critical() -> None:
    messages = list(trades(2_000))
    for index in range(500, 520, 2):
        messages[index], messages[index + 1] = messages[index + 1], messages[index]
    changes = told(messages)
    assert changes[:2] == [
        (501, BEGAN, "out_of_order", "warning"),
        (519, WORSENED, "out_of_order", "critical"),
    ]
    assert [c[1] for c in changes[2:]] == [EASED, ENDED]


def test_an_event_time_that_goes_back_is_out_of_order_though_its_id_goes_on() -> None:
    changes = told(with_one(trades(100), 50, trade(50, at=48.5, lag=1.5)))
    assert changes == [(50, BEGAN, "out_of_order", "warning")]


def test_a_repeated_message_is_a_duplicate_and_is_judged_no_further() -> None:
    monitor = watching()
    messages = list(trades(2_000))
    messages.insert(700, messages[690]._replace(received_ns=messages[699].received_ns))
    assert told(messages, monitor)[0] == (700, BEGAN, "duplicate", "warning")
    again = list(trades(200))
    again.insert(100, again[99])
    outcomes = list(map(watching().observe, again))
    assert [i for i, outcome in enumerate(outcomes) if outcome.findings] == [100]
    assert [issue.code for issue in outcomes[100].findings] == ["duplicate"]


@pytest.mark.parametrize("change", [{"price": 100.5}, {"quantity": 2.0}, {"buyer_crossed": False}])
def test_two_trades_of_one_id_that_differ_are_in_conflict(change: dict[str, Any]) -> None:
    messages = list(trades(100))
    messages.insert(50, messages[49]._replace(**change))
    assert told(messages) == [
        (50, BEGAN, "duplicate_conflicting", "critical"),
        (60, ENDED, "duplicate_conflicting", "critical"),
    ]


def test_quotes_and_updates_of_one_id_are_compared_too() -> None:
    assert told([quote(1), quote(2), quote(2, bid=99.9)])[0][2] == "duplicate_conflicting"
    assert told([quote(1), quote(2), quote(2)])[0][2] == "duplicate"
    assert told([update(1), update(2), update(2)._replace(checksum=99)])[0][2] == "duplicate_conflicting"
    assert told([update(1), update(2), update(2)])[0][2] == "duplicate"


def test_a_missing_update_is_a_break_until_a_snapshot_that_reaches_it() -> None:
    monitor = watching()
    messages: list[Message] = [update(n) for n in range(1, 200) if n != 50]
    assert told(messages, monitor) == [(49, BEGAN, "sequence_break", "critical")]
    assert monitor.resync_wanted("AAA")
    (standing,) = monitor.standing()
    assert standing.issue.details == {"last_id": 490, "previous_id": 500}
    assert told([snapshot(499, 200)], monitor) == []
    assert monitor.resync_wanted("AAA")
    assert told([snapshot(500, 201)], monitor) == [(0, ENDED, "sequence_break", "critical")]
    assert not monitor.resync_wanted("AAA")
    assert told([update(200)], monitor) == []


def test_swapped_updates_are_a_break_and_an_older_one_and_no_more() -> None:
    messages: list[Message] = [update(n) for n in range(1, 100)]
    messages[50], messages[51] = messages[51], messages[50]
    assert told(messages) == [(50, BEGAN, "sequence_break", "critical"), (51, BEGAN, "out_of_order", "warning")]


def test_ids_of_trades_that_skip_are_counted_and_no_break() -> None:
    monitor = watching()
    assert told([trade(1), trade(2), trade(7), trade(8)], monitor) == []
    assert monitor.trade_ids_skipped("AAA") == 4


def test_what_no_order_made_has_no_price_to_judge() -> None:
    assert told(with_one(trades(100), 70, trade(70, price=0.0, market=False))) == []
    assert told(with_one(trades(100), 70, trade(70, price=150.0, market=False))) == []


@pytest.mark.parametrize(
    "message", [trade(50, price=0.0), quote(50, bid=-1.0), update(50, asks=Side(["0", "1"], [0.0], [1.0]))]
)
def test_an_older_message_is_still_judged_by_its_amounts(message: Message) -> None:
    make = {Trade: trade, Quote: quote, DepthUpdate: update}[type(message)]
    stream = [make(n) for n in range(1, 100) if n != 50]
    monitor = watching()
    for one in stream:
        monitor.observe(one)
    assert [issue.code for issue in monitor.observe(message).findings] == ["out_of_order", "price_not_positive"]
