"""The map of controls names what is there."""

import re
from pathlib import Path

import pytest

from cli.paths import ROOT
from shared.schemas.denials import DenialCode

pytestmark = pytest.mark.unit
PAGE = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
PROOFS = sorted(set(re.findall(r"`((?:unit|integration|e2e)/[\w/]+\.py)::(\w+)`", PAGE)))


def test_there_are_proofs() -> None:
    assert len(PROOFS) > 25


@pytest.mark.parametrize(("file", "name"), PROOFS)
def test_every_proof_is_there(file: str, name: str) -> None:
    source = Path(ROOT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^(class|def|async def) {name}\b", source, re.MULTILINE)


@pytest.mark.parametrize("code", list(DenialCode))
def test_every_denial_serves_a_control_of_the_map(code: DenialCode) -> None:
    assert f"`{code}`" in PAGE
