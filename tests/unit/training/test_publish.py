"""Versions in the registry, and the command's answers to what goes wrong.

The registry here answers by the wire contract alone; the real one has its own integration tests.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from cli.train import train_command
from cli.training.fit import TrainedModel
from cli.training.publish import Published, PublishError, publish
from shared.schemas.base import Page
from shared.schemas.ml import FeatureSpec, ModelSignature, ModelUpload, ModelView

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Registry:
    """Holds uploads in memory, one model a page."""

    def __init__(self) -> None:
        self.models: list[ModelView] = []
        self.champion: str | None = None
        self.client = httpx.Client(base_url="http://registry", transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            at = int(request.url.params.get("cursor", "0"))
            following = str(at + 1) if at + 1 < len(self.models) else None
            page = Page[ModelView](items=self.models[at : at + 1], next_cursor=following)
            return httpx.Response(200, text=page.model_dump_json())
        if request.method == "PUT":
            self.champion = json.loads(request.content)["version"]
            return httpx.Response(200, text="{}")
        upload = ModelUpload.model_validate_json(request.content)
        if any((m.name, m.version) == (upload.name, upload.version) for m in self.models):
            return httpx.Response(409, text='{"title": "version taken"}')
        fields = upload.model_dump(exclude={"onnx"})
        digest = hashlib.sha256(upload.onnx).hexdigest()
        self.models.append(ModelView(**fields, sha256=digest, registered_at=NOW))
        return httpx.Response(201, text="{}")


def model(graph: bytes, name: str = "signal_quality") -> TrainedModel:
    return TrainedModel(
        name=name,
        onnx=graph,
        sha256=hashlib.sha256(graph).hexdigest(),
        signature=ModelSignature(features=[FeatureSpec(name="momentum", minimum=-1.0, maximum=1.0)]),
        training_data_hash="0" * 64,
        metrics={"auc": 0.5},
        signals={},
        notes=(),
    )


def test_the_first_model_is_1_0_0_and_champion() -> None:
    registry = Registry()
    assert publish(registry.client, model(b"one"), None, NOW) == Published("1.0.0", created=True)
    assert (registry.champion, registry.models[0].sha256) == ("1.0.0", hashlib.sha256(b"one").hexdigest())


def test_the_same_bytes_make_no_new_version_and_are_champion_again() -> None:
    registry = Registry()
    publish(registry.client, model(b"one"), None, NOW)
    registry.champion = None
    assert publish(registry.client, model(b"one"), None, NOW) == Published("1.0.0", created=False)
    assert (registry.champion, len(registry.models)) == ("1.0.0", 1)


def test_other_bytes_take_the_patch_version_after_the_newest_of_all_pages() -> None:
    registry = Registry()
    publish(registry.client, model(b"other", name="another"), "9.9.9", NOW)
    for graph, version in ((b"one", "1.9.0"), (b"two", "1.10.0"), (b"three", "1.2.0")):
        publish(registry.client, model(graph), version, NOW)
    assert publish(registry.client, model(b"four"), None, NOW) == Published("1.10.1", created=True)


def test_a_chosen_version_with_the_same_bytes_is_kept() -> None:
    registry = Registry()
    publish(registry.client, model(b"one"), "1.0.0", NOW)
    publish(registry.client, model(b"two"), "1.0.1", NOW)
    assert publish(registry.client, model(b"one"), "1.0.0", NOW) == Published("1.0.0", created=False)
    assert registry.champion == "1.0.0"


def test_a_chosen_version_with_other_bytes_is_the_registrys_conflict() -> None:
    registry = Registry()
    publish(registry.client, model(b"one"), "1.0.0", NOW)
    with pytest.raises(PublishError, match=r"409.*version taken"):
        publish(registry.client, model(b"two"), "1.0.0", NOW)
    assert registry.champion == "1.0.0"


def test_a_registry_that_is_not_there_is_named() -> None:
    with httpx.Client(base_url="http://127.0.0.1:9") as client, pytest.raises(PublishError, match="/api/v1/ml/models"):
        publish(client, model(b"one"), None, NOW)


def command(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(train_command)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output + result.stderr


def test_the_command_writes_files_and_says_what_they_are_worth(tmp_path: Path) -> None:
    code, text = command("--out", str(tmp_path))
    assert code == 0
    assert "too few to tell skill from luck" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["signal_quality-1.0.0.json", "signal_quality-1.0.0.onnx"]


def test_the_command_names_a_folder_without_data(tmp_path: Path) -> None:
    code, text = command("--data", str(tmp_path), "--out", str(tmp_path))
    assert code == 1
    assert "no data recognised" in text


def test_the_command_without_a_key_says_so_before_it_trains(tmp_path: Path) -> None:
    code, text = command("--url", "http://127.0.0.1:9", "--token-file", str(tmp_path / "absent"))
    assert code == 1
    assert "CommandError" in text
    assert "absent" in text


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.x", "1.0.0.0", ""])
def test_the_command_refuses_what_is_no_version(version: str, tmp_path: Path) -> None:
    code, text = command("--version", version, "--out", str(tmp_path))
    assert code == 2
    assert "three numbers" in text
