"""What several shards say, as if one had said it."""

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from shared.schemas.base import Page
from shared.schemas.dashboard import Section
from shared.schemas.kill_switches import KillSwitchListed

T = TypeVar("T")


def together(sections: Sequence[Section[Page[T]]]) -> Section[list[T]]:
    """Return the items of all shards, the newest of each first.

    Where one does not answer there are none, and the reason: a list that lacks its part would look whole.
    """
    missing = [each.unavailable for each in sections if each.data is None]
    if missing:
        return Section(unavailable="; ".join(str(each) for each in missing))
    pages = [each.data.items for each in sections if each.data is not None]
    rows = chain.from_iterable(zip_longest(*pages))
    return Section(data=[each for each in rows if each is not None])


def once(switches: Section[list[KillSwitchListed]]) -> Section[list[KillSwitchListed]]:
    """Return each switch once: one of the firm is in force on every shard."""
    if switches.data is None:
        return switches
    found = {(each.kill_switch_id, each.scope, each.target): each for each in reversed(switches.data)}
    return Section(data=list(reversed(found.values())))
