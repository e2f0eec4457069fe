"""What is heavy is imported where it is used: a marketdata that polls nothing must not pay for ccxt."""

import subprocess
import sys

import pytest

from cli.paths import ROOT

pytestmark = pytest.mark.unit


def test_neither_the_feeds_nor_the_command_import_ccxt() -> None:
    script = (
        "import sys\nimport services.marketdata.feeds.build, cli.network_command\n"
        "print(*sorted({'ccxt', 'aiohttp', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
