import io
import json
import logging
import sys
from typing import Any

import ecs_logging
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.logging.context import correlation_id, principal
from shared.logging.formatter import MAX_TRACE, EcsFormatter
from shared.logging.masking import MASK

pytestmark = pytest.mark.unit

SECRET = "hunter2-S3cr3t"


def record(message: Any = "hello", *args: Any, exc_info: Any = None, **attributes: Any) -> logging.LogRecord:
    made = logging.LogRecord("services.risk", logging.INFO, "/x/handlers.py", 12, message, args, exc_info, "place")
    vars(made).update(attributes)
    return made


def parse(made: logging.LogRecord) -> Any:
    line = EcsFormatter("risk", "test").format(made)
    assert "\n" not in line
    return json.loads(line)


def caught(error: BaseException) -> Any:
    try:
        raise error
    except BaseException:
        return sys.exc_info()


def test_a_line_has_the_fields_of_the_schema() -> None:
    line = parse(record("order %s", "c-1", created=1704446100.25))
    assert line["@timestamp"] == "2024-01-05T09:15:00.250000Z"
    assert line["log.level"] == "info"
    assert line["message"] == "order c-1"
    assert line["ecs.version"].startswith("8.")
    assert line["service"]["name"] == "risk"
    assert line["service"]["environment"] == "test"
    assert line["event"]["dataset"] == "risk.system"
    assert line["labels"] == {"category": "SYSTEM"}
    assert "error" not in line
    assert "trace" not in line


def test_the_common_fields_are_those_of_elastics_own_formatter() -> None:
    made = record("order %s", "c-1")
    theirs = json.loads(ecs_logging.StdlibFormatter().format(made))
    ours = parse(made)
    for name in ("log.level", "message"):
        assert ours[name] == theirs[name]
    assert ours["log"]["logger"] == theirs["log"]["logger"]
    assert ours["log"]["origin"] == theirs["log"]["origin"]
    assert ours["process"]["pid"] == theirs["process"]["pid"]
    assert ours["@timestamp"][:23] == theirs["@timestamp"][:23]


def test_every_line_is_told_from_every_other() -> None:
    formatter = EcsFormatter("risk", "test")
    made = record()
    lines = {formatter.format(made) for _ in range(100)}
    lines |= {EcsFormatter("risk", "test").format(made) for _ in range(100)}
    assert len(lines) == 200


def test_the_correlation_id_and_the_principal_are_on_the_line() -> None:
    tokens = correlation_id.set("req-1"), principal.set("alice")
    try:
        line = parse(record())
    finally:
        correlation_id.reset(tokens[0])
        principal.reset(tokens[1])
    assert line["labels"]["correlation_id"] == "req-1"
    assert line["trace"]["id"] == "req-1"
    assert line["user"]["name"] == "alice"


def test_an_exception_is_told_with_its_cause_and_without_its_secrets() -> None:
    try:
        try:
            raise KeyError(f"password={SECRET}")
        except KeyError as cause:
            raise RuntimeError(f"postgresql://bob:{SECRET}@db/x is down") from cause
    except RuntimeError:
        made = record(exc_info=sys.exc_info())
    line = parse(made)
    assert line["error"]["type"] == "RuntimeError"
    assert line["error"]["message"] == f"postgresql://bob:{MASK}@db/x is down"
    assert "KeyError" in line["error"]["stack_trace"]
    assert "test_formatter.py" in line["error"]["stack_trace"]
    assert SECRET not in json.dumps(line)


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


def test_an_exception_that_cannot_be_shown_costs_nothing_but_its_text() -> None:
    line = parse(record(exc_info=caught(Mute())))
    assert line["error"]["type"].endswith("Mute")
    assert line["message"] == "hello"


def test_a_long_trace_keeps_its_two_ends() -> None:
    line = parse(record(exc_info=caught(ValueError("start " + "x\n" * MAX_TRACE + "end"))))
    trace = line["error"]["stack_trace"]
    assert len(trace) < MAX_TRACE + 100
    assert trace.startswith("Traceback")
    assert trace.rstrip().endswith("end")


@pytest.mark.parametrize(
    ("message", "args"),
    [("%d", ("x",)), ("%s %s", ("one",)), ("100%", ("a",)), (object(), ()), (None, ()), (b"\xff", ()), ({"a": 1}, ())],
)
def test_a_wrong_message_never_costs_the_line(message: Any, args: tuple[Any, ...]) -> None:
    assert parse(record(message, *args))["event"]["sequence"] == 1


def test_named_arguments_are_masked_by_name() -> None:
    line = parse(record("%(user)s with %(password)s", {"user": "bob", "password": SECRET}))
    assert line["message"] == f"bob with {MASK}"


def test_extras_of_other_libraries_are_kept_under_our_name() -> None:
    line = parse(record(extra_field={"token": SECRET, "n": 1}))
    assert line["keelson"]["extra_field"] == {"token": MASK, "n": 1}


def test_a_line_that_cannot_be_formatted_is_told_of_all_the_same() -> None:
    line = parse(record(f"token={SECRET}", keelson_event=42))
    assert line["message"] == f"token={MASK}"
    assert line["error"]["message"] == "this log line could not be formatted in full"


def test_the_access_log_has_the_fields_of_http() -> None:
    args = ("10.0.0.1:5000", "GET", f"/api/v1/risk?token={SECRET}", "1.1", 200)
    line = parse(record('%s - "%s %s HTTP/%s" %d', *args, name="uvicorn.access"))
    assert line["http"]["response"]["status_code"] == 200
    assert line["http"]["request"]["method"] == "GET"
    assert line["url"]["original"] == f"/api/v1/risk?token={MASK}"
    assert SECRET not in json.dumps(line)


texts = st.text(st.characters(exclude_characters="\"'&<>", exclude_categories=["Cs", "Z", "Cc"]), max_size=30)
safe_texts = st.text("abc XYZ:,.-{}[]", max_size=20)
hidden = st.one_of(
    st.just({"password": SECRET}),
    st.just({"x": {"API-KEY": (SECRET, [SECRET])}}),
    safe_texts.map(lambda text: f"{text} token={SECRET}"),
    safe_texts.map(lambda text: f'{text} "secret": "a {SECRET}" {text}'),
    safe_texts.map(lambda text: f"{text} Bearer {SECRET} {text}"),
    safe_texts.map(lambda text: f"{text} redis://:{SECRET}@h:1/0 {text}"),
    safe_texts.map(lambda text: f"{text} kl_0a1b_{SECRET} {text}"),
    safe_texts.map(lambda text: [("cookie", SECRET), text]),
    safe_texts.map(lambda text: ValueError(f"{text} passwd: {SECRET}")),
)
nested = st.recursive(
    hidden,
    lambda inner: (
        st.lists(inner | texts, min_size=1, max_size=3)
        | st.dictionaries(texts, inner, min_size=1, max_size=3)
        | inner.map(lambda value: {"repr": repr(value)})
        | inner.map(lambda value: {"json": json.dumps(value, default=str)})
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(nested)
def test_a_secret_put_anywhere_never_appears_in_the_line(value: Any) -> None:
    error = caught(RuntimeError(repr(value), value))
    lines = [
        record(str(value)),
        record("%s and %r", value, value),
        record(exc_info=error),
        record(keelson_event={"category": "AUDIT", "fields": {"value": value, "list": [value]}}),
    ]
    for made in lines:
        assert SECRET not in json.dumps(parse(made), ensure_ascii=False)


@settings(deadline=None)
@given(st.text(), st.dictionaries(st.text(), st.text() | st.floats() | st.binary(), max_size=5))
def test_any_line_is_one_line_of_valid_json(message: str, fields: dict[str, Any]) -> None:
    line = EcsFormatter("risk", "test").format(record(message, keelson_event={"fields": fields}))
    assert line.isascii()
    assert io.StringIO(line).readlines() == [line]
    json.loads(line)
