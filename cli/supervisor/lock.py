"""One supervisor in a folder: who runs, and where."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another supervisor holds the folder."""


class RunFileError(Exception):
    """The file that says where the suite answers cannot be read."""


@dataclass(frozen=True)
class Running:
    """The supervisor of a folder; files are relative to nothing."""

    pid: int
    url: str
    admin_key_file: str
    service_key_file: str


class Lock:
    """The lock of a folder, held as long as the supervisor lives, however it ends."""

    def __init__(self, var: Path) -> None:
        self._path = var / "lock"
        self._run_file = var / "run.json"
        try:
            var.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise NotADirectoryError(
                f"{var} is no folder: move away what is there, or name another with KEELSON_VAR"
            ) from None
        self._file = self._path.open("a+")

    def acquire(self) -> None:
        """Take the lock. Raises AlreadyRunningError that says who has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(self._holder()) from None
        self._run_file.unlink(missing_ok=True)
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def publish(self, running: Running) -> None:
        """Say where the suite answers."""
        temporary = self._run_file.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(running)) + "\n", encoding="utf-8")
        temporary.replace(self._run_file)

    def release(self) -> None:
        """Give the folder free."""
        self._run_file.unlink(missing_ok=True)
        self._file.close()

    def _holder(self) -> str:
        try:
            found = running_in(self._path.parent)
            where = f" at {found.url}" if found else ", still starting or stopping"
        except RunFileError:
            where = ""
        pid = self._path.read_text(encoding="ascii").strip() or "unknown"
        return f"the suite already runs from this folder (process {pid}{where}); stop it with `make down`"


def running_in(var: Path) -> Running | None:
    """Return where the suite of a folder answers, or None where none says so. Raises RunFileError."""
    file = var / "run.json"
    try:
        return Running(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise RunFileError(
            f"{file} does not say where the suite answers ({type(error).__name__}); "
            "start the suite again, or name it: --url or KEELSON_URL"
        ) from None


def holder(var: Path) -> int | None:
    """Return the process that holds a folder's lock, or None where nobody does."""
    try:
        with (var / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                text = file.read().strip()
                return int(text) if text.isdigit() else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None
