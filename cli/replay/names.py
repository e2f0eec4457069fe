"""Identifiers of a replay: the same for the same simulation and record, so that sending again changes nothing."""

import hashlib
import re
from datetime import datetime

from strategies.signal import Signal

_LONGEST = 64
# Leaves room for the currency in account ids.
LONGEST_SIMULATION_ID = 48
_SIMULATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*")


def fresh_simulation_id(now: datetime, random_hex: str) -> str:
    """Return an id no earlier run has: the time in UTC and a few random digits."""
    return f"replay-{now:%Y%m%dT%H%M%SZ}-{random_hex}"


def simulation_id_problem(text: str) -> str | None:
    """Tell why a text cannot name a simulation, or None if it can."""
    if len(text) > LONGEST_SIMULATION_ID:
        return f"at most {LONGEST_SIMULATION_ID} characters"
    return None if _SIMULATION_ID.fullmatch(text) else "letters, digits, '.', '_' and '-' only, first a letter or digit"


def account_id(simulation_id: str, currency: str) -> str:
    """Return the account of a currency in a simulation."""
    return f"{simulation_id}.{currency.lower()}"


def order_id(signal: Signal) -> str:
    """Return the order's id: strategy, symbol and the second of the signal."""
    symbol = signal.symbol.replace("/", "-")
    return _fit(f"{signal.strategy_id}-{symbol}-{signal.ts_event:%Y%m%dT%H%M%S}", _LONGEST - len(".1"))


def prediction_id(simulation_id: str, client_order_id: str) -> str:
    """Return the prediction's id; ml keeps those of all simulations in one list."""
    return _fit(f"{simulation_id}:{client_order_id}", _LONGEST)


def _fit(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: length - len(digest) - 1]}-{digest}"
