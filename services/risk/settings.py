"""Settings of risk."""

import json
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from shared.settings import ServiceSettings, base_urls
from shared.shards import Shard

# What must be the same on every node, or they would decide differently.
_POLICY = ("environment", "boot_halted", "four_eyes", "risk_batch", "risk_queue", "risk_shards", "risk_shard")


class RiskSettings(ServiceSettings):
    """What risk needs beside the settings of every service."""

    service: ClassVar[str] = "risk"

    boot_halted: bool = Field(
        default=False,
        description="Start halted: live accounts trade once they have been reconciled. Use in production.",
    )
    four_eyes: bool = Field(default=False, description="A second admin must confirm the release of a kill switch.")
    risk_kill_acknowledge_seconds: int = Field(
        default=30, ge=1, description="A kill switch whose cancels are not acknowledged for so long alerts."
    )
    risk_fault_limit: int = Field(
        default=5, ge=1, description="Failures of the engine within a minute after which it stops the whole firm."
    )
    risk_batch: int = Field(
        default=256, ge=1, le=10_000, description="Most commands whose events are committed together."
    )
    risk_commit_seconds: float = Field(
        default=2, gt=0, description="PostgreSQL that takes longer than this to commit counts as away: callers get 503."
    )
    risk_checkpoint_file: Path | None = Field(
        default=None, description="Signed checkpoints of the journal are added to this file, outside the database."
    )
    risk_checkpoint_key_file: Path | None = Field(
        default=None, description="Private key that signs them, made by `keelson journal create-key`; mode 0600."
    )
    risk_checkpoint_rows: int = Field(default=10_000, ge=1, description="A checkpoint is due after so many rows.")
    risk_checkpoint_seconds: float = Field(
        default=60, gt=0, description="A checkpoint is due after so long, where there is a new row."
    )
    risk_snapshot_rows: int = Field(
        default=50_000, ge=0, description="A snapshot of the state is due after so many rows; 0 keeps none."
    )
    risk_queue: int = Field(
        default=10_000, ge=1, description="Commands that may wait for the engine; beyond it callers get 503."
    )

    risk_shards: int = Field(
        default=1,
        ge=1,
        le=1_000,
        description="Over how many shards accounts are spread; each has a database of its own. The same on all.",
    )
    risk_streams: int = Field(
        default=200,
        ge=3,
        description="How many may read durable events at once, by `GET /api/v1/risk/stream`, and two of the service's "
        "own; one more is refused with 503.",
    )
    risk_shard: int = Field(default=0, ge=0, description="Which of them this process is, from 0.")
    risk_peers: str | None = Field(
        default=None,
        description="Base URLs of all shards in their order, this one's too, separated by commas; replicas of one "
        "by `|`. The same on all; unset where there is one shard.",
    )
    risk_peer_seconds: float = Field(
        default=2, gt=0, le=30, description="How long another shard is waited for with what concerns the whole firm."
    )

    @model_validator(mode="after")
    def _shards_know_each_other(self) -> Self:
        if self.risk_shard >= self.risk_shards:
            raise ValueError("TRADING_RISK_SHARD must be less than TRADING_RISK_SHARDS")
        urls = self.risk_peers.split(",") if self.risk_peers else []
        if len(urls) != self.risk_shards and (urls or self.risk_shards > 1):
            # A kill switch of the firm that leaves a shard out would look as if it stopped the firm.
            raise ValueError(
                f"TRADING_RISK_PEERS must name as many shards as TRADING_RISK_SHARDS says, this one too: "
                f"{self.risk_shards}, and it names {len(urls)}"
            )
        if self.peer_urls and not (self.service_token or self.service_token_file):
            raise ValueError("TRADING_RISK_PEERS needs TRADING_SERVICE_TOKEN or TRADING_SERVICE_TOKEN_FILE")
        return self

    @property
    def shard(self) -> Shard:
        """Return which shard this is."""
        return Shard(self.risk_shard, self.risk_shards)

    @property
    def peer_urls(self) -> dict[int, list[str]]:
        """Return the base URLs of each other shard's replicas, by its number."""
        if not self.risk_peers:
            return {}
        urls = [base_urls(each, "|") for each in self.risk_peers.split(",")]
        return {number: urls[number] for number in self.shard.others}

    @model_validator(mode="after")
    def _checkpoints_are_signed(self) -> Self:
        if (self.risk_checkpoint_file is None) != (self.risk_checkpoint_key_file is None):
            raise ValueError("TRADING_RISK_CHECKPOINT_FILE and TRADING_RISK_CHECKPOINT_KEY_FILE need each other")
        return self

    def fingerprint(self) -> str:
        """Return the hash of what decisions depend on: the same on nodes that may stand in for each other."""
        values = json.dumps({name: getattr(self, name) for name in _POLICY}, sort_keys=True)
        return sha256(values.encode()).hexdigest()[:16]
