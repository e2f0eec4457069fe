"""Accounts as risk shows them."""

from typing import Any

from shared.schemas.accounts import AccountStatus


def account_status(account_id: str, **changes: Any) -> AccountStatus:
    zero = dict.fromkeys(
        ("cash", "start_of_day_equity", "high_water_mark", "paid_in", "realised_pnl", "unrealised_pnl"), "0"
    )
    ratios = dict.fromkeys(("daily_loss", "drawdown", "gross_exposure", "net_exposure", "leverage"), 0.0)
    values: dict[str, Any] = {
        "account_id": account_id,
        "base_currency": "USD",
        "simulation_id": None,
        "session_date": "2024-12-02",
        "risk_level": "GREEN",
        "risk_level_reason": "nothing is near its limit",
        "equity": "0",
        "fees": "0",
        **zero,
        **ratios,
        "open_orders": 0,
        "utilisations": [],
        "positions": [],
        "kill_switches": [],
        "state_seq": 1,
        "ts_event": None,
    }
    return AccountStatus.model_validate({**values, **changes})
