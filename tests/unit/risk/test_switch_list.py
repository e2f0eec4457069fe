"""The kill switches of all shards as one list, page by page."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.core.switch_list import Merged, Window, merge, window
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchListed, KillSwitchView

pytestmark = pytest.mark.unit
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
NEWEST = 2**63 - 1
Shards = list[dict[str, KillSwitchView]]


def switch(
    name: str, seq: int, scope: KillScope = KillScope.ACCOUNT, *, second: int = 0, over: bool = False
) -> KillSwitchView:
    return KillSwitchView(
        kill_switch_id=name,
        scope=scope,
        target=None if scope is KillScope.FIRM else "X",
        kind=KillReason.MANUAL,
        reason="fire drill",
        activated_by="ann",
        activated_at=BEGAN + timedelta(seconds=second),
        released_by="bob" if over else None,
        released_at=BEGAN if over else None,
        cancelled_orders=0,
        seq=seq,
    )


def pages(shards: Shards, own: int, limit: int, active: bool | None = None) -> list[list[KillSwitchListed]]:
    """Read the whole list through one shard, as a caller does."""
    found: list[list[KillSwitchListed]] = []
    positions = dict.fromkeys(range(len(shards)), NEWEST)
    for _ in range(1_000):
        windows = {n: window(each.values(), n, active, positions[n], limit) for n, each in enumerate(shards)}
        page: Merged = merge(windows, shards[own], own, positions, limit)
        assert len(page.items) <= limit
        found.append(page.items)
        if page.positions is None:
            return found
        assert page.positions != positions
        positions = dict(page.positions)
    raise AssertionError("the list does not end")


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=25), st.integers(0, 2), st.integers(1, 6))
def test_every_switch_is_listed_once_however_short_the_pages(
    pulled: list[tuple[int, bool]], own: int, limit: int
) -> None:
    shards: Shards = [{}, {}, {}]
    for second, (where, over) in enumerate(pulled):
        name = f"ks-{second}"
        if where == 3:
            for number, each in enumerate(shards):
                each[name] = switch(name, second + 7 * number, KillScope.FIRM, second=second, over=over)
        else:
            shards[where][name] = switch(name, second + 7 * where, second=second, over=over)
    for active in (None, True, False):
        wanted = [f"ks-{second}" for second, (_, over) in enumerate(pulled) if active is None or active is not over]
        listed = [each for page in pages(shards, own, limit, active) for each in page]
        assert [each.kill_switch_id for each in listed] == wanted[::-1]
        assert all(each.shard == own for each in listed if each.scope is KillScope.FIRM)


def test_where_shards_disagree_both_are_listed() -> None:
    shards = [{"ks": switch("ks", 1, KillScope.FIRM, over=True)}, {"ks": switch("ks", 5, KillScope.FIRM)}]
    [both] = pages(shards, 0, 10)
    assert {(each.shard, each.released_at is None) for each in both} == {(0, False), (1, True)}
    assert [each.shard for each in pages(shards, 0, 10, active=True)[0]] == [1]


def test_switches_of_one_name_of_two_accounts_are_two() -> None:
    shards = [{"auto-drawdown-7": switch("auto-drawdown-7", 7)}, {"auto-drawdown-7": switch("auto-drawdown-7", 7)}]
    assert [each.shard for page in pages(shards, 0, 10) for each in page] == [0, 1]


def test_one_of_the_firm_that_the_asked_shard_was_never_told_of_is_listed_once() -> None:
    told = {"ks": switch("ks", 3, KillScope.FIRM, over=True)}
    assert [each.shard for page in pages([{}, told, told], 0, 10) for each in page] == [1]


def test_what_a_shard_has_behind_its_window_is_waited_for() -> None:
    mine = Window([KillSwitchListed(**dict(switch("old", 1)), shard=0)], more=False)
    theirs = Window([KillSwitchListed(**dict(switch("new", 9, second=9)), shard=1)], more=True)
    page = merge({0: mine, 1: theirs}, {}, 0, {0: NEWEST, 1: NEWEST}, 10)
    assert [each.kill_switch_id for each in page.items] == ["new"]
    assert page.positions == {0: NEWEST, 1: 9}
