"""Messages a second of a futures stream through the parser, all checks and the kept book, on one core.

The recorded messages of ../shared/data or, where it is not there, the bundled part of them over and over. The steps
take turns in every round, each told as a ratio to `json.loads` of the same lines alone: `python -m benchmarks.stream`.
"""

import gc
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from cli.training.sample import SAMPLE
from services.marketdata.core.stream.book import OrderBookBuilder
from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.messages import BadMessage, DepthSnapshot, DepthUpdate
from services.marketdata.core.stream.monitor import StreamMonitor
from services.marketdata.core.thresholds import DEFAULTS
from services.marketdata.formats.binance_stream import parse_line

ROUNDS = 5
LEAST_MESSAGES = 90_000
SYMBOL = "BTCUSDT"
NAME = "binance_futures_btcusdt_stream_20240808.jsonl.gz"
FULL = Path(__file__).parents[2] / "shared" / "data" / NAME


def main() -> None:
    """Measure and print."""
    path = FULL if FULL.exists() else SAMPLE / NAME
    recorded = gzip.decompress(path.read_bytes()).decode().splitlines()
    lines = recorded * -(-LEAST_MESSAGES // len(recorded))
    steps: dict[str, Callable[[list[str]], None]] = {
        "json.loads alone": _json,
        "orjson.loads alone": _orjson,
        "parse": _parse,
        "parse and check": _check,
        "parse, check and keep the book": _keep,
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            gc.collect()
            start = time.perf_counter()
            step(lines)
            seconds[name].append(time.perf_counter() - start)
    base = min(seconds["json.loads alone"])
    print(f"{len(lines):,} messages of {path.name}, best of {ROUNDS}")
    for name, spent in seconds.items():
        best = min(spent)
        print(f"{name:<32} {len(lines) / best:10,.0f} messages/s   {best / base:6.2f} x json.loads")


def _json(lines: list[str]) -> None:
    for line in lines:
        json.loads(line.partition(" ")[2])


def _orjson(lines: list[str]) -> None:
    for line in lines:
        orjson.loads(line.partition(" ")[2])


def _parse(lines: list[str]) -> None:
    for line in lines:
        parse_line(line, SYMBOL)


def _check(lines: list[str]) -> None:
    monitor = StreamMonitor({SYMBOL: Watch(DEFAULTS, 0.1)})
    for line in lines:
        message = parse_line(line, SYMBOL)
        if not isinstance(message, BadMessage):
            monitor.observe(message)
    if monitor.messages(SYMBOL) == 0:
        raise RuntimeError("nothing was checked")


def _keep(lines: list[str]) -> None:
    monitor = StreamMonitor({SYMBOL: Watch(DEFAULTS, 0.1)})
    builder = OrderBookBuilder(SYMBOL)
    for line in lines:
        message = parse_line(line, SYMBOL)
        if isinstance(message, BadMessage):
            continue
        monitor.observe(message)
        if isinstance(message, DepthUpdate):
            builder.apply(message)
        elif isinstance(message, DepthSnapshot):
            builder.snapshot(message)
    if not builder.ready:
        raise RuntimeError("the book was lost")


if __name__ == "__main__":
    main()
