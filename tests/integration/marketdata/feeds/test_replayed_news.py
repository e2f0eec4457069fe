"""Replays of raw streams: what the checks of their messages say comes with the rows, in its time, and once."""

import gzip
from collections import Counter
from pathlib import Path
from time import monotonic

import pytest

from services.marketdata.core.thresholds import DEFAULTS, Bands, Thresholds
from services.marketdata.feeds.connector import Delivery, Stream, rows_of
from services.marketdata.feeds.recording import WatchedStream
from services.marketdata.feeds.replay_connector import ReplayConnector
from services.marketdata.feeds.runner import Runner
from services.marketdata.feeds.source import Source
from services.marketdata.formats.discover import discover, discover_all
from shared.schemas.base import Severity
from tests.integration.marketdata.feeds.sources import Sink
from tests.integration.marketdata.feeds.test_replay_connector import CLOCK, SAMPLE

pytestmark = pytest.mark.integration

STREAM = "binance_futures_btcusdt_stream_20240808.jsonl.gz"


async def bands(_: str) -> Thresholds:
    return DEFAULTS


def streams(folder: Path, *kinds: str) -> list[WatchedStream]:
    """The raw streams of a folder."""
    found = [each for each in discover_all(folder) if each.raw is not None and each.name.rpartition("-")[2] in kinds]
    return [WatchedStream(each, each.raw, bands) for each in found if each.raw is not None]


async def deliveries(connector: ReplayConnector, most: int = 10**9) -> list[Delivery]:
    """Return what a replay gives, all of it taken."""
    (job,) = connector.jobs()
    assert isinstance(job, Stream)
    found: list[Delivery] = []
    stream = job.open()
    try:
        async for delivery in stream:
            found.append(delivery)
            delivery.taken()
            if connector.position >= most:
                break
    finally:
        await stream.aclose()
    return found


def counts(found: list[Delivery]) -> Counter[tuple[str, str]]:
    """Return how many messages were told of each source and code."""
    counted: Counter[tuple[str, str]] = Counter()
    for each in found:
        for one in each.news.found if each.news else ():
            counted[each.batch.source, one.issue.code] += one.messages
    return counted


def cut(folder: Path) -> Path:
    """The bundled stream without the update in its middle."""
    lines = gzip.decompress((SAMPLE / STREAM).read_bytes()).splitlines(keepends=True)
    updates = [place for place, line in enumerate(lines) if b'"depthUpdate"' in line]
    del lines[updates[len(updates) // 2]]
    (folder / STREAM).write_bytes(gzip.compress(b"".join(lines)))
    return folder


async def test_what_was_taken_of_a_stream_is_not_told_again_by_whoever_goes_on() -> None:
    kinds = ("trades", "quotes", "books")
    whole = await deliveries(ReplayConnector("replay.it", streams(SAMPLE, *kinds), CLOCK, speed=0))
    first = ReplayConnector("replay.it", streams(SAMPLE, *kinds), CLOCK, speed=0)
    some = await deliveries(first, most=1_000)
    assert 0 < first.position < 2_400
    second = ReplayConnector("replay.it", streams(SAMPLE, *kinds), CLOCK, speed=0, position=first.position)
    rest = await deliveries(second)
    assert counts(some) + counts(rest) == counts(whole)
    assert len(counts(some)) == len(counts(rest)) == 3
    # What stood before stands for whoever goes on, though nothing new is said of it yet.
    assert {one.news.standing for one in rest if one.news} == {frozenset({"clock_skew"})}
    rows = [row for one in whole for row in rows_of(one.batch)]
    assert len(rows) == sum(len(rows_of(one.batch)) for one in [*some, *rest])


async def test_news_come_at_the_pace_of_their_messages_though_no_book_follows(tmp_path: Path) -> None:
    recordings = streams(cut(tmp_path), "books", "quotes")
    connector = ReplayConnector("replay.it", recordings, CLOCK, speed=5)
    (job,) = connector.jobs()
    assert isinstance(job, Stream)
    began, quotes, told = monotonic(), 0, 0
    async for delivery in job.open():
        quotes += len(rows_of(delivery.batch)) if delivery.batch.source == "binance.futures.quotes" else 0
        if delivery.news and any(one.issue.code == "sequence_break" for one in delivery.news.found):
            told = quotes
            assert delivery.batch.source == "binance.futures.books"
            assert monotonic() - began > 0.6
    # Ten seconds were recorded, and the update is missing in the middle of them: quotes go on.
    assert 1.8 < monotonic() - began < 8
    assert 0.3 * quotes < told < 0.7 * quotes


async def test_news_alone_come_beside_a_batch_without_rows(tmp_path: Path) -> None:
    lines = gzip.decompress((SAMPLE / STREAM).read_bytes()).splitlines(keepends=True)
    # Updates of a book that no snapshot was kept of: none of them makes a row.
    updates = [line for line in lines if b'"depthUpdate"' in line]
    (tmp_path / STREAM).write_bytes(gzip.compress(b"".join(updates)))
    found = await deliveries(
        ReplayConnector("replay.it", streams(tmp_path, "books"), CLOCK, speed=0, simulation_id="sim-1")
    )
    assert [(one.batch.source, one.batch.simulation_id, len(rows_of(one.batch))) for one in found] == [
        ("binance.futures.books", "sim-1", 0)
    ]
    assert counts(found) == {("binance.futures.books", "clock_skew"): len(updates) - 19}


async def test_of_what_was_made_of_no_raw_stream_there_are_no_news() -> None:
    dataset = next(each for each in discover(SAMPLE) if each.interval == "1m")
    found = await deliveries(ReplayConnector("replay.it", [dataset], CLOCK, speed=0), most=1)
    assert {one.news for one in found} == {None}


async def test_two_symbols_of_a_source_are_told_of_apart(tmp_path: Path) -> None:
    text = gzip.decompress((SAMPLE / STREAM).read_bytes())
    (tmp_path / STREAM).write_bytes(gzip.compress(text))
    other = text.replace(b"BTCUSDT", b"ETHUSDT")
    (tmp_path / STREAM.replace("btcusdt", "ethusdt")).write_bytes(gzip.compress(other))
    found = await deliveries(ReplayConnector("replay.it", streams(tmp_path, "trades"), CLOCK, speed=0))
    for one in found:
        assert one.news is not None
        assert {row.symbol for row in rows_of(one.batch)} <= {one.news.symbol}
    assert {one.news.symbol for one in found if one.news} == {"BTCUSDT", "ETHUSDT"}


async def test_a_replay_waits_until_it_can_learn_the_bands() -> None:
    asked: list[str] = []

    async def away_at_first(symbol: str) -> Thresholds:
        asked.append(symbol)
        if len(asked) == 1:
            raise ConnectionError("the database is away")
        return Thresholds({"clock_skew": Bands(1.0, None)})

    dataset = next(each for each in discover_all(SAMPLE) if each.name == "binance-futures-btcusdt-trades")
    assert dataset.raw is not None
    connector = ReplayConnector("replay.it", [WatchedStream(dataset, dataset.raw, away_at_first)], CLOCK, speed=0)
    sink = Sink()
    await Runner(connector, Source("replay.it", CLOCK.now()), sink, CLOCK).run()
    assert asked == ["BTCUSDT", "BTCUSDT"]
    told = [one.issue for news in sink.news if news for one in news.found]
    assert {(issue.code, issue.severity) for issue in told} == {("clock_skew", Severity.WARNING)}
    assert len(sink.ids) == sum(1 for _ in dataset.records())
