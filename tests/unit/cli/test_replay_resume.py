"""What a stopped replay says to go on with."""

import shlex
from pathlib import Path

import pytest

from cli.replay.driver import Plan
from cli.replay_command import resume_command
from cli.training.sample import SAMPLE

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("speed", [None, 0.1, 600.0, 1_234_567.5])
def test_a_run_is_resumed_at_its_own_pace(speed: float | None) -> None:
    words = shlex.split(resume_command(Plan([], "demo-1", speed), SAMPLE, [], None, None))
    assert words[:2] == ["keelson", "replay"]
    assert words[-2:] == ["--simulation-id", "demo-1"]
    if speed is None:
        assert words[2:-2] == ["--once"]
    else:
        assert words[2] == "--speed"
        assert float(words[3]) == speed


def test_a_run_of_some_datasets_is_resumed_with_those_and_no_others() -> None:
    told = resume_command(Plan([], "demo-1", None), SAMPLE, ["goog", "nifty"], None, None)
    assert "--only goog --only nifty" in told


def test_a_run_is_resumed_from_its_folder_in_its_suite_even_where_names_hold_spaces() -> None:
    told = resume_command(Plan([], "demo-1", None), Path("my data"), [], "http://127.0.0.1:9", Path("my key"))
    words = shlex.split(told)
    assert words[3:-2] == ["--data", "my data", "--url", "http://127.0.0.1:9", "--token-file", "my key"]
