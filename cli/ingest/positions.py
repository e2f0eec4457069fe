"""How far datasets have been taken in, kept in a file so that a run that was ended goes on where it was.

A position counts rows that the server has confirmed, so each is true whoever wrote it. To lose the file costs time
alone: rows that are sent again change nothing.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel, NonNegativeInt, ValidationError

from services.marketdata.formats.dataset import AnyRecord, Dataset
from shared.schemas.marketdata import IngestResult
from shared.version import VERSION


class Position(BaseModel):
    """How far a dataset is taken in, and what became of its rows; `sent` counts those the server has answered."""

    sent: NonNegativeInt = 0
    stored: NonNegativeInt = 0
    unchanged: NonNegativeInt = 0
    revised: NonNegativeInt = 0
    rejected: NonNegativeInt = 0
    flagged: NonNegativeInt = 0
    done: bool = False

    def add(self, result: IngestResult) -> None:
        """Count what became of a batch."""
        self.sent += result.received
        self.stored += result.stored
        self.unchanged += result.unchanged
        self.revised += result.revised
        self.rejected += result.rejected_count
        self.flagged += result.flagged


class _Kept(BaseModel):
    url: str
    simulation_id: str
    positions: dict[str, Position]


class Positions:
    """The positions of one server and simulation, in a file of a folder."""

    def __init__(self, folder: Path, url: str, simulation_id: str | None, notice: Callable[[str], None]) -> None:
        name = hashlib.sha256(f"{url}\n{simulation_id or ''}".encode()).hexdigest()[:16]
        self._file = folder / f"{name}.json"
        self._notice = notice
        self._kept = _Kept(url=url, simulation_id=simulation_id or "", positions={})
        self._writable = True

    def load(self) -> None:
        """Read what was kept; a file that cannot be read is told of and counts for nothing."""
        try:
            self._kept.positions = _Kept.model_validate_json(self._file.read_bytes()).positions
        except FileNotFoundError:
            return
        except (OSError, ValidationError) as error:
            self._notice(f"{self._file} cannot be read ({type(error).__name__}): all is sent from its beginning")

    def of(self, key: str) -> Position:
        """Return a copy of a position; of what is not known, that of the beginning."""
        return self._kept.positions.get(key, Position()).model_copy()

    def keep(self, key: str, position: Position) -> None:
        """Note a position."""
        self._kept.positions[key] = position.model_copy()
        self._write()

    def forget(self, keys: Iterable[str]) -> None:
        """Drop positions; with the last one the file goes."""
        for key in keys:
            self._kept.positions.pop(key, None)
        self._write()

    def _write(self) -> None:
        if not self._writable:
            return
        try:
            if not self._kept.positions:
                self._file.unlink(missing_ok=True)
                return
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(".new")
            temporary.write_text(self._kept.model_dump_json(indent=1) + "\n", encoding="utf-8")
            temporary.replace(self._file)
        except OSError as error:
            self._writable = False
            self._notice(f"{self._file} cannot be written ({error.strerror}): a run that is ended starts anew")


def key_of(dataset: Dataset[AnyRecord]) -> str:
    """Return what tells a dataset of these very files, read by this version, from any other.

    Raises OSError where a file is gone.
    """
    files = []
    for file in dataset.files:
        known = file.stat()
        files.append([str(file.resolve()), known.st_size, known.st_mtime_ns])
    said = json.dumps([VERSION, dataset.name, dataset.kind.value, dataset.symbol, dataset.source, files])
    return f"{dataset.name}:{hashlib.sha256(said.encode()).hexdigest()[:16]}"
