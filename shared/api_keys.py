"""API keys: random secrets kept only as argon2 hashes in one file of mode 0600."""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.clock import SystemClock
from shared.roles import Role

# The secrets are 256 random bits: the hash need not slow down guessing of weak passwords.
_HASHER = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
_KEY = re.compile(r"kl_([0-9a-f]{12})_([A-Za-z0-9\-]{43})")


class KeyFileError(Exception):
    """The file of API keys cannot be used, and why."""


class StoredKey(BaseModel):
    """A key as the file holds it: never the secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key_id: str
    name: str
    role: Role
    hash: str
    created_at: datetime


def key_id_of(token: str) -> str | None:
    """Return the public part of a key, or None where the text has not the form of one."""
    match = _KEY.fullmatch(token)
    return match.group(1) if match else None


def verify_key(stored: StoredKey, token: str) -> bool:
    """Tell whether a token is the key whose hash is stored."""
    try:
        return _HASHER.verify(stored.hash, token)
    except (VerificationError, InvalidHashError):
        return False


def list_keys(path: Path) -> list[StoredKey]:
    """Return the keys of a file; none where it does not exist. Raises KeyFileError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [StoredKey.model_validate(entry) for entry in content["keys"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise KeyFileError(f"{path} is not a file of API keys: {type(error).__name__}") from error


def create_key(path: Path, name: str, role: Role) -> str:
    """Add a key and return it: the only time it can be seen. Raises KeyFileError if the name is taken."""
    with _locked(path):
        keys = list_keys(path)
        if any(key.name == name for key in keys):
            raise KeyFileError(f"a key named {name} exists; revoke it first")
        key_id = secrets.token_hex(6)
        token = f"kl_{key_id}_{secrets.token_urlsafe(32).replace('_', '-')}"
        created = StoredKey(
            key_id=key_id, name=name, role=role, hash=_HASHER.hash(token), created_at=SystemClock().now()
        )
        _write(path, [*keys, created])
    return token


def revoke_key(path: Path, name: str) -> bool:
    """Remove a key by name; services refuse it within a second. Return whether there was one."""
    with _locked(path):
        keys = list_keys(path)
        kept = [key for key in keys if key.name != name]
        if len(kept) == len(keys):
            return False
        _write(path, kept)
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: list[StoredKey]) -> None:
    """Replace the file at once, so that a reader or a crash never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps({"keys": [key.model_dump(mode="json") for key in keys]}, indent=2)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
