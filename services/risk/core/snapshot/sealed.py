"""A snapshot as it is kept: compressed, bound to a row of the journal, and signed where there is a key."""

import zlib
from dataclasses import dataclass
from hashlib import sha256

from services.risk.core.chain import Tip
from services.risk.core.snapshot import FORMAT, read, write
from services.risk.core.state import FirmState

# Of its size a state takes a tenth, compressed in passing.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Sealed:
    """A snapshot; `digest` is the SHA-256 of the state's text, `row_hash` that of the journal's row it was taken at."""

    seq: int
    row_hash: str
    format: int
    digest: str
    signature: bytes | None
    content: bytes

    def message(self) -> bytes:
        """Return what is signed."""
        return f"keelson snapshot {self.format} {self.seq} {self.row_hash} {self.digest}".encode()


def seal(state: FirmState, tip: Tip) -> Sealed:
    """Return the snapshot of a state, which is that of the journal at its tip; not signed yet."""
    text = write(state).encode()
    return Sealed(tip.seq, tip.hash, FORMAT, sha256(text).hexdigest(), None, zlib.compress(text, _LEVEL))


def unseal(sealed: Sealed) -> FirmState:
    """Return the state of a snapshot. Raises ValueError where it is of another format, or not what was written."""
    if sealed.format != FORMAT:
        raise ValueError(f"it has format {sealed.format}, and this version writes {FORMAT}")
    try:
        text = zlib.decompress(sealed.content)
    except zlib.error as error:
        raise ValueError(f"its content is damaged: {error}") from error
    if sha256(text).hexdigest() != sealed.digest:
        raise ValueError("its content is not what was written")
    state = read(text.decode())
    if state.last_seq != sealed.seq:
        raise ValueError(f"it holds the state of row {state.last_seq}")
    return state
