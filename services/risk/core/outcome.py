"""What deciding on a command gives: events, or a refusal."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from pydantic import BaseModel

from services.risk.core.bodies import Closed, Decided, Filled, Marked
from shared.schemas.events import EventBody
from shared.schemas.journal import EventKind

Body = Decided | Closed | Filled | Marked | EventBody


class RefusalKind(StrEnum):
    """Why a command cannot be carried out."""

    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID = "invalid"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that changes nothing, and why."""

    kind: RefusalKind
    detail: str


@dataclass(slots=True)
class Event:
    """A row to be: its kind, whose it is, what it says."""

    kind: EventKind
    account_id: str | None
    body: Body


Outcome = tuple[Event, ...] | Refused


def not_found(detail: str) -> Refused:
    """Return a refusal for what does not exist."""
    return Refused(RefusalKind.NOT_FOUND, detail)


def conflict(detail: str) -> Refused:
    """Return a refusal for what contradicts the state."""
    return Refused(RefusalKind.CONFLICT, detail)


def invalid(detail: str) -> Refused:
    """Return a refusal for what can never be carried out."""
    return Refused(RefusalKind.INVALID, detail)


def forbidden(detail: str) -> Refused:
    """Return a refusal for what somebody else must ask for."""
    return Refused(RefusalKind.FORBIDDEN, detail)


def fingerprint(request: BaseModel) -> str:
    """Return what two requests share only if they say the same."""
    return sha256(request.model_dump_json().encode()).hexdigest()
