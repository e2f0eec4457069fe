"""What another shard owes the firm: kill switches of every shard must be in force, and released, on all of them."""

from collections.abc import Iterable, Mapping

from shared.schemas.kill_switches import KillScope, KillSwitchView

# What a shard finds by itself is its own; that its engine fails, it tells the others.
AUTOMATIC = "auto-"
OF_ANY_SHARD = "auto-system-error-shard-"


def concerns_all(switch: KillSwitchView) -> bool:
    """Tell whether a switch must be in force on every shard.

    Not that of an account, and not what each shard finds by itself on the same marks and heartbeats.
    """
    own = switch.kill_switch_id.startswith(AUTOMATIC) and not switch.kill_switch_id.startswith(OF_ANY_SHARD)
    return switch.scope is not KillScope.ACCOUNT and not own


def owed(mine: Iterable[KillSwitchView], theirs: Mapping[str, KillSwitchView]) -> list[KillSwitchView]:
    """Return the switches that another shard has not as this one has them; `theirs` are those in force there, by id."""
    return [switch for switch in mine if concerns_all(switch) and _differs(switch, theirs.get(switch.kill_switch_id))]


def _differs(mine: KillSwitchView, theirs: KillSwitchView | None) -> bool:
    if mine.released_at is not None:
        return theirs is not None
    if theirs is None:
        return True
    return mine.release_requested_by is not None and theirs.release_requested_by is None
