"""Run a server without root's rights, and let it end with the process that started it."""

import os
import pwd
import shutil
from pathlib import Path

# Bits of the Linux capabilities that let a process look into folders it may not enter (linux/capability.h).
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
_NOBODY = "nobody"


class PrivilegeError(Exception):
    """A server cannot be started without root's rights, and why."""


def owner() -> tuple[int, int]:
    """Return the user and group that own a server's files: those of this process, or `nobody` for root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam(_NOBODY)
    return entry.pw_uid, entry.pw_gid


def wrap(command: list[str], folders: list[Path], death_signal: str) -> list[str]:
    """Return the command that runs a server as `owner()` and signals it when its parent dies.

    Raises PrivilegeError where root cannot give up its rights or `nobody` cannot reach a folder.
    """
    if os.geteuid() != 0:
        return end_with_parent(command, death_signal)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PrivilegeError("as root, PostgreSQL runs as nobody, which needs setpriv (package util-linux)")
    uid, gid = owner()
    options = ["--reuid", str(uid), "--regid", str(gid), "--clear-groups", "--pdeathsig", death_signal]
    closed = _first_closed(folders)
    if closed is not None:
        # A checkout in root's home: nobody may not pass through it. One capability is less than opening it to all.
        name = _held_capability()
        if name is None:
            raise PrivilegeError(f"{closed} is closed to {_NOBODY}; move the checkout, or run as a normal user")
        options += ["--inh-caps", f"+{name}", "--ambient-caps", f"+{name}"]
    return [setpriv, *options, *command]


def end_with_parent(command: list[str], death_signal: str) -> list[str]:
    """Return the command that is signalled when its parent dies, where the system can."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", death_signal, *command] if setpriv else command


def _first_closed(folders: list[Path]) -> Path | None:
    """Return the first folder on the way that others may not enter."""
    for folder in folders:
        for parent in reversed(folder.resolve().parents):
            if not parent.stat().st_mode & 0o001:
                return parent
    return None


def _held_capability() -> str | None:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return next((name for name, bit in _CAPABILITIES.items() if held >> bit & 1), None)
    return None
