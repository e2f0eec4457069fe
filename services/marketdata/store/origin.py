"""Where rows come from."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from and when they came."""

    scope: str
    source: str
    ts_init: datetime
