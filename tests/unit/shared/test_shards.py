import string
from collections import Counter
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.shards import Shard, shard_of

pytestmark = pytest.mark.unit

IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}\Z")


def test_the_shard_is_what_nginx_was_seen_to_choose() -> None:
    # Of nginx 1.22.1: `hash $account;` over three servers.
    assert {name: shard_of(name, 3) for name in ("main", "a", "desk.1:eu-west", "Z" * 64, "0")} == {
        "main": 1,
        "a": 2,
        "desk.1:eu-west": 1,
        "Z" * 64: 1,
        "0": 2,
    }


@given(IDS, st.integers(1, 50))
def test_an_account_is_of_exactly_one_shard(account_id: str, shards: int) -> None:
    assert [number for number in range(shards) if Shard(number, shards).has(account_id)] == [
        shard_of(account_id, shards)
    ]


@given(IDS)
def test_the_published_algorithm(account_id: str) -> None:
    assert shard_of(account_id, 7) == (crc32(account_id.encode("ascii")) // 65536 % 32768) % 7


def test_accounts_are_spread() -> None:
    counts = Counter(shard_of(f"{letter}-{number}", 4) for letter in string.ascii_letters for number in range(200))
    assert all(abs(count / (52 * 200 / 4) - 1) < 0.1 for count in counts.values())


def test_the_others_are_all_but_this_one() -> None:
    assert Shard(1, 4).others == [0, 2, 3]
    assert Shard().others == []
    assert str(Shard(1, 4)) == "shard 1 of 4"
