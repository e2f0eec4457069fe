"""Where the checkout and its run-time data are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
