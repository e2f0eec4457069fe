"""`keelson journal` and the supervisor's checkpoints, without a database."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.supervisor.checkpoints import CHECKPOINT_FILE, CHECKPOINT_KEY_FILE, ensure_checkpoints
from cli.supervisor.lock import Lock
from cli.supervisor.storage import DATABASE
from services.risk.signing import SigningKeyError, load_public_key, load_signing_key

pytestmark = pytest.mark.unit

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEELSON_VAR", str(tmp_path))
    for name in (DATABASE, CHECKPOINT_FILE, CHECKPOINT_KEY_FILE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_key_is_made_and_only_its_public_half_is_shown(var: Path) -> None:
    file = var / "signing"
    made = run(app, ["journal", "create-key", str(file)])
    assert made.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    public = load_public_key(var / "signing.pub")
    assert load_signing_key(file).key_id == public.key_id
    assert made.stdout == public.pem()
    assert "PRIVATE" not in made.output
    again = run(app, ["journal", "create-key", str(file)])
    assert again.exit_code == 1
    assert "exists" in again.output
    assert load_signing_key(file).key_id == public.key_id


def test_verify_without_anything_could_not_run() -> None:
    failed = run(app, ["journal", "verify"])
    assert failed.exit_code == 2
    assert "Traceback" not in failed.output
    assert run(app, ["journal", "verify", "--database", "postgresql://x/y", "--export", "z"]).exit_code == 2


def test_a_suite_on_a_database_of_its_own_environment_is_not_guessed_at(var: Path) -> None:
    Path(ensure_checkpoints(var)[CHECKPOINT_FILE]).touch()
    lock = Lock(var)
    lock.acquire()
    try:
        for command in (["verify"], ["export", "--file", str(var / "x")]):
            failed = run(app, ["journal", *command])
            assert failed.exit_code == (2 if command == ["verify"] else 1)
            assert "runs on another database: name that with TRADING_DATABASE_URL" in failed.output
    finally:
        lock.release()
    assert not (var / "postgres").exists()


def test_a_first_start_makes_the_key_and_a_second_keeps_it(var: Path) -> None:
    found = ensure_checkpoints(var)
    key = Path(found[CHECKPOINT_KEY_FILE])
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Path(found[CHECKPOINT_FILE]).parent.is_dir()
    before = key.read_bytes()
    assert ensure_checkpoints(var) == found
    assert key.read_bytes() == before
    assert load_public_key(key.with_name("checkpoint.key.pub")).key_id == load_signing_key(key).key_id
    key.chmod(0o644)
    with pytest.raises(SigningKeyError):
        ensure_checkpoints(var)


@pytest.mark.parametrize("name", [DATABASE, CHECKPOINT_FILE, CHECKPOINT_KEY_FILE])
def test_what_the_environment_names_is_left_to_it(var: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "somewhere")
    assert ensure_checkpoints(var) == {}
    assert not (var / "checkpoints").exists()
