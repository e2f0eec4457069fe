"""Ask every service at once, with the caller's own token, and put the answers together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from shared.schemas.accounts import AccountStatus
from shared.schemas.base import Page
from shared.schemas.dashboard import Dashboard, DependencyView, Section, ServiceView
from shared.schemas.kill_switches import KillSwitchView
from shared.schemas.marketdata import FeedStatus
from shared.schemas.ml import ModelView
from shared.schemas.reporting import Counts, DailyRollup, LedgerState, Trade

_ACCOUNTS = 20
_NEWEST = 20
# Of what must not be cut off: a stop in force, a source, the champion among many versions.
_ALL = 1_000
_SECONDS = 3.0
# A service gives up on a dependency that hangs after 3 s, and then says which: that answer is waited for.
_READY_SECONDS = 4.0
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sources:
    """The client and the base URL of each service."""

    client: httpx.AsyncClient
    urls: Mapping[str, str]


async def gather(sources: Sources, headers: Mapping[str, str], now: datetime) -> Dashboard:
    """Return the document. A service that does not answer leaves its parts null, and says why."""
    names = list(sources.urls)
    ask = _Asker(sources, headers)
    (services, accounts, switches, feeds, models), (ledger, trades, rollups) = await asyncio.gather(
        asyncio.gather(
            asyncio.gather(*(_service(sources, name) for name in names)),
            ask("risk", "/accounts", Page[AccountStatus], limit=_ACCOUNTS),
            ask("risk", "/kill-switches", Page[KillSwitchView], active=True, limit=_ALL),
            ask("marketdata", "/feeds", Page[FeedStatus], limit=_ALL),
            ask("ml", "/models", Page[ModelView], limit=_ALL),
        ),
        asyncio.gather(
            ask("reporting", "/state", LedgerState),
            ask("reporting", "/trades", Page[Trade], limit=_NEWEST),
            ask("reporting", "/rollups", Page[DailyRollup], limit=_NEWEST),
        ),
    )
    newest = accounts.data.items[0].simulation_id if accounts.data and accounts.data.items else None
    counted: Section[Counts]
    if accounts.data is None:
        # Counts of the live accounts would pass for those of the run that is on.
        counted = Section(unavailable=f"whose to show is not known: {accounts.unavailable}")
    else:
        counted = await ask("reporting", "/counts", Counts, **({"simulation_id": newest} if newest else {}))
    return Dashboard(
        generated_at=now,
        services=list(services),
        accounts=_items(accounts),
        more_accounts=accounts.data is not None and accounts.data.next_cursor is not None,
        kill_switches=_items(switches),
        simulation_id=newest,
        counts=counted,
        feeds=_items(feeds),
        models=_items(models),
        ledger=ledger,
        trades=_items(trades),
        rollups=_items(rollups),
    )


class _Asker:
    def __init__(self, sources: Sources, headers: Mapping[str, str]) -> None:
        self._sources = sources
        self._headers = headers

    async def __call__(self, service: str, path: str, kind: type[M], **params: Any) -> Section[M]:
        """Return a service's answer, or why there is none."""
        url = f"{self._sources.urls[service]}/api/v1/{service}{path}"
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await self._sources.client.get(url, params=params, headers=dict(self._headers))
            if answer.status_code != httpx.codes.OK:
                return Section(unavailable=f"{service} answered {answer.status_code}{_detail(answer)}")
            return Section(data=kind.model_validate_json(answer.content))
        except TimeoutError:
            return Section(unavailable=f"{service} does not answer within {_SECONDS:g} s")
        except httpx.HTTPError as error:
            return Section(unavailable=f"{service} does not answer ({type(error).__name__})")
        except ValidationError:
            return Section(unavailable=f"{service} gave an answer that cannot be read")


async def _service(sources: Sources, name: str) -> ServiceView:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            answer = await sources.client.get(f"{sources.urls[name]}/readyz")
        document = answer.json()
        dependencies = [
            DependencyView(name=key, ok=value["ok"], detail=value.get("detail"))
            for key, value in document["dependencies"].items()
        ]
        if answer.status_code == httpx.codes.OK:
            return ServiceView(name=name, state="ready", dependencies=dependencies)
        return ServiceView(name=name, state="not_ready", detail=document.get("detail"), dependencies=dependencies)
    except TimeoutError:
        return ServiceView(name=name, state="unreachable", detail=f"no answer within {_READY_SECONDS:g} s")
    except httpx.HTTPError as error:
        return ServiceView(name=name, state="unreachable", detail=type(error).__name__)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServiceView(name=name, state="unreachable", detail="it answers, and not as a service of the suite")


def _detail(answer: httpx.Response) -> str:
    """Return what a problem document says, nothing where the answer is none."""
    try:
        return f": {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _items(section: Section[Page[T]]) -> Section[list[T]]:
    if section.data is None:
        return Section(unavailable=section.unavailable)
    return Section(data=section.data.items)
