"""Kill switches through any shard: the list of all, and which shard has the one that is named."""

from collections.abc import Mapping

import httpx
from pydantic import ValidationError

from services.risk.core.alike import AUTOMATIC, concerns_all
from services.risk.core.state import FirmState
from services.risk.core.switch_list import Window, listed, merge, window
from services.risk.engine import Engine
from services.risk.firm import Firm, names, unanswered
from services.risk.peers import Message, said
from services.risk.sharding import misdirected
from shared.auth import Principal
from shared.pagination import BadCursor, decode_cursor, encode_cursor
from shared.problems import Conflict, NotFound
from shared.schemas.base import Page
from shared.schemas.kill_switches import KillSwitchListed, KillSwitchView

# Before the first page no row of a shard's journal is read, and each is before this one.
_NEWEST = 2**63 - 1
_UNREADABLE = "it gave an answer that cannot be read"


async def require_here(engine: Engine, firm: Firm, kill_switch_id: str, caller: Principal) -> None:
    """Raise unless this shard is the one to ask about a kill switch; where nobody has it, this one says so.

    Raises Misdirected where another shard has it, Conflict where each of several has one of its name, ShardsUnanswered
    where that cannot be told.
    """
    if firm.single:
        return
    held = await engine.read(lambda state: state.kill_switches.get(kill_switch_id))
    if held is not None and concerns_all(held):
        return
    answers = await firm.ask_others(lambda _: Message("GET", f"/kill-switches/{kill_switch_id}", None, caller.subject))
    found, missing = _holders(answers)
    holders = sorted([*([engine.shard.number] if held else []), *found])
    if len(holders) > 1 and (held is not None or not all(concerns_all(each) for each in found.values())):
        raise Conflict(
            f"each of {names(holders)} has a kill switch {kill_switch_id}; name the shard in X-Keelson-Shard"
        )
    # Names that risk makes up are those of rows, and may be the same on two shards; others are not by chance.
    if missing and (kill_switch_id.startswith(AUTOMATIC) or not holders):
        raise unanswered(f"which shard has kill switch {kill_switch_id} is not known", missing)
    if found:
        # One of the firm that this shard was never told of: whoever has it in force carries a release to the others.
        right = next((number for number, each in found.items() if each.released_at is None), holders[0])
        raise misdirected(engine.shard, right, f"kill switch {kill_switch_id} is that of")


async def get_kill_switch(engine: Engine, firm: Firm, kill_switch_id: str, caller: Principal) -> KillSwitchListed:
    """Return a kill switch. Raises NotFound, and as `require_here`."""
    await require_here(engine, firm, kill_switch_id, caller)
    held = await engine.read(lambda state: state.kill_switches.get(kill_switch_id))
    if held is None:
        raise NotFound(f"kill switch {kill_switch_id} does not exist")
    return listed(held, engine.shard.number)


async def list_kill_switches(
    engine: Engine, firm: Firm, active: bool | None, cursor: str | None, limit: int, caller: Principal
) -> Page[KillSwitchListed]:
    """Return the kill switches of all shards, or of this one where it was named, the newest first.

    Raises ShardsUnanswered, with the page of those that have answered.
    """
    own = engine.shard.number
    if firm.single:
        before = int(decode_cursor(cursor, seq=int)["seq"]) if cursor else None
        mine, _ = await _own(engine, active, before, limit)
        following = encode_cursor({"seq": mine.items[-1].seq}) if mine.more else None
        return Page(items=list(mine.items), next_cursor=following)
    positions = _positions(cursor, engine.shard.of)
    # First, as one that does not lead need ask nobody.
    mine, held = await _own(engine, active, positions[own], limit)

    def question(number: int) -> Message:
        chosen = "" if active is None else f"&active={str(active).lower()}"
        after = encode_cursor({"seq": positions[number]})
        return Message("GET", f"/kill-switches?limit={limit}{chosen}&cursor={after}", None, caller.subject)

    answers = {number: _window(answer) for number, answer in (await firm.ask_others(question)).items()}
    windows = {number: each for number, each in answers.items() if isinstance(each, Window)}
    merged = merge({own: mine, **windows}, held, own, positions, limit)
    page: Page[KillSwitchListed] = Page(items=merged.items, next_cursor=_cursor(merged.positions))
    missing = {number: each for number, each in answers.items() if isinstance(each, str)}
    if missing:
        # As a page that lacks a shard's part it would look whole.
        raise unanswered("the list of kill switches is not whole", missing, **page.model_dump(mode="json"))
    return page


async def _own(
    engine: Engine, active: bool | None, before: int | None, limit: int
) -> tuple[Window, Mapping[str, KillSwitchView]]:
    def question(state: FirmState) -> tuple[Window, Mapping[str, KillSwitchView]]:
        held = state.kill_switches
        return window(held.values(), engine.shard.number, active, before, limit), dict(held)

    return await engine.read(question)


def _window(answer: httpx.Response | str) -> Window | str:
    """Return what a shard has listed, or why that is not known."""
    if isinstance(answer, str) or not answer.is_success:
        return _reason(answer)
    try:
        page = Page[KillSwitchListed].model_validate_json(answer.content)
    except ValidationError:
        return _UNREADABLE
    return Window(page.items, page.next_cursor is not None)


def _holders(answers: Mapping[int, httpx.Response | str]) -> tuple[dict[int, KillSwitchListed], dict[int, str]]:
    """Return a kill switch as each shard that has one of its name has it, and why others do not say whether."""
    found: dict[int, KillSwitchListed] = {}
    missing: dict[int, str] = {}
    for number, answer in answers.items():
        if isinstance(answer, str) or answer.status_code not in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
            missing[number] = _reason(answer)
        elif answer.is_success:
            try:
                found[number] = KillSwitchListed.model_validate_json(answer.content)
            except ValidationError:
                missing[number] = _UNREADABLE
    return found, missing


def _reason(answer: httpx.Response | str) -> str:
    return answer if isinstance(answer, str) else f"it answered {answer.status_code}{said(answer)}"


def _cursor(positions: Mapping[int, int] | None) -> str | None:
    if positions is None:
        return None
    return encode_cursor({"seqs": ",".join(str(positions[number]) for number in sorted(positions))})


def _positions(cursor: str | None, shards: int) -> dict[int, int]:
    """Return how far each shard's list is read. Raises BadCursor."""
    if cursor is None:
        return dict.fromkeys(range(shards), _NEWEST)
    parts = str(decode_cursor(cursor, seqs=str)["seqs"]).split(",")
    if len(parts) != shards or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise BadCursor("Use next_cursor as an earlier page gave it")
    return {number: min(int(part), _NEWEST) for number, part in enumerate(parts)}
