"""Write a log record as one line of JSON in the Elastic Common Schema."""

import itertools
import json
import logging
import os
import secrets
import socket
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from shared.logging.context import correlation_id, principal
from shared.logging.masking import MASK, is_secret_name
from shared.logging.values import JsonValue, clean_fields, clean_text, safe_str

ECS_VERSION = "8.11.0"
# The one attribute by which TradingLogger hands its fields to the formatter.
EVENT_ATTRIBUTE = "keelson_event"
MAX_MESSAGE = 16_384
MAX_TRACE = 32_768

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# Attributes that every record has.
_STANDARD_COUNT = len(vars(logging.makeLogRecord({})))
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode
_ACCESS_ARGS = 5


class EcsFormatter(logging.Formatter):
    """Format records as ECS JSON: own fields under `keelson`, secrets masked, every value bounded.

    `format` never raises and never returns more than one line. `service.ephemeral_id` and `event.sequence` together
    tell each line from all others, and a gap in the sequence tells of lost lines.
    """

    def __init__(self, service: str, environment: str) -> None:
        super().__init__()
        self._service = service
        self._environment = environment
        self._ephemeral_id = secrets.token_hex(8)
        self._sequence = itertools.count(1)
        self._pid = os.getpid()
        self._hostname = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON without the line break."""
        try:
            return self._line(record)
        except Exception as error:
            return self._last_resort(record, error)

    def _line(self, record: logging.LogRecord) -> str:
        # Text is put together: of a document most is the same in every line of one place in the code.
        event = record.__dict__.get(EVENT_ATTRIBUTE) or {}
        category = str(event.get("category", "SYSTEM"))
        before, between = self._fixed(
            record.levelname,
            record.name,
            record.filename,
            record.lineno,
            record.funcName,
            category,
            event.get("action"),
            event.get("outcome"),
        )
        labels: dict[str, JsonValue] = {"category": category}
        document: dict[str, JsonValue] = {
            "process": {"pid": self._pid, "thread": {"name": record.threadName}},
            "labels": labels,
        }
        if correlation := correlation_id.get():
            labels["correlation_id"] = clean_text(correlation, 256)
            document["trace"] = {"id": labels["correlation_id"]}
        if user := principal.get():
            document["user"] = {"name": clean_text(user, 256)}
        if error := _error(record):
            document["error"] = error
        if record.name == "uvicorn.access":
            document.update(_access(record.args))
        fields = event.get("fields", {})
        if len(record.__dict__) > _STANDARD_COUNT + bool(event):
            extras = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
            extras.pop(EVENT_ATTRIBUTE, None)
            fields = {**extras, **fields}
        document["keelson"] = {"category": category, **clean_fields(fields)}
        message = _encode(clean_text(_message(record), MAX_MESSAGE))
        return (
            f'{{"@timestamp":"{_timestamp(record.created)}",{before}"message":{message},{between}'
            f'"sequence":{next(self._sequence)}}},{_encode(document)[1:]}'
        )

    @lru_cache(maxsize=1024)  # noqa: B019 - a formatter lives as long as the process
    def _fixed(
        self,
        level: str,
        logger: str,
        file: str,
        line: int,
        function: str | None,
        category: str,
        action: object,
        outcome: object,
    ) -> tuple[str, str]:
        """Return what stands before the message, and what between it and the line's own number, as JSON."""
        event: dict[str, JsonValue] = {
            "kind": "event",
            "module": "keelson",
            "dataset": f"{self._service}.{category.lower()}",
        }
        if action:
            event["action"] = str(action)
        if outcome:
            event["outcome"] = str(outcome)
        origin: JsonValue = {"file": {"name": file, "line": line}, "function": function}
        fixed: dict[str, JsonValue] = {**self._source(), "log": {"logger": clean_text(logger, 256), "origin": origin}}
        before = _encode({"log.level": level.lower()})[1:-1]
        return f"{before},", f'{_encode(fixed)[1:-1]},"event":{_encode(event)[:-1]},'

    def _source(self) -> dict[str, JsonValue]:
        return {
            "ecs.version": ECS_VERSION,
            "service": {
                "name": self._service,
                "environment": self._environment,
                "ephemeral_id": self._ephemeral_id,
            },
            "host": {"hostname": self._hostname},
        }

    def _last_resort(self, record: logging.LogRecord, error: Exception) -> str:
        """Return a line of what can be told of a record that could not be formatted."""
        try:
            message = clean_text(safe_str(record.msg), 1_024)
        except Exception:
            message = "a log line that cannot be shown"
        return _encode(
            {
                "@timestamp": _timestamp(record.created),
                "log.level": record.levelname.lower(),
                "message": message,
                **self._source(),
                "event": {"kind": "event", "module": "keelson", "sequence": next(self._sequence)},
                "error": {"type": type(error).__name__, "message": "this log line could not be formatted in full"},
            }
        )


def _timestamp(created: float) -> str:
    moment = int(created * 1_000_000)
    seconds, micros = divmod(moment, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _message(record: logging.LogRecord) -> str:
    text = record.msg if isinstance(record.msg, str) else safe_str(record.msg)
    args = record.args
    if not args:
        return text
    if isinstance(args, Mapping):
        args = {key: MASK if isinstance(key, str) and is_secret_name(key) else value for key, value in args.items()}
    try:
        return text % args
    except Exception:
        # A wrong placeholder must not cost the line.
        return f"{text} {safe_str(args)}"


def _error(record: logging.LogRecord) -> dict[str, JsonValue] | None:
    info = record.exc_info
    if info and info[1] is not None:
        kind, error, _ = info
        return {
            "type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
            "message": clean_text(safe_str(error)),
            "stack_trace": _ends(_stack_trace(error)),
        }
    if record.exc_text or record.stack_info:
        return {"stack_trace": _ends(record.exc_text or record.stack_info or "")}
    return None


def _stack_trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, chain=True))
    except Exception as failure:
        return f"<no stack trace: {type(failure).__name__}>"


def _ends(trace: str) -> str:
    """Return a masked trace, cut in its middle if it is long: the cause is at either end."""
    if len(trace) <= MAX_TRACE:
        return clean_text(trace, MAX_TRACE)
    # Cut at line breaks, so that no secret is cut in two.
    head = trace[: MAX_TRACE // 2].rpartition("\n")[0]
    tail = trace[-MAX_TRACE // 2 :].partition("\n")[2]
    return f"{clean_text(head, MAX_TRACE)}\n…[cut]\n{clean_text(tail, MAX_TRACE)}"


def _access(args: Any) -> dict[str, JsonValue]:
    """Return the ECS fields of a line of uvicorn's access log."""
    if not isinstance(args, tuple) or len(args) != _ACCESS_ARGS:
        return {}
    client, method, path, version, status = args
    return {
        "client": {"address": clean_text(safe_str(client), 256)},
        "http": {
            "version": clean_text(safe_str(version), 16),
            "request": {"method": clean_text(safe_str(method), 32)},
            "response": {"status_code": status if isinstance(status, int) else None},
        },
        "url": {"original": clean_text(safe_str(path), 2_048)},
    }
