"""The journal's texts: canonical JSON of each event, and back.

The frequent kinds are written by hand, keys in order and no spaces, as `shared.journal.canonical` writes them:
that is several times as fast as building and dumping a model. `shared.schemas.events` is the contract; the tests
hold the two together.
"""

from pydantic_core import from_json

from services.risk.core.codec.reading import READERS
from services.risk.core.codec.writing import WRITERS
from services.risk.core.outcome import Body, Event
from shared.journal import canonical
from shared.schemas.events import BODIES
from shared.schemas.journal import EventKind


def encode(body: Body) -> str:
    """Return the canonical text of a body."""
    writer = WRITERS.get(type(body))
    return writer(body) if writer else canonical(body.model_dump(mode="json"))  # type: ignore[union-attr]


def decode(kind: EventKind, account_id: str | None, body: str) -> Event:
    """Return what a row says. Raises ValueError where it does not say it."""
    reader = READERS.get(kind)
    if reader is not None:
        try:
            return Event(kind, account_id, reader(from_json(body)))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the body of a {kind}: {error!r}") from error
    return Event(kind, account_id, BODIES[kind].model_validate_json(body))
