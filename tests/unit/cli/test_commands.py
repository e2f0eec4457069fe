"""The command line itself: help, keys, bad values."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.paths import ROOT
from cli.training.sample import SAMPLE
from shared.api_keys import key_id_of, list_keys
from shared.roles import Role
from shared.version import VERSION

pytestmark = pytest.mark.unit

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEELSON_VAR", str(tmp_path))
    for name in ("KEELSON_URL", "KEELSON_TOKEN", "KEELSON_TOKEN_FILE", "TRADING_API_KEYS_FILE", "TRADING_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom cli.main import app\n"
        "shown = CliRunner().invoke(app, ['--help'])\nassert shown.exit_code == 0, shown.output\n"
        "heavy = {'fastapi', 'sqlalchemy', 'httpx', 'pydantic', 'sklearn', 'onnx', 'numpy', 'redis'}\n"
        "print(*sorted(heavy & set(sys.modules)))\nprint(shown.output)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, _, shown = done.stdout.partition("\n")
    assert loaded == ""
    for name in (
        "up",
        "replay",
        "ingest",
        "status",
        "kill",
        "emergency-stop",
        "keys",
        "migrate",
        "train",
        "verify",
        "health",
    ):
        assert f" {name} " in shown


def test_a_commands_help_is_its_own() -> None:
    shown = run(app, ["replay", "--help"])
    assert shown.exit_code == 0
    assert "--simulation-id" in shown.output


def test_what_a_folder_holds_is_listed_without_any_suite() -> None:
    shown = run(app, ["ingest", str(SAMPLE), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    said = "lean-equity-goog-1m: bars 1m of GOOG, source lean.equity.usa, calendar XNYS"
    assert f"{said}\n    {SAMPLE}/lean/equity/usa/minute/goog/20151224_trade.zip\n" in shown.output
    told = json.loads(run(app, ["ingest", str(SAMPLE), "--dry-run", "--json", "--only", "index-vix-1d"]).output)
    assert [(each["name"], each["kind"], each["calendar"]) for each in told] == [("index-vix-1d", "bars", "XNYS")]


def test_a_folder_without_data_or_a_dataset_that_is_none_is_refused(tmp_path: Path) -> None:
    assert run(app, ["ingest", str(tmp_path), "--dry-run"]).exit_code == 1
    head = "symbol,interval,ts,open,high,low,close,volume\n"
    (tmp_path / "marked.csv").write_text(f"{head}X,1m,2024-01-02T00:00:00Z,1,1,1,1,1\n", encoding="utf-8-sig")
    (tmp_path / "other.csv").write_text("a;b\n")
    (tmp_path / "half.parquet").write_bytes(b"PAR1")
    (tmp_path / "notes.txt").write_text("x")
    shown = run(app, ["ingest", str(tmp_path), "--dry-run"])
    assert (shown.exit_code, "marked.csv-x-1m" in shown.output) == (0, True)
    assert shown.stderr.strip().endswith("known format: half.parquet, other.csv")
    assert run(app, ["ingest", str(tmp_path / "none")]).exit_code == 1
    assert run(app, ["ingest", str(SAMPLE), "--dry-run", "--only", "nothing"]).exit_code == 2
    assert run(app, ["ingest", str(SAMPLE), "--simulation-id", "a b"]).exit_code == 2


def test_the_version_is_printed() -> None:
    assert run(app, ["version"]).output == f"keelson {VERSION}\n"


def test_an_unknown_command_is_an_error() -> None:
    assert run(app, ["reply"]).exit_code == 2


def test_a_key_is_made_shown_once_listed_without_it_and_revoked(var: Path) -> None:
    made = run(app, ["keys", "create", "night-desk", "--role", "trader"])
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert key_id_of(token)
    stored = list_keys(var / "keys" / "api-keys.json")
    assert [(key.name, key.role) for key in stored] == [("night-desk", Role.TRADER)]
    listed = run(app, ["keys", "list"])
    assert "night-desk" in listed.output
    assert token not in listed.output
    assert run(app, ["keys", "revoke", "night-desk"]).exit_code == 0
    assert list_keys(var / "keys" / "api-keys.json") == []


def test_a_key_can_go_to_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    out = tmp_path / "trader.key"
    made = run(app, ["keys", "create", "bot", "--role", "trader", "--out", str(out)])
    assert made.exit_code == 0
    assert key_id_of(out.read_text().strip())
    assert out.read_text().strip() not in made.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_key_that_cannot_be_written_is_not_made(var: Path, tmp_path: Path) -> None:
    failed = run(app, ["keys", "create", "bot", "--role", "trader", "--out", str(tmp_path / "no" / "file")])
    assert failed.exit_code == 1
    assert list_keys(var / "keys" / "api-keys.json") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "create", "x", "--role", "king"],
        ["keys", "create", "a b", "--role", "viewer"],
        ["keys", "create", "", "--role", "viewer"],
        ["keys", "create", "x" * 65, "--role", "viewer"],
        ["keys", "create", "x"],
        ["replay", "--simulation-id", "a b"],
        ["replay", "--only", "nothing-of-that-name"],
        ["replay", "--speed", "0"],
        ["kill", "--scope", "FIRM", "--target", "x", "--reason", "because"],
        ["kill", "--scope", "ACCOUNT", "--reason", "because"],
        ["kill", "--scope", "galaxy", "--reason", "because"],
        ["emergency-stop", "--reason", "x"],
        ["emergency-stop"],
        ["release", "k-1"],
        ["release", "a/../b", "--reason", "because"],
        ["migrate", "--service", "backoffice"],
    ],
)
def test_bad_values_are_refused_with_exit_code_2(arguments: list[str]) -> None:
    assert run(app, arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "revoke", "nobody"],
        ["replay", "--data", "/nowhere"],
        ["replay"],
        ["verify"],
        ["health", "--url", "http://127.0.0.1:1"],
        ["kill", "--scope", "firm", "--reason", "because"],
    ],
)
def test_what_cannot_be_done_ends_with_exit_code_1_and_no_traceback(arguments: list[str]) -> None:
    failed = run(app, arguments)
    assert failed.exit_code == 1
    assert "Traceback" not in failed.output


def test_a_key_name_that_is_taken_is_refused() -> None:
    run(app, ["keys", "create", "desk", "--role", "viewer"])
    again = run(app, ["keys", "create", "desk", "--role", "admin"])
    assert again.exit_code == 1
    assert "exists" in again.output


def test_migrate_does_not_start_a_second_server_beside_a_running_suite(var: Path) -> None:
    from cli.supervisor.lock import Lock

    lock = Lock(var)
    lock.acquire()
    try:
        failed = run(app, ["migrate"])
    finally:
        lock.release()
    assert failed.exit_code == 1
    assert "already runs" in failed.output


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "url": "x", "more": 1}'])
def test_a_damaged_run_file_is_told_and_no_other_suite_is_asked_instead(var: Path, content: str) -> None:
    (var / "run.json").write_text(content)
    for command in (["health"], ["verify"], ["status", "--once"]):
        failed = run(app, command)
        assert failed.exit_code == 1
        assert "run.json does not say where the suite answers" in " ".join(failed.output.split())
    assert "8080" not in run(app, ["health"]).output


@pytest.mark.parametrize("command", [["up"], ["replay", "--once"], ["migrate"]])
def test_a_file_where_the_folder_should_be_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    place = tmp_path / "taken"
    place.write_text("a file")
    monkeypatch.setenv("KEELSON_VAR", str(place))
    failed = run(app, command)
    assert failed.exit_code == 1
    assert f"{place} is no folder" in failed.output.replace("\n", "")
    assert "Errno" not in failed.output
    assert run(app, ["down"]).output == "nothing runs from this folder\n"


@pytest.mark.parametrize(("given", "port"), [("", "8080"), (" ", "8080"), ("8081", "8081"), (None, "8080")])
def test_make_up_takes_an_empty_port_as_none(given: str | None, port: str) -> None:
    named = [] if given is None else [f"PORT={given}"]
    environment = {key: value for key, value in os.environ.items() if key not in {"PORT", "MAKEFLAGS"}}
    shown = subprocess.run(
        ["make", "-n", "up", *named], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert f" up --port {port} " in shown.stdout
