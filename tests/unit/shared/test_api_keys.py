import stat
from pathlib import Path

import pytest

from shared.api_keys import KeyFileError, create_key, key_id_of, list_keys, revoke_key, verify_key
from shared.roles import Role

pytestmark = pytest.mark.unit


def test_the_file_never_holds_the_secret_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "api-keys.json"
    token = create_key(path, "desk", Role.TRADER)
    assert token.rsplit("_", 1)[1] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_verifies_and_another_does_not(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    token, other = create_key(path, "a", Role.VIEWER), create_key(path, "b", Role.ADMIN)
    stored = {key.name: key for key in list_keys(path)}
    assert verify_key(stored["a"], token)
    assert not verify_key(stored["a"], other)
    assert key_id_of(token) == stored["a"].key_id
    assert stored["b"].role is Role.ADMIN


def test_names_are_unique_and_revocation_is_final(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    create_key(path, "a", Role.VIEWER)
    with pytest.raises(KeyFileError, match="exists"):
        create_key(path, "a", Role.ADMIN)
    assert revoke_key(path, "a")
    assert not revoke_key(path, "a")
    assert list_keys(path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{"name": "x"}]}', '{"keys": 3}', "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(text)
    with pytest.raises(KeyFileError, match=r"k\.json is not a file of API keys"):
        list_keys(path)


@pytest.mark.parametrize(
    "token", ["", "kl_", "kl_zz_x", "kl_0123456789ab_short", "Bearer x", "kl_0123456789ab_" + "a" * 44]
)
def test_other_texts_have_no_key_id(token: str) -> None:
    assert key_id_of(token) is None
