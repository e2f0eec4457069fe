"""Kill switches as they are listed, of one shard or of all: the newest first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.risk.core.alike import concerns_all
from shared.schemas.kill_switches import KillSwitchListed, KillSwitchView


@dataclass(frozen=True, slots=True)
class Window:
    """The next switches of one shard's list; `more` where the list goes on behind them."""

    items: Sequence[KillSwitchListed]
    more: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """One page of the list of all shards, and how far each shard's own list is read; None where all of it is."""

    items: list[KillSwitchListed]
    positions: Mapping[int, int] | None


def window(
    switches: Iterable[KillSwitchView], shard: int, active: bool | None, before: int | None, limit: int
) -> Window:
    """Return the newest switches of a shard that were pulled before a row of its journal."""
    chosen = sorted(
        (
            each
            for each in switches
            if (before is None or each.seq < before) and (active is None or (each.released_at is None) is active)
        ),
        key=lambda each: -each.seq,
    )
    return Window([listed(each, shard) for each in chosen[:limit]], len(chosen) > limit)


def listed(switch: KillSwitchView, shard: int) -> KillSwitchListed:
    """Return a switch as one shard has it."""
    return KillSwitchListed(**dict(switch), shard=shard)


def merge(
    windows: Mapping[int, Window],
    mine: Mapping[str, KillSwitchView],
    own: int,
    positions: Mapping[int, int],
    limit: int,
) -> Merged:
    """Return one page of what the shards' windows hold, each of which goes on from its position.

    What is the firm's is there once, as the asked shard `own` has it in `mine`; where another one has it otherwise,
    in force here and released there, both are listed. A page ends early where a shard would have to be asked again.
    """
    taken = dict.fromkeys(windows, 0)
    read = dict(positions)
    page: dict[tuple[str, int | None, bool], KillSwitchListed] = {}
    while len(page) < limit:
        heads = {
            number: each.items[taken[number]] for number, each in windows.items() if taken[number] < len(each.items)
        }
        if not heads or any(each.more and number not in heads for number, each in windows.items()):
            break
        number = max(heads, key=lambda each: (heads[each].activated_at, -each))
        switch = heads[number]
        taken[number] += 1
        read[number] = switch.seq
        if number == own or not _alike(switch, mine.get(switch.kill_switch_id)):
            page.setdefault(_name(switch), switch)
    left = any(each.more or taken[number] < len(each.items) for number, each in windows.items())
    return Merged(list(page.values()), read if left else None)


def _name(switch: KillSwitchListed) -> tuple[str, int | None, bool]:
    """Return what tells a row from all others: of a switch of the firm not which shard has it."""
    return switch.kill_switch_id, None if concerns_all(switch) else switch.shard, switch.released_at is None


def _alike(switch: KillSwitchListed, mine: KillSwitchView | None) -> bool:
    """Tell whether the asked shard lists this one itself."""
    if mine is None or not concerns_all(switch):
        return False
    return (mine.released_at is None) is (switch.released_at is None)
