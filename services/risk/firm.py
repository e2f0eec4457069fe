"""All shards, as a request sees them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from services.risk.peers import Message, Peers
from shared.problems import ShardsUnanswered, ShardsUnconfirmed


@dataclass(frozen=True, slots=True)
class Firm:
    """What a request has to do with the other shards.

    One that another shard passed on is `forwarded`: it is carried out here alone. One whose caller named this shard is
    `meant` for it: what concerns the firm is carried to all even so, and nothing is looked for elsewhere.
    """

    peers: Peers
    forwarded: bool
    meant: bool

    @property
    def single(self) -> bool:
        """Tell whether nobody but this shard is asked for what it does not have."""
        return self.forwarded or self.meant or self.peers.shard.of == 1

    async def carry(self, *messages: Message, kill_switch_id: str | None = None) -> Mapping[int, httpx.Response]:
        """Have the other shards do what this one has done; return their last answers. Raises ShardsUnconfirmed."""
        if self.forwarded or self.peers.shard.of == 1:
            return {}
        told = await self.peers.tell(messages)
        if not told.missing:
            return told.answers
        self.peers.changed.set()
        confirmed = sorted([self.peers.shard.number, *told.answers])
        detail = f"Done on {names(confirmed)}, not confirmed by {names(list(told.missing))}: {_reasons(told.missing)}"
        raise ShardsUnconfirmed(
            detail,
            confirmed_shards=confirmed,
            unconfirmed_shards=_listed(told.missing),
            kill_switch_id=kill_switch_id,
        )

    async def ask_others(self, message: Callable[[int], Message]) -> dict[int, httpx.Response | str]:
        """Return what each other shard answers, by its number, or why there is no answer in time."""
        return await self.peers.ask_each({number: message(number) for number in self.peers.shard.others})


def unanswered(what: str, missing: Mapping[int, str], **extensions: Any) -> ShardsUnanswered:
    """Return the problem that names the shards without which `what` is not known."""
    detail = f"{what}; {names(list(missing))} could not be asked: {_reasons(missing)}"
    return ShardsUnanswered(detail, unanswered_shards=_listed(missing), **extensions)


def names(shards: Sequence[int]) -> str:
    """Return shards in words."""
    return f"shard{'s' if len(shards) > 1 else ''} {', '.join(map(str, shards))}"


def _listed(missing: Mapping[int, str]) -> list[dict[str, object]]:
    return [{"shard": number, "reason": reason} for number, reason in missing.items()]


def _reasons(missing: Mapping[int, str]) -> str:
    return "; ".join(f"shard {number}: {reason}" for number, reason in missing.items())
