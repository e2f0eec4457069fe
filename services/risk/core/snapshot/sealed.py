"""A snapshot as it is kept: compressed, bound to a row of the journal, and signed where there is a key."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from services.risk.core.chain import Tip
from services.risk.core.snapshot import FORMAT, read, write
from services.risk.core.state import FirmState

# Of its size a state takes a tenth, compressed in passing.
_LEVEL = 1
# Bytes of text.
_AT_ONCE = 1 << 20


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
    digest, pack, content = sha256(), zlib.compressobj(_LEVEL), bytearray()
    for line in write(state):
        text = line.encode() + b"\n"
        digest.update(text)
        content += pack.compress(text)
    content += pack.flush()
    return Sealed(tip.seq, tip.hash, FORMAT, digest.hexdigest(), None, bytes(content))


def unseal(sealed: Sealed) -> FirmState:
    """Return the state of a snapshot. Raises ValueError where it is of another format, or not what was written."""
    if sealed.format != FORMAT:
        raise ValueError(f"it has format {sealed.format}, and this version writes {FORMAT}")
    digest = sha256()
    try:
        for line in _lines(sealed.content):
            digest.update(line)
    except zlib.error as error:
        raise ValueError(f"its content is damaged: {error}") from error
    if digest.hexdigest() != sealed.digest:
        raise ValueError("its content is not what was written")
    state = read(line.decode() for line in _lines(sealed.content))
    if state.last_seq != sealed.seq:
        raise ValueError(f"it holds the state of row {state.last_seq}")
    return state


def _lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines of a compressed text with their ends, a few at a time. Raises zlib.error."""
    unpack, rest = zlib.decompressobj(), b""
    while not unpack.eof:
        text = unpack.decompress(content, _AT_ONCE)
        content = unpack.unconsumed_tail
        if not text and not content and not unpack.eof:
            raise zlib.error("it ends too early")
        *whole, rest = (rest + text).split(b"\n")
        for each in whole:
            yield each + b"\n"
    if rest:
        yield rest
