"""Models ready to score, loaded from the registry when first asked for."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from services.ml import metrics
from services.ml.core.signature import probe_rows
from services.ml.scoring import Score, Scorer
from shared.clock import Clock
from shared.schemas.ml import ModelSignature

# Slower models score in a thread, so that one of them does not hold up every other request. Handing a row to a thread
# costs about 140 us, and a small model takes less than 10.
_SLOW = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to score, with what the registry says of it."""

    name: str
    version: str
    sha256: str
    signature: ModelSignature
    scorer: Scorer
    slow: bool

    async def score(self, row: tuple[float, ...]) -> Score:
        """Score one row in signature order. Raises ScoringError."""
        with metrics.SCORE_SECONDS.time():
            if self.slow:
                return await asyncio.to_thread(self.scorer.score, row)
            return self.scorer.score(row)


class ModelCache:
    """At most `capacity` models by manifest hash, the least recently used dropped first."""

    def __init__(self, capacity: int, clock: Clock) -> None:
        self._capacity = capacity
        self._clock = clock
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        # A burst on a model that is not loaded yet loads it once.
        self._loading = asyncio.Lock()

    async def get(self, manifest_hash: str, load: Callable[[], Awaitable[LoadedModel]]) -> LoadedModel:
        """Return a model, calling `load` if it is not here. What `load` raises is not remembered."""
        found = self._find(manifest_hash)
        if found is not None:
            return found
        async with self._loading:
            found = self._find(manifest_hash)
            if found is None:
                found = await load()
                self._models[manifest_hash] = found
                while len(self._models) > self._capacity:
                    self._models.popitem(last=False)
                metrics.LOADED_MODELS.set(len(self._models))
        return found

    def is_slow(self, scorer: Scorer, signature: ModelSignature) -> bool:
        """Measure whether a model takes long enough to be kept off the event loop."""
        row = probe_rows(signature)[0]
        fastest = timedelta.max
        for _ in range(3):
            start = self._clock.now()
            scorer.score(row)
            fastest = min(fastest, self._clock.now() - start)
        return fastest > _SLOW

    def __len__(self) -> int:
        return len(self._models)

    def _find(self, manifest_hash: str) -> LoadedModel | None:
        found = self._models.get(manifest_hash)
        if found is not None:
            self._models.move_to_end(manifest_hash)
        return found
