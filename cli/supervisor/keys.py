"""The keys of a run: one for its admin, one for its services."""

import os
from dataclasses import dataclass
from pathlib import Path

from shared.api_keys import create_key, list_keys, revoke_key
from shared.roles import Role


@dataclass(frozen=True)
class Keys:
    """Where the keys are; `new_admin_key` is the admin's key when it was made just now."""

    hashes: Path
    admin: Path
    service: Path
    new_admin_key: str | None


def ensure_keys(var: Path) -> Keys:
    """Make the keys that are missing; each is kept in a file of mode 0600."""
    folder = var / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    hashes = folder / "api-keys.json"
    known = {key.name for key in list_keys(hashes)}
    new_admin_key = _ensure(hashes, folder / "admin.key", "admin", Role.ADMIN, known)
    _ensure(hashes, folder / "service.key", "services", Role.SERVICE, known)
    return Keys(hashes, folder / "admin.key", folder / "service.key", new_admin_key)


def _ensure(hashes: Path, file: Path, name: str, role: Role, known: set[str]) -> str | None:
    if name in known:
        if role is Role.SERVICE and not file.exists():
            # Nobody but the services uses it: a lost one is replaced.
            revoke_key(hashes, name)
        else:
            return None
    key = create_key(hashes, name, role)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(key + "\n")
    return key
