"""Where the checkout and its run-time data are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def var_folder() -> Path:
    """Return the folder of databases, keys and logs: `var/` of the checkout, or `KEELSON_VAR`."""
    return Path(os.environ.get("KEELSON_VAR") or ROOT / "var").resolve()
