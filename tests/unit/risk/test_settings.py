import pytest
from pydantic import ValidationError

from services.risk.settings import RiskSettings
from shared.shards import Shard

pytestmark = pytest.mark.unit

SERVERS = {"database_url": "postgresql://h/d", "redis_url": "redis://h/0", "service_token": "token"}


def test_a_shard_knows_its_peers_and_their_replicas() -> None:
    settings = RiskSettings(
        **SERVERS,
        risk_shards=3,
        risk_shard=1,
        risk_peers="http://a:1|http://a:2,http://b, https://c",
        environment="test",
    )
    assert settings.shard == Shard(1, 3)
    assert settings.peer_urls == {0: ["http://a:1", "http://a:2"], 2: ["https://c"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"risk_shards": 2, "risk_shard": 2, "risk_peers": "http://a,http://b"},
        {"risk_shards": 2},
        # The own one is named too.
        {"risk_shards": 3, "risk_peers": "http://a,http://b"},
        {"risk_shards": 3, "risk_peers": "http://a,http://b,http://c,http://d"},
        {"risk_peers": "http://a,http://b"},
        {"risk_shards": 2, "risk_peers": "http://a,b"},
        {"risk_shards": 2, "risk_peers": "http://a,http://b", "service_token": None},
    ],
)
def test_shards_that_do_not_add_up_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"TRADING_RISK_|must be an http"):
        RiskSettings(**{**SERVERS, **wrong})


def test_nodes_of_different_shards_do_not_stand_in_for_each_other() -> None:
    peers = {"risk_shards": 2, "risk_peers": "http://a,http://b"}
    prints = {RiskSettings(**SERVERS, **peers, risk_shard=number).fingerprint() for number in range(2)}
    assert len(prints | {RiskSettings(**SERVERS).fingerprint()}) == 3
