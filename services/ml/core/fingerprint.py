"""Hashes that tell whether two models, or two requests, are the same."""

import hashlib
import json
import struct
from datetime import datetime
from typing import Any

from shared.schemas.base import format_utc
from shared.schemas.ml import ModelSignature, PredictionRequest

SHORT_HASH = 16


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def manifest_hash(
    *,
    name: str,
    version: str,
    sha256: str,
    signature: ModelSignature,
    training_data_hash: str,
    metrics: dict[str, float],
    trained_at: datetime,
) -> str:
    """Return the SHA-256 over all that makes a registered model what it is, the hash of its bytes included."""
    return _canonical_hash(
        {
            "name": name,
            "version": version,
            "sha256": sha256,
            "signature": signature.model_dump(mode="json"),
            "training_data_hash": training_data_hash,
            "metrics": metrics,
            "trained_at": format_utc(trained_at),
        }
    )


def request_hash(request: PredictionRequest) -> str:
    """Return the SHA-256 of a prediction request; the order of its features does not matter."""
    return _canonical_hash(request.model_dump(mode="json"))


def same_bits(left: float, right: float) -> bool:
    """Tell whether two floats are the same 64 bits: 0.0 and -0.0 are not."""
    return struct.pack("<d", left) == struct.pack("<d", right)


def _canonical_hash(document: dict[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
