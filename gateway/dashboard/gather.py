"""Ask every service at once, with the caller's own token, and put the answers together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from gateway.dashboard.shards import once, together
from shared.schemas.accounts import AccountStatus
from shared.schemas.base import Page
from shared.schemas.dashboard import Dashboard, DependencyView, Section, ServiceView
from shared.schemas.kill_switches import KillSwitchListed
from shared.schemas.marketdata import FeedStatus
from shared.schemas.ml import ModelView
from shared.schemas.reporting import Counts, DailyRollup, LedgerState, Trade
from shared.shards import SHARD_HEADER

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
    """The client and the base URL of each service; of several shards all in their order, separated by commas."""

    client: httpx.AsyncClient
    urls: Mapping[str, str]

    def each(self) -> dict[str, str]:
        """Return the base URLs by name; shards by theirs and their number."""
        found: dict[str, str] = {}
        for name, urls in self.urls.items():
            shards = urls.split(",")
            found |= {name: shards[0]} if len(shards) == 1 else {f"{name}-{n}": url for n, url in enumerate(shards)}
        return found


async def gather(sources: Sources, headers: Mapping[str, str], now: datetime) -> Dashboard:
    """Return the document. A service that does not answer leaves its parts null, and says why."""
    ask = _Asker(sources, headers)
    (services, accounts, switches, feeds, models), (ledger, trades, rollups) = await asyncio.gather(
        asyncio.gather(
            asyncio.gather(*(_service(sources, name, url) for name, url in sources.each().items())),
            ask.shards("risk", "/accounts", Page[AccountStatus], limit=_ACCOUNTS),
            ask.shards("risk", "/kill-switches", Page[KillSwitchListed], active=True, limit=_ALL),
            ask("marketdata", "/feeds", Page[FeedStatus], limit=_ALL),
            ask("ml", "/models", Page[ModelView], limit=_ALL),
        ),
        asyncio.gather(
            ask("reporting", "/state", LedgerState),
            ask("reporting", "/trades", Page[Trade], limit=_NEWEST),
            ask("reporting", "/rollups", Page[DailyRollup], limit=_NEWEST),
        ),
    )
    shown = together(accounts)
    newest = shown.data[0].simulation_id if shown.data else None
    counted: Section[Counts]
    if shown.data is None:
        # Counts of the live accounts would pass for those of the run that is on.
        counted = Section(unavailable=f"whose to show is not known: {shown.unavailable}")
    else:
        counted = await ask("reporting", "/counts", Counts, **({"simulation_id": newest} if newest else {}))
    return Dashboard(
        generated_at=now,
        services=list(services),
        accounts=shown,
        more_accounts=any(each.data is not None and each.data.next_cursor is not None for each in accounts),
        kill_switches=once(together(switches)),
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
        return await self._ask(service, service, self._sources.urls[service], path, kind, params)

    async def shards(self, service: str, path: str, kind: type[M], **params: Any) -> list[Section[M]]:
        """Return the answer of each shard of a service, or why there is none."""
        named = {name: url for name, url in self._sources.each().items() if name.partition("-")[0] == service}
        # Each is asked for its own part, or a list of all would be asked for as many times.
        asking = [
            self._ask(name, service, url, path, kind, params, {SHARD_HEADER: str(number)} if len(named) > 1 else {})
            for number, (name, url) in enumerate(named.items())
        ]
        return await asyncio.gather(*asking)

    async def _ask(
        self,
        name: str,
        service: str,
        base: str,
        path: str,
        kind: type[M],
        params: Mapping[str, Any],
        meant: Mapping[str, str] = MappingProxyType({}),
    ) -> Section[M]:
        url = f"{base}/api/v1/{service}{path}"
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await self._sources.client.get(url, params=dict(params), headers={**self._headers, **meant})
            if answer.status_code != httpx.codes.OK:
                return Section(unavailable=f"{name} answered {answer.status_code}{_detail(answer)}")
            return Section(data=kind.model_validate_json(answer.content))
        except TimeoutError:
            return Section(unavailable=f"{name} does not answer within {_SECONDS:g} s")
        except httpx.HTTPError as error:
            return Section(unavailable=f"{name} does not answer ({type(error).__name__})")
        except ValidationError:
            return Section(unavailable=f"{name} gave an answer that cannot be read")


async def _service(sources: Sources, name: str, url: str) -> ServiceView:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            answer = await sources.client.get(f"{url}/readyz")
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
