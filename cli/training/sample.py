"""Where the bundled data are."""

from cli.paths import ROOT

SAMPLE = ROOT / "data" / "sample"
