"""The checkpoints of a run: the file, and the key that signs for it."""

import os
from pathlib import Path

from cli.supervisor.storage import DATABASE
from services.risk.signing import create_signing_key, load_signing_key

CHECKPOINT_FILE = "TRADING_RISK_CHECKPOINT_FILE"
CHECKPOINT_KEY_FILE = "TRADING_RISK_CHECKPOINT_KEY_FILE"


def checkpoint_file(var: Path) -> Path:
    """Return where a folder's own checkpoints are."""
    return var / "checkpoints" / "journal.jsonl"


def checkpoint_key(var: Path) -> Path:
    """Return where the private key of a folder is."""
    return var / "keys" / "checkpoint.key"


def public_half(key: Path) -> Path:
    """Return where the public half of a private key is."""
    return key.with_name(key.name + ".pub")


def ensure_checkpoints(var: Path) -> dict[str, str]:
    """Make the key where it is missing; return the settings risk gets. Raises SigningKeyError or OSError.

    Checkpoints are of one journal: a database the environment names gets those the environment names, or none.
    """
    if any(name in os.environ for name in (DATABASE, CHECKPOINT_FILE, CHECKPOINT_KEY_FILE)):
        return {}
    file, key = checkpoint_file(var), checkpoint_key(var)
    for folder in (file.parent, key.parent):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = load_signing_key(key).public if key.exists() else create_signing_key(key)
    public_half(key).write_text(public.pem(), encoding="ascii")
    return {CHECKPOINT_FILE: str(file), CHECKPOINT_KEY_FILE: str(key)}
