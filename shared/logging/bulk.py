"""Speak Elasticsearch's `_bulk`: one request, and what became of each line."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

_ACCEPTED = frozenset({200, 201, 409})  # 409: the line is there already, from a request whose answer was lost
# The line's own fault. All else (overload, a blocked or missing index, a key without rights) can be put right.
_REFUSED = frozenset({400, 413})


class Unavailable(Exception):
    """Elasticsearch could not take the request, or its answer is not known."""


@dataclass
class BulkResult:
    """Lines to send again and lines refused for good; all others were accepted."""

    retry: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def document_id(line: str) -> str:
    """Return the id of a line: the same for the same line, so that sending it twice stores it once."""
    return hashlib.blake2b(line.encode("utf-8", "replace"), digest_size=16).hexdigest()


def post_bulk(client: httpx.Client, index: str, lines: Sequence[str]) -> BulkResult:
    """Create one document for each line. Raises Unavailable if the request as a whole failed."""
    actions = (f'{{"create":{{"_index":{json.dumps(index)},"_id":"{document_id(line)}"}}}}\n{line}\n' for line in lines)
    try:
        response = client.post(
            "/_bulk",
            content="".join(actions).encode("utf-8", "replace"),
            headers={"Content-Type": "application/x-ndjson"},
        )
        if response.status_code in _REFUSED:
            return _halves(client, index, lines, response.status_code)
        if not response.is_success:
            raise Unavailable(f"HTTP {response.status_code}")
        return _judge(lines, response.json())
    except httpx.HTTPError as error:
        raise Unavailable(type(error).__name__) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable("an answer that is not a bulk response") from error


def _halves(client: httpx.Client, index: str, lines: Sequence[str], status: int) -> BulkResult:
    """Find the lines for which a whole request is refused, by halving it."""
    if len(lines) == 1:
        return BulkResult(rejected=list(lines), reasons=[f"HTTP {status}"])
    middle = len(lines) // 2
    first = post_bulk(client, index, lines[:middle])
    try:
        second = post_bulk(client, index, lines[middle:])
    except Unavailable:
        # What the first half says is known; the second is open.
        second = BulkResult(retry=list(lines[middle:]))
    return BulkResult(
        retry=first.retry + second.retry,
        rejected=first.rejected + second.rejected,
        reasons=first.reasons + second.reasons,
    )


def _judge(lines: Sequence[str], answer: Any) -> BulkResult:
    items = answer["items"]
    if len(items) != len(lines):
        raise ValueError("one item for each line")
    result = BulkResult()
    for line, item in zip(lines, items, strict=True):
        outcome = next(iter(item.values()))
        status = int(outcome["status"])
        if status in _ACCEPTED:
            continue
        if status not in _REFUSED:
            result.retry.append(line)
        else:
            result.rejected.append(line)
            error = outcome.get("error") or {}
            result.reasons.append(f"HTTP {status} {error.get('type', '')}: {str(error.get('reason', ''))[:300]}")
    return result
