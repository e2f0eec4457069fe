import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.ml.model_cache import LoadedModel, ModelCache
from services.ml.scoring import Scorer
from shared.clock import ManualClock
from tests.unit.ml.onnx_factory import model, signature

pytestmark = pytest.mark.unit


def _loaded(name: str = "edge", *, slow: bool = False) -> LoadedModel:
    return LoadedModel(name, "1.0.0", "0" * 64, signature(), Scorer(model().SerializeToString()), slow)


class _Loads:
    def __init__(self) -> None:
        self.names: list[str] = []

    async def __call__(self) -> LoadedModel:
        await asyncio.sleep(0)
        self.names.append("load")
        return _loaded()


def _cache(capacity: int) -> ModelCache:
    return ModelCache(capacity, ManualClock(datetime(2024, 5, 1, tzinfo=UTC)))


async def test_a_burst_on_one_model_loads_it_once() -> None:
    cache, loads = _cache(2), _Loads()
    found = await asyncio.gather(*(cache.get("a", loads) for _ in range(20)))
    assert loads.names == ["load"]
    assert all(each is found[0] for each in found)


async def test_the_least_recently_used_is_dropped_beyond_capacity() -> None:
    cache, loads = _cache(2), _Loads()
    first = await cache.get("a", loads)
    await cache.get("b", loads)
    assert await cache.get("a", loads) is first
    await cache.get("c", loads)
    assert len(cache) == 2
    assert await cache.get("a", loads) is first
    await cache.get("b", loads)
    assert len(loads.names) == 4


async def test_a_failed_load_is_tried_again() -> None:
    cache = _cache(2)

    async def fail() -> LoadedModel:
        raise RuntimeError("altered")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="altered"):
            await cache.get("a", fail)
    assert len(cache) == 0
    assert (await cache.get("a", _Loads())).name == "edge"


async def test_a_slow_model_scores_in_a_thread_with_the_same_result() -> None:
    row = (1.0, 2.0, 0.5)
    assert await _loaded(slow=True).score(row) == await _loaded(slow=False).score(row)


def test_only_a_model_above_a_millisecond_is_slow() -> None:
    clock = ManualClock(datetime(2024, 5, 1, tzinfo=UTC))

    class Timed(Scorer):
        takes = timedelta(0)

        def score(self, row):  # type: ignore[no-untyped-def]
            clock.advance(self.takes)
            return super().score(row)

    scorer = Timed(model().SerializeToString())
    cache = ModelCache(1, clock)
    assert not cache.is_slow(scorer, signature())
    scorer.takes = timedelta(milliseconds=1)
    assert not cache.is_slow(scorer, signature())
    scorer.takes = timedelta(milliseconds=1, microseconds=1)
    assert cache.is_slow(scorer, signature())
