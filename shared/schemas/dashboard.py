"""One document of what is going on; what a service did not answer is null, with the reason."""

from typing import Generic, Literal, TypeVar

from pydantic import Field

from shared.schemas.accounts import AccountStatus
from shared.schemas.base import Contract, UtcDatetime
from shared.schemas.kill_switches import KillSwitchListed
from shared.schemas.marketdata import FeedStatus
from shared.schemas.ml import ModelView
from shared.schemas.reporting import Counts, DailyRollup, LedgerState, Trade

T = TypeVar("T")


class DependencyView(Contract):
    """Whether a service can use something it needs."""

    name: str
    ok: bool
    detail: str | None = None


class ServiceView(Contract):
    """How a service is doing."""

    name: str
    state: Literal["ready", "not_ready", "unreachable"]
    detail: str | None = None
    dependencies: list[DependencyView] = []


class Section(Contract, Generic[T]):
    """An answer of a service, or why there is none: never zeros in the place of figures."""

    data: T | None = None
    unavailable: str | None = None


class Dashboard(Contract):
    """What is going on, as of `generated_at`. Lists hold the newest; `simulation_id` names the newest run's."""

    generated_at: UtcDatetime
    services: list[ServiceView]
    accounts: Section[list[AccountStatus]] = Field(description="The newest accounts.")
    more_accounts: bool = Field(default=False, description="There are older ones than those listed.")
    kill_switches: Section[list[KillSwitchListed]] = Field(description="Switches in force.")
    simulation_id: str | None = Field(default=None, description="Simulation of the newest account, null if live.")
    counts: Section[Counts] = Field(description="Decisions and trades of that simulation, or of the live accounts.")
    feeds: Section[list[FeedStatus]]
    models: Section[list[ModelView]]
    ledger: Section[LedgerState]
    trades: Section[list[Trade]] = Field(description="The newest trades.")
    rollups: Section[list[DailyRollup]] = Field(description="The newest closed days.")
