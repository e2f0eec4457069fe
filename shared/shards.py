"""Which shard of risk an account belongs to: the same for services, clients, the front and nginx."""

from dataclasses import dataclass
from zlib import crc32

# On a request the shard that is meant, on an answer the one that gave it.
SHARD_HEADER = "X-Keelson-Shard"
# On a refusal, the shard to ask instead: for those that do not read the body.
RIGHT_SHARD_HEADER = "X-Keelson-Shard-Right"


def shard_of(account_id: str, shards: int) -> int:
    """Return the number of an account's shard, from 0.

    It is what nginx computes for `hash <account_id>;` over `shards` servers of one weight, none of which ever counts as
    failed (ngx_http_upstream_hash_module.c: bits 16 to 30 of the CRC-32; a rehash happens for failed servers only).
    """
    return ((crc32(account_id.encode()) >> 16) & 0x7FFF) % shards


@dataclass(frozen=True, slots=True)
class Shard:
    """One of so many shards, by its number from 0."""

    number: int = 0
    of: int = 1

    def has(self, account_id: str) -> bool:
        """Tell whether an account belongs to this shard."""
        return self.of == 1 or shard_of(account_id, self.of) == self.number

    @property
    def others(self) -> list[int]:
        """Return the numbers of the other shards."""
        return [number for number in range(self.of) if number != self.number]

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"
