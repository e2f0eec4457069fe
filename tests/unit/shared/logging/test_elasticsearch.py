import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.logging.elasticsearch import ElasticsearchHandler, Pace
from shared.logging.queueing import LineFormatter
from tests.unit.shared.logging.bulk_server import BulkServer

pytestmark = pytest.mark.unit

FAST = Pace(
    batch_lines=10, flush_interval=0.02, attempts=3, first_wait=0.01, longest_wait=0.02, first_probe=0.05,
    longest_probe=0.1, timeout=1.0, close_timeout=2.0,
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[BulkServer]:
    running = BulkServer()
    yield running
    running.close()


@pytest.fixture
def fallback(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "elasticsearch-fallback.json"


@pytest.fixture
def start(fallback: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ElasticsearchHandler]]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    started = []

    def make(url: str, pace: Pace = FAST, api_key: str | None = None) -> ElasticsearchHandler:
        handler = ElasticsearchHandler(url, api_key, "keelson-logs", fallback, pace)
        handler.setFormatter(LineFormatter())
        started.append(handler)
        return handler

    yield make
    for handler in started:
        handler.close()


def send(handler: ElasticsearchHandler, *numbers: int, **fields: Any) -> None:
    for number in numbers:
        handler.handle(logging.makeLogRecord({"msg": json.dumps({"n": number, **fields})}))


def eventually(condition: Callable[[], bool], within: float = 8.0) -> None:
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


def kept(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()] if path.exists() else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_lines_arrive_in_order_in_batches_with_the_api_key(server: BulkServer, start: Any, fallback: Path) -> None:
    handler = start(server.url, api_key="the-key")
    send(handler, *range(25))
    eventually(lambda: len(server.documents) == 25)
    assert server.numbers() == list(range(25))
    assert server.requests < 25
    assert server.headers[0]["Authorization"] == "ApiKey the-key"
    assert server.headers[0]["path"] == "/_bulk"
    assert not fallback.exists()


def test_closing_delivers_what_is_buffered(server: BulkServer, start: Any) -> None:
    handler = start(server.url, Pace(flush_interval=60))
    send(handler, 1, 2, 3)
    handler.close()
    assert server.numbers() == [1, 2, 3]


def test_a_line_after_closing_is_kept(server: BulkServer, start: Any, fallback: Path) -> None:
    handler = start(server.url)
    handler.close()
    send(handler, 7)
    assert kept(fallback) == [7]


def test_while_it_is_down_lines_are_kept_and_sent_once_it_is_back(
    start: Any, fallback: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    handler = start(f"http://127.0.0.1:{port}")
    caplog.set_level(logging.INFO, logger="shared.logging.elasticsearch")
    for number in range(40):
        send(handler, number)
        time.sleep(0.005)
    eventually(lambda: kept(fallback) == list(range(40)))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    server = BulkServer(port)
    try:
        eventually(lambda: server.numbers() == list(range(40)) and not fallback.exists())
        eventually(lambda: len(caplog.records) == 2)
        send(handler, 40)
        eventually(lambda: server.numbers() == list(range(41)))
    finally:
        server.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize("status", [503, 429, 401, 404, 302])
def test_a_failing_answer_keeps_every_line_until_it_is_right_again(
    server: BulkServer, start: Any, fallback: Path, status: int
) -> None:
    server.behave = lambda documents: status
    handler = start(server.url)
    send(handler, *range(15))
    eventually(lambda: kept(fallback) == list(range(15)))
    server.behave = lambda documents: [201] * len(documents)
    eventually(lambda: server.numbers() == list(range(15)) and not fallback.exists())


def test_a_short_fault_is_bridged_by_retries_without_the_file(server: BulkServer, start: Any, fallback: Path) -> None:
    answers = iter([503, 429])
    server.behave = lambda documents: next(answers, [201] * len(documents))
    handler = start(server.url)
    send(handler, 1, 2)
    eventually(lambda: server.numbers() == [1, 2])
    assert server.requests == 3
    assert not fallback.exists()


def test_lines_refused_for_load_alone_are_sent_again_alone(server: BulkServer, start: Any, fallback: Path) -> None:
    sizes = []

    def busy(documents: list[dict[str, Any]]) -> list[int]:
        sizes.append(len(documents))
        return (
            [201 if document["n"] % 2 else 429 for document in documents] if len(sizes) == 1 else [201] * len(documents)
        )

    server.behave = busy
    handler = start(server.url, Pace(batch_lines=10, flush_interval=60, first_wait=0.01))
    send(handler, *range(10))
    eventually(lambda: len(server.documents) == 10)
    assert sizes == [10, 5]
    assert not fallback.exists()


def test_a_line_refused_for_good_is_put_aside_told_once_and_blocks_nothing(
    server: BulkServer, start: Any, fallback: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.behave = lambda documents: [400 if document["n"] % 5 == 0 else 201 for document in documents]
    handler = start(server.url)
    send(handler, *range(40))
    eventually(lambda: len(server.documents) == 32)
    rejected = fallback.with_name("elasticsearch-fallback-rejected.json")
    eventually(lambda: kept(rejected) == list(range(0, 40, 5)))
    requests = server.requests
    time.sleep(0.2)
    assert server.requests == requests, "it was sent again"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "document_parsing_exception" in caplog.text
    assert not fallback.exists()


@pytest.mark.parametrize("status", [400, 413])
def test_a_line_for_which_a_whole_request_is_refused_is_found(
    server: BulkServer, start: Any, fallback: Path, status: int
) -> None:
    def refuse(documents: list[dict[str, Any]]) -> Any:
        return status if any(document["n"] == 6 for document in documents) else [201] * len(documents)

    server.behave = refuse
    handler = start(server.url)
    send(handler, *range(10))
    eventually(lambda: sorted(server.numbers()) == [0, 1, 2, 3, 4, 5, 7, 8, 9])
    eventually(lambda: kept(fallback.with_name("elasticsearch-fallback-rejected.json")) == [6])


def test_an_answer_cut_short_duplicates_nothing(server: BulkServer, start: Any, fallback: Path) -> None:
    answers = iter(["cut", "cut"])
    server.behave = lambda documents: next(answers, [201] * len(documents))
    handler = start(server.url, Pace(batch_lines=10, flush_interval=60, first_wait=0.01))
    send(handler, *range(10))
    eventually(lambda: server.requests == 3)
    assert server.numbers() == list(range(10))
    assert not fallback.exists()


def test_lines_an_earlier_run_left_are_sent_first(server: BulkServer, start: Any, fallback: Path) -> None:
    fallback.parent.mkdir()
    lines = [json.dumps({"n": number}) for number in range(35)]
    fallback.write_text("\n".join(lines) + '\n{"n": 35, "torn by a ki')
    handler = start(server.url)
    send(handler, 99)
    eventually(lambda: server.numbers() == [*range(35), 99])
    eventually(lambda: not fallback.exists())
    assert "torn by a ki" in fallback.with_name("elasticsearch-fallback-rejected.json").read_text()


def test_only_what_was_accepted_leaves_the_file(server: BulkServer, start: Any, fallback: Path) -> None:
    fallback.parent.mkdir()
    fallback.write_text("".join(json.dumps({"n": number}) + "\n" for number in range(30)))
    server.behave = lambda documents: [201 if document["n"] not in (13, 17) else 503 for document in documents]
    start(server.url)
    eventually(lambda: server.numbers() == [*range(13), 14, 15, 16, 18, 19])
    eventually(lambda: kept(fallback) == [13, 17, *range(20, 30)])
    server.behave = lambda documents: [201] * len(documents)
    eventually(lambda: sorted(server.numbers()) == list(range(30)) and not fallback.exists())


def test_closing_while_it_is_down_keeps_every_line(start: Any, fallback: Path) -> None:
    handler = start(f"http://127.0.0.1:{free_port()}", Pace(flush_interval=60, first_wait=5))
    send(handler, *range(100))
    began = time.monotonic()
    handler.close()
    assert time.monotonic() - began < 4
    assert kept(fallback) == list(range(100))


def test_closing_does_not_wait_for_a_server_that_never_answers(start: Any, fallback: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        handler = start(
            f"http://127.0.0.1:{silent.getsockname()[1]}", Pace(batch_lines=5, timeout=3, close_timeout=0.3)
        )
        send(handler, *range(5))
        eventually(lambda: bool(handler._in_flight))
        send(handler, 5, 6)
        began = time.monotonic()
        handler.close()
        assert time.monotonic() - began < 2
        assert sorted(set(kept(fallback))) == list(range(7))
    handler._thread.join(5)


def test_more_lines_than_memory_may_hold_go_to_the_file_and_arrive(
    server: BulkServer, start: Any, fallback: Path
) -> None:
    handler = start(server.url, Pace(batch_lines=1_000, flush_interval=0.3, buffer_bytes=200, first_probe=0.05))
    send(handler, *range(100))
    assert fallback.exists()
    eventually(lambda: sorted(server.numbers()) == list(range(100)))
    eventually(lambda: not fallback.exists())


def test_a_full_file_is_told_of_once_and_does_not_grow(
    start: Any, fallback: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pace = Pace(flush_interval=0.01, attempts=1, fallback_bytes=300, first_probe=60)
    handler = start(f"http://127.0.0.1:{free_port()}", pace)
    for number in range(100):
        send(handler, number)
        time.sleep(0.002)
    eventually(lambda: "it is full" in caplog.text)
    handler.close()
    assert fallback.stat().st_size <= 300
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert kept(fallback) == list(range(len(kept(fallback))))


def test_a_file_that_cannot_be_written_stops_nothing(
    server: BulkServer, start: Any, fallback: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fallback.parent.write_text("a file where the folder should be")
    server.behave = lambda documents: 503
    handler = start(server.url)
    send(handler, 1)
    eventually(lambda: "lines are lost" in caplog.text)
    server.behave = lambda documents: [201] * len(documents)
    fallback.parent.unlink()
    time.sleep(0.1)
    send(handler, 2)
    eventually(lambda: server.numbers() == [2])
