"""The other shards: what concerns the whole firm is carried to each of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from services.risk.settings import RiskSettings
from shared.auth import Authenticator, Principal
from shared.http import ServiceAuth, service_client
from shared.problems import Unauthenticated
from shared.shards import SHARD_HEADER

# Who asked, on a request that a shard passes on. It is not passed on again.
FORWARDED_HEADER = "X-Keelson-Forwarded-For"
PREFIX = "/api/v1/risk"
_AGAIN_SECONDS = 0.05
# A replica that stands by, or a proxy in front of one that is gone.
_AWAY = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Message:
    """A request to another shard, in somebody's name."""

    method: str
    path: str
    body: BaseModel | None
    by: str


@dataclass(frozen=True, slots=True)
class Told:
    """The last answers of the other shards that have carried out what they were told, and why the rest have not."""

    answers: Mapping[int, httpx.Response]
    missing: Mapping[int, str]


class Peers:
    """Speak to the other shards, with this service's own key.

    A shard may have several replicas, or one address for them: within the time that there is, whoever leads is found.
    Each request has a connection of its own, or an address for many would always lead to the same one.
    """

    def __init__(self, settings: RiskSettings, authenticator: Authenticator) -> None:
        self.shard = settings.shard
        self.changed = asyncio.Event()
        self._seconds = settings.risk_peer_seconds
        self._authenticator = authenticator
        self._auth = ServiceAuth(settings)
        self._http = service_client(settings, "")
        self._urls = settings.peer_urls

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def is_peer(self, caller: Principal) -> bool:
        """Tell whether a caller holds the key this process itself speaks with."""
        try:
            return (await self._authenticator.authenticate(self._auth.token())).subject == caller.subject
        except Unauthenticated:
            return False

    async def tell(self, messages: Sequence[Message]) -> Told:
        """Send messages to every other shard, to all at once, to each in their sequence."""
        found = await asyncio.gather(*(self.tell_one(number, messages) for number in self._urls))
        answers = dict(zip(self._urls, found, strict=True))
        return Told(
            {number: answer for number, answer in answers.items() if not isinstance(answer, str)},
            {number: answer for number, answer in answers.items() if isinstance(answer, str)},
        )

    async def tell_one(self, number: int, messages: Sequence[Message]) -> httpx.Response | str:
        """Send messages to one shard; return its last answer, or why it has not carried them out."""
        answer: httpx.Response | str = "it was told nothing"
        for message in messages:
            answer = await self.ask(number, message)
            if isinstance(answer, str):
                return answer
            if not answer.is_success:
                return f"it answered {answer.status_code}{said(answer)}"
        return answer

    async def ask_each(self, messages: Mapping[int, Message]) -> dict[int, httpx.Response | str]:
        """Return the answer of each shard that is asked something, all at once, or why there is none in time."""
        found = await asyncio.gather(*(self.ask(number, message) for number, message in messages.items()))
        return dict(zip(messages, found, strict=True))

    async def ask(self, number: int, message: Message) -> httpx.Response | str:
        """Return a shard's answer, or why there is none in time.

        All its replicas are asked at once: one that hangs must not hold up the one that leads, and one that stands by
        refuses.
        """
        reasons: dict[str, str] = {}
        asking = [
            asyncio.create_task(self._until_answered(url, number, message, reasons)) for url in self._urls[number]
        ]
        try:
            done, _ = await asyncio.wait(asking, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                return task.result()
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return "; ".join(reasons.values()) or "it does not answer in time"

    async def _until_answered(self, url: str, number: int, message: Message, reasons: dict[str, str]) -> httpx.Response:
        headers = {FORWARDED_HEADER: quote(message.by), SHARD_HEADER: str(number), "Connection": "close"}
        content = None if message.body is None else message.body.model_dump_json(exclude_none=True)
        if content is not None:
            headers["Content-Type"] = "application/json"
        while True:
            try:
                answer = await self._http.request(
                    message.method, url + PREFIX + message.path, content=content, headers=headers
                )
                if answer.status_code not in _AWAY:
                    return answer
                reasons[url] = f"it answered {answer.status_code}{said(answer)}"
            except httpx.HTTPError as error:
                reasons[url] = f"it does not answer ({type(error).__name__})"
            await asyncio.sleep(_AGAIN_SECONDS)


def said(answer: httpx.Response) -> str:
    """Return what a problem document says, to be put behind the status."""
    try:
        return f": {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return ""
