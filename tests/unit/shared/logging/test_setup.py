import json
import logging
import logging.config
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn.config
from pydantic import SecretStr, ValidationError

from shared.logging import Category, LogSettings, configure_logging, get_trading_logger
from shared.logging.formatter import EcsFormatter
from shared.logging.queueing import BoundedQueueHandler, SinkListener
from tests.unit.shared.logging.bulk_server import BulkServer

pytestmark = pytest.mark.unit

Configure = Callable[..., Callable[[], None]]


@pytest.fixture
def configure() -> Iterator[Configure]:
    closers: list[Callable[[], None]] = []

    def make(**settings: Any) -> Callable[[], None]:
        closers.append(configure_logging(LogSettings(**({"service": "risk"} | settings))))
        return closers[-1]

    yield make
    for close in closers:
        close()


def messages(text: str) -> list[str]:
    return [json.loads(line)["message"] for line in text.splitlines()]


def test_a_line_goes_to_standard_output_and_the_services_file(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close = configure(file=tmp_path / "app.json")
    get_trading_logger("x", Category.RISK).info("hello", password="hunter2")
    close()
    out = capsys.readouterr().out
    assert messages(out) == ["hello"]
    assert "hunter2" not in out
    assert (tmp_path / "app-risk.json").read_text() == out


def test_lines_below_the_level_are_not_written(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    close = configure(level="WARNING")
    logging.getLogger("x").info("quiet")
    logging.getLogger("x").warning("loud")
    close()
    assert messages(capsys.readouterr().out) == ["loud"]


def test_configuring_twice_writes_each_line_once_until_the_last_closer(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = configure(), configure()
    logging.getLogger("x").warning("one")
    first()
    first()
    logging.getLogger("x").warning("two")
    second()
    logging.getLogger("x").warning("three")
    assert messages(capsys.readouterr().out) == ["one", "two"]


def test_other_settings_replace_the_former_and_old_closers_do_no_harm(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    old = configure()
    logging.getLogger("x").warning("one")
    new = configure(service="ml")
    old()
    logging.getLogger("x").warning("two")
    new()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["message"], line["service"]["name"]) for line in lines] == [("one", "risk"), ("two", "ml")]


def test_closing_leaves_logging_as_it_was(configure: Configure) -> None:
    before = (list(logging.root.handlers), logging.root.level, logging.getLogger("httpx").level)
    configure(level="DEBUG")()
    assert (list(logging.root.handlers), logging.root.level, logging.getLogger("httpx").level) == before
    assert not [thread for thread in threading.enumerate() if "_monitor" in thread.name]


def test_uvicorns_lines_go_the_same_way_once(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    close = configure()
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7, extra={"color_message": "x"})
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "a:1", "GET", "/x", "1.1", 200)
    close()
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["message"] for line in lines] == ["Started server process [7]", 'a:1 - "GET /x HTTP/1.1" 200']
    assert "color_message" not in lines[0]["keelson"]
    assert captured.err == ""


def test_an_access_log_that_was_switched_off_stays_off(configure: Configure) -> None:
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    try:
        configure()
        assert not access.hasHandlers()
    finally:
        access.propagate = True


def test_warnings_are_log_lines(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    close = configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("beware", UserWarning, stacklevel=1)
    close()
    assert "beware" in messages(capsys.readouterr().out)[0]


def test_the_value_at_the_time_of_the_call_is_logged(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    close = configure()
    fields = {"n": 1}
    get_trading_logger("x", Category.RISK).info("now", fields=fields)
    fields["n"] = 2
    close()
    assert json.loads(capsys.readouterr().out)["keelson"]["fields"] == {"n": 1}


def test_elasticsearch_gets_every_line_and_nothing_about_its_own_delivery(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = BulkServer()
    try:
        close = configure(
            level="DEBUG",
            elasticsearch_url=server.url,
            elasticsearch_api_key=SecretStr("k"),
            fallback_file=tmp_path / "f.json",
        )
        logging.getLogger("httpx").setLevel(logging.DEBUG)
        logging.getLogger("httpcore").setLevel(logging.DEBUG)
        logging.getLogger("x").info("one")
        time.sleep(1.3)
        logging.getLogger("x").info("two")
        close()
    finally:
        server.close()
    assert [document["message"] for document in server.documents.values()] == ["one", "two"]
    assert messages(capsys.readouterr().out) == ["one", "two"]


class Stuck(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.go.wait(10)
        self.lines += record.getMessage().split("\n")


def test_a_stuck_sink_never_blocks_the_caller_and_drops_are_counted() -> None:
    handler, sink = BoundedQueueHandler(EcsFormatter("risk", "test"), bound=100), Stuck()
    listener = SinkListener(handler, sink)
    listener.start()
    began = time.monotonic()
    for number in range(300):
        handler.handle(logging.makeLogRecord({"msg": f"info {number}", "levelno": logging.INFO}))
    handler.handle(logging.makeLogRecord({"msg": "important", "levelno": logging.ERROR}))
    assert time.monotonic() - began < 2
    assert not listener.close(0.05)
    sink.go.set()
    for thread in threading.enumerate():
        if thread.name == "log-writer":
            thread.join(10)
    lines = [json.loads(line) for line in sink.lines]
    dropped = [line["keelson"]["dropped"] for line in lines if line["event"].get("action") == "log-lines-dropped"]
    written = [line for line in lines if line["message"].startswith("info")]
    assert sum(dropped) + len(written) == 300
    # A hundred may wait, and those the stuck sink holds have been taken.
    assert sum(dropped) >= 99
    assert any(line["message"] == "important" for line in lines)


def test_a_line_is_written_soon_without_being_asked_for(tmp_path: Path) -> None:
    close = configure_logging(LogSettings(service="risk", stdout=False, file=tmp_path / "app.json"))
    try:
        logging.getLogger("x").warning("soon")
        deadline = time.monotonic() + 5
        while not (tmp_path / "app-risk.json").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert messages((tmp_path / "app-risk.json").read_text()) == ["soon"]
    finally:
        close()


class Broken(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("broken sink")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        return


def test_one_broken_sink_takes_nothing_from_the_others() -> None:
    handler, sink = BoundedQueueHandler(EcsFormatter("risk", "test"), bound=100), Stuck()
    sink.go.set()
    listener = SinkListener(handler, Broken(), sink)
    listener.start()
    for number in range(3):
        handler.handle(logging.makeLogRecord({"msg": str(number), "levelno": logging.INFO}))
    assert listener.close(5)
    assert [json.loads(line)["message"] for line in sink.lines] == ["0", "1", "2"]


def test_a_record_that_cannot_even_be_judged_raises_nothing_and_shows_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = BoundedQueueHandler(EcsFormatter("risk", "test"), bound=100)
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"msg": "password=%s", "args": ("hunter2",), "levelno": None}))
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert err.count("could not be queued") == 1


def run(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    head = (
        "import logging, os, sys\nfrom pathlib import Path\nfrom shared.logging import LogSettings, configure_logging\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + code], capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "LANG": "C", "FOLDER": str(tmp_path)},
    )  # fmt: skip


def test_a_process_that_ends_without_closing_writes_its_last_lines(tmp_path: Path) -> None:
    done = run("configure_logging(LogSettings(service='risk'))\nlogging.warning('last \u20b9')", tmp_path)
    assert messages(done.stdout) == ["last \u20b9"]
    assert done.stderr == ""


def test_a_forked_child_logs_by_itself(tmp_path: Path) -> None:
    code = (
        "configure_logging(LogSettings(service='risk'))\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    logging.warning('child'); sys.stdout.flush(); os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\nlogging.warning('parent')"
    )
    done = run(code, tmp_path)
    assert messages(done.stdout) == ["child", "parent"], done.stderr


def test_a_closed_standard_output_is_told_of_once_and_stops_nothing(tmp_path: Path) -> None:
    code = (
        "close = configure_logging(LogSettings(service='risk', file=Path(os.environ['FOLDER']) / 'app.json'))\n"
        "sys.stdout.close()\nfor n in range(5): logging.warning(str(n))\nclose()"
    )
    done = run(code, tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("standard output cannot be written") == 1
    assert messages((tmp_path / "app-risk.json").read_text()) == list("01234")


def test_a_log_file_that_cannot_be_made_stops_the_start_and_changes_nothing(
    configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    before = list(logging.root.handlers)
    with pytest.raises(OSError, match="file"):
        configure(file=tmp_path / "file" / "app.json")
    assert logging.root.handlers == before


@pytest.mark.parametrize("settings", [{"level": "LOUD"}, {"service": "a/b"}, {"colour": "red"}, {"file_backups": 0}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LogSettings(**({"service": "risk"} | settings))


def test_the_api_key_is_not_shown() -> None:
    assert "the-key" not in repr(LogSettings(service="risk", elasticsearch_api_key=SecretStr("the-key")))
