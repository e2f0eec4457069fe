from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

pytestmark = pytest.mark.unit


def test_it_writes_a_group_for_each_shard(tmp_path: Path) -> None:
    shards = ["--shard", "a:1,b:2", "--shard", "[::1]:3"]
    done = CliRunner().invoke(app, ["nginx", "--folder", str(tmp_path), "--sockets", "/run/here", *shards])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "risk.conf").read_text()
    assert "upstream risk_shard_0 {\n    server a:1 max_fails=0;\n    server b:2 max_fails=0;\n" in text
    assert "upstream risk_shard_1 {\n    server [::1]:3 max_fails=0;\n" in text
    assert "unix:/run/here/risk-1.sock max_fails=0;" in text
    assert (tmp_path / "risk-location.conf").exists()


@pytest.mark.parametrize("wrong", ["a", "a:1;", "a:1 b:2", "http://a:1", "a:1,"])
def test_what_is_no_address_is_refused(tmp_path: Path, wrong: str) -> None:
    done = CliRunner().invoke(app, ["nginx", "--folder", str(tmp_path), "--shard", wrong])
    assert done.exit_code == 2
    assert not (tmp_path / "risk.conf").exists()
