"""Put a trained model into files or into the registry of ml."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from cli.training.fit import TrainedModel
from shared.schemas.base import Page
from shared.schemas.ml import ModelUpload, ModelView

FIRST_VERSION = "1.0.0"
_MODELS = "/api/v1/ml/models"


class PublishError(Exception):
    """The registry did not take the model, and what it answered."""


@dataclass(frozen=True, slots=True)
class Published:
    """The version the champion alias points at now, and whether it was uploaded just now."""

    version: str
    created: bool


def write_files(model: TrainedModel, version: str, folder: Path) -> list[Path]:
    """Write the ONNX bytes and a JSON manifest beside them, the same bytes for the same model; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{model.name}-{version}"
    graph, manifest = folder / f"{stem}.onnx", folder / f"{stem}.json"
    graph.write_bytes(model.onnx)
    content = {
        "name": model.name,
        "version": version,
        "sha256": model.sha256,
        "training_data_hash": model.training_data_hash,
        "signature": model.signature.model_dump(mode="json"),
        "metrics": model.metrics,
        "notes": list(model.notes),
    }
    manifest.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return [graph, manifest]


def publish(client: httpx.Client, model: TrainedModel, version: str | None, trained_at: datetime) -> Published:
    """Register the model unless its bytes are there already, and make it champion.

    `version` None is the next patch version after the newest; bytes equal to the newest's keep that version. Raises
    PublishError with the registry's own words.
    """
    known = _registered(client, model.name)
    newest = max(known, key=_order, default=None)
    rival = newest if version is None else next((view for view in known if view.version == version), None)
    created = rival is None or rival.sha256 != model.sha256
    if rival is not None and not created:
        chosen = rival.version
    else:
        chosen = version or (_next_patch(newest.version) if newest else FIRST_VERSION)
        _upload(client, model, chosen, trained_at)
    _call(client, "PUT", f"{_MODELS}/{model.name}/aliases/champion", json.dumps({"version": chosen}))
    return Published(version=chosen, created=created)


def _upload(client: httpx.Client, model: TrainedModel, version: str, trained_at: datetime) -> None:
    upload = ModelUpload(
        name=model.name,
        version=version,
        onnx=base64.b64encode(model.onnx),
        signature=model.signature,
        training_data_hash=model.training_data_hash,
        metrics=model.metrics,
        trained_at=trained_at,
    )
    _call(client, "POST", _MODELS, upload.model_dump_json())


def _registered(client: httpx.Client, name: str) -> list[ModelView]:
    views: list[ModelView] = []
    cursor: str | None = None
    while True:
        query = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = Page[ModelView].model_validate_json(_call(client, "GET", _MODELS, None, query).content)
        views.extend(view for view in page.items if view.name == name)
        cursor = page.next_cursor
        if cursor is None:
            return views


def _call(
    client: httpx.Client, method: str, path: str, body: str | None, query: dict[str, str] | None = None
) -> httpx.Response:
    headers = {"Content-Type": "application/json"} if body is not None else None
    try:
        answer = client.request(method, path, content=body, params=query, headers=headers)
    except httpx.HTTPError as error:
        raise PublishError(f"{method} {path}: {error}") from error
    if answer.is_success:
        return answer
    raise PublishError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")


def _order(view: ModelView) -> tuple[int, ...]:
    return tuple(int(part) for part in view.version.split("."))


def _next_patch(version: str) -> str:
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"
