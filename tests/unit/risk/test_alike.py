from datetime import UTC, datetime
from typing import Any

import pytest

from services.risk.alike import messages_of
from services.risk.core.alike import owed
from services.risk.faults import system_error
from shared.schemas.kill_switches import KillReason, KillReductions, KillScope, KillSwitchView
from shared.shards import Shard

pytestmark = pytest.mark.unit
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def switch(name: str = "ks-1", scope: KillScope = KillScope.FIRM, **fields: Any) -> KillSwitchView:
    return KillSwitchView(
        kill_switch_id=name,
        scope=scope,
        target=None if scope is KillScope.FIRM else "X",
        kind=KillReason.MANUAL,
        reason="fire drill",
        activated_by="ann",
        activated_at=NOW,
        cancelled_orders=0,
        seq=1,
        **fields,
    )


def released(**fields: Any) -> KillSwitchView:
    return switch(released_by="bob", released_at=NOW, release_reason="over", **fields)


@pytest.mark.parametrize("scope", [KillScope.FIRM, KillScope.STRATEGY, KillScope.SYMBOL])
def test_a_switch_in_force_is_owed_until_it_is_there(scope: KillScope) -> None:
    mine = switch(scope=scope)
    assert owed([mine], {}) == [mine]
    assert owed([mine], {"ks-1": mine}) == []


def test_a_release_is_owed_while_it_is_in_force_there() -> None:
    assert owed([released()], {"ks-1": switch()}) == [released()]
    assert owed([released()], {}) == []


def test_the_word_of_the_first_of_two_is_owed() -> None:
    asked = switch(release_requested_by="bob")
    assert owed([asked], {"ks-1": switch()}) == [asked]
    assert owed([asked], {"ks-1": asked}) == []


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("ks-1", KillScope.ACCOUNT),
        ("auto-heartbeat-7-0", KillScope.STRATEGY),
        ("auto-volatility-spike-7-0", KillScope.SYMBOL),
    ],
)
def test_what_is_one_shards_own_is_not_owed(name: str, scope: KillScope) -> None:
    # Under the same id the other shard may have another one: neither may end the other.
    assert owed([switch(name, scope)], {}) == []
    assert owed([switch(name, scope, released_by="bob", released_at=NOW)], {name: switch(name, scope)}) == []


def test_that_an_engine_fails_is_owed_under_a_name_no_other_shard_gives() -> None:
    names = {system_error(7, Shard(number, 2)).kill_switch_id for number in range(2)}
    assert len(names) == 2
    for name in names:
        assert len(owed([switch(name)], {})) == 1


def test_what_is_told_is_the_switch_as_it_was_pulled_and_who_pulled_it() -> None:
    [pulled] = messages_of(switch(reductions=KillReductions.ALL))
    assert (pulled.path, pulled.by) == ("/kill-switches", "ann")
    assert pulled.body is not None
    assert pulled.body.model_dump(exclude_none=True) == {
        "kill_switch_id": "ks-1",
        "scope": "FIRM",
        "reason": "fire drill",
        "allow_reducing": True,
    }


def test_both_who_released_say_so_in_their_sequence() -> None:
    told = messages_of(released(release_requested_by="carl"))
    assert [(each.path, each.by) for each in told] == [
        ("/kill-switches/ks-1/release", "carl"),
        ("/kill-switches/ks-1/release", "bob"),
    ]
