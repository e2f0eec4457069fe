"""What `keelson status` shows."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from cli.status import frame
from shared.schemas.dashboard import Dashboard

NOW = datetime(2026, 3, 2, 9, 15, 1, tzinfo=UTC)


def shown(**sections: Any) -> str:
    away = {"unavailable": "not asked"}
    names = ("accounts", "kill_switches", "counts", "feeds", "models", "ledger", "trades", "rollups")
    board = {"generated_at": NOW, "services": [], **dict.fromkeys(names, away), **sections}
    console = Console(width=140, highlight=False)
    with console.capture() as captured:
        console.print(frame(Dashboard.model_validate(board)))
    return captured.get()


def switch(**changes: Any) -> dict[str, Any]:
    values = {
        "kill_switch_id": "ks-7f3a",
        "scope": "FIRM",
        "target": None,
        "kind": "MANUAL",
        "reason": "fire [drill]",
        "activated_by": "admin",
        "activated_at": NOW,
        "cancelled_orders": 0,
        "seq": 1,
    }
    return {**values, **changes}


def test_a_stop_names_the_switch_to_release_and_who_pulled_it_and_when() -> None:
    text = shown(kill_switches={"data": [switch(), switch(kill_switch_id="auto-1", scope="SYMBOL", target="ACME")]})
    assert "STOPPED: FIRM: fire [drill]" in text
    assert "kill switch ks-7f3a, MANUAL, since 2026-03-02 09:15:01 UTC, by admin" in text
    assert "STOPPED: SYMBOL ACME" in text
    assert "kill switch auto-1" in text
    assert "asks for its release" not in text


def test_a_release_that_waits_for_a_second_admin_is_shown() -> None:
    assert "anna asks for its release" in shown(kill_switches={"data": [switch(release_requested_by="anna")]})


def test_switches_that_are_not_known_are_not_none() -> None:
    assert "kill switches unavailable: not asked" in shown()
