"""The alert rules as their tests read them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.paths import ROOT

FOLDER = ROOT / "docker" / "prometheus"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
CASES = sorted((FOLDER / "tests").glob("*.yml"))
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w.])(?P<name>[a-zA-Z_:][\w:]*)\s*(?P<rest>\(|\{(?P<matchers>[^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_WORDS = frozenset({"and", "or", "unless", "offset", "bool"})


@dataclass(frozen=True)
class Selector:
    """A metric as an expression names it, with what its labels must be."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def takes(self, name: str, labels: dict[str, str]) -> bool:
        return name == self.name and all(
            self._holds(operator, value, labels.get(label, ""))
            for label, operator, value in self.matchers
            # Added by whoever scrapes.
            if label not in {"job", "instance"}
        )

    @staticmethod
    def _holds(operator: str, value: str, found: str) -> bool:
        same = found == value if operator in {"=", "!="} else re.fullmatch(value, found) is not None
        return same is not operator.startswith("!")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def alerts() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in RULES:
        for group in load(path)["groups"]:
            for rule in group["rules"]:
                yield path, rule


def selectors(expression: str) -> set[Selector]:
    found = set()
    for match in _NAME.finditer(_RANGE.sub("", _GROUPING.sub("", expression))):
        if match["rest"] != "(" and match["name"] not in _WORDS:
            found.add(Selector(match["name"], tuple(_MATCHER.findall(match["matchers"] or ""))))
    return found
