"""How much of a scored request is the score: one row through onnxruntime against `POST /predictions` on a socket.

Run with `python -m benchmarks.ml_score`. PostgreSQL and Valkey are started for it, durable as in production.
"""

import asyncio
import json
import threading
import time
from http.client import HTTPConnection
from statistics import quantiles
from typing import Any

import uvicorn

from benchmarks._servers import servers
from services.ml.core.signature import probe_rows
from services.ml.main import create
from services.ml.scoring import Scorer
from services.ml.settings import MlSettings
from shared.roles import Role
from tests.integration.ml.bodies import MODELS, PREDICTIONS, request, upload
from tests.unit.ml.onnx_factory import model, signature

_REQUESTS = 1_000
_SCORES = 20_000
_WARM_UP = 100


def main() -> None:
    """Measure and print."""
    score = _score_seconds()
    requests = _request_seconds()
    _print("one row through onnxruntime", score)
    _print("POST /predictions, whole", requests)
    print(f"the score is 1/{_median(requests) / _median(score):.0f} of the request (medians)")


def _score_seconds() -> list[float]:
    scorer = Scorer(model().SerializeToString())
    row = probe_rows(signature())[0]
    seconds = []
    for _ in range(_SCORES):
        start = time.perf_counter()
        scorer.score(row)
        seconds.append(time.perf_counter() - start)
    return seconds[_WARM_UP:]


def _request_seconds() -> list[float]:
    with servers("ml") as found:
        more = {"log_level": "WARNING", "elasticsearch_fallback_file": found.folder / "fallback.json"}
        return _serve_and_measure(MlSettings.model_validate(found.settings(**more)), found.token(Role.SERVICE))


def _serve_and_measure(settings: MlSettings, token: str) -> list[float]:
    server = uvicorn.Server(
        uvicorn.Config(create(settings), host="127.0.0.1", port=0, loop="uvloop", log_config=None, access_log=False)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the service did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        client = _Client(port, token)
        client.call("POST", MODELS, upload())
        client.call("PUT", f"{MODELS}/edge/aliases/champion", {"version": "1.0.0"})
        seconds = [client.call("POST", PREDICTIONS, request(f"bench-{index}")) for index in range(_WARM_UP + _REQUESTS)]
        return seconds[_WARM_UP:]
    finally:
        server.should_exit = True
        thread.join()


class _Client:
    """One connection that stays open."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: dict[str, Any]) -> float:
        """Send a request and return its seconds. Raises RuntimeError unless it succeeds."""
        text = json.dumps(body)
        start = time.perf_counter()
        self._connection.request(method, path, text, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - start
        if response.status not in {200, 201}:
            raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
        return seconds


def _median(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[49]


def _print(what: str, seconds: list[float]) -> None:
    cuts = quantiles(seconds, n=100)
    print(
        f"{what:<30} p50 {cuts[49] * 1e6:9.1f} us   p95 {cuts[94] * 1e6:9.1f} us   p99 {cuts[98] * 1e6:9.1f} us"
        f"   n {len(seconds)}"
    )


if __name__ == "__main__":
    main()
