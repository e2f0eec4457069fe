"""A plugin of pytest that writes down what the core decided on every command of the unit tests, to `RECORD_TO`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.risk.core.codec import encode
from services.risk.core.commands import Command
from services.risk.core.outcome import Event, Refused
from services.risk.core.state import FirmState
from services.risk.core.step import step
from tests.unit.risk import desk

_lines: list[str] = []


def _recorded(state: FirmState, command: Command, now: int) -> list[Event] | Refused:
    outcome = step(state, command, now)
    if isinstance(outcome, Refused):
        _lines.append(f"{outcome.kind} {outcome.detail}")
    else:
        _lines.extend(f"{event.kind} {event.account_id} {encode(event.body)}" for event in outcome)
    return outcome


@pytest.fixture(autouse=True)
def of_this_test(request: pytest.FixtureRequest) -> Iterator[None]:
    before = len(_lines)
    _lines.append(request.node.nodeid)
    yield
    if request.node.get_closest_marker("hypothesis"):
        # It draws from the constants of the sources too, which machine code hides.
        del _lines[before:]


def pytest_configure() -> None:
    vars(desk)["step"] = _recorded


def pytest_sessionfinish() -> None:
    Path(os.environ["RECORD_TO"]).write_text("\n".join(_lines), encoding="utf-8")
