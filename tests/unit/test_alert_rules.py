"""Alerts fire when they should, and not when they should not; whoever is paged finds what to do."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.paths import ROOT
from tests.rules import CASES, FOLDER, RULES, Selector, alerts, load, selectors

pytestmark = pytest.mark.unit
ALERTS = [(path, rule) for path, rule in alerts()]
NAMES = [rule["alert"] for _, rule in ALERTS]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
# Fenced blocks line by line, and code within a line.
CODE = [
    *(line for block in re.findall(r"```\n(.*?)```", RUNBOOK, re.DOTALL) for line in block.splitlines()),
    *re.findall(r"`([^`]+)`", re.sub(r"```\n.*?```", "", RUNBOOK, flags=re.DOTALL)),
]
COMMANDS = sorted({code.split("#")[0].strip() for code in CODE if code.startswith("keelson ")})
CALLS = sorted({code for code in CODE if "/api/v1/" in code})


def cases(alert: str) -> list[list[Any]]:
    return [
        test["exp_alerts"]
        for path in CASES
        for group in load(path)["tests"]
        for test in group["alert_rule_test"]
        if test["alertname"] == alert
    ]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; on Debian it is in the package prometheus")
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_promtool_takes_the_rules(promtool: str, path: Path) -> None:
    assert f"{len([rule for each, rule in ALERTS if each == path])} rules found" in run(
        promtool, "check", "rules", str(path)
    )


def test_promtool_takes_the_configuration_and_finds_the_rules(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "rules", tmp_path / "rules")
    (tmp_path / "token").write_text("a key")
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    assert "/run/secrets/prometheus_token" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/prometheus_token", str(tmp_path / "token")))
    output = run(promtool, "check", "config", str(tmp_path / "prometheus.yml"))
    assert f"{len(RULES)} rule files found" in output


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_promtool_finds_every_alert_as_the_cases_tell(promtool: str, path: Path) -> None:
    assert "SUCCESS" in run(promtool, "test", "rules", str(path))


def test_every_service_is_scraped_with_a_key() -> None:
    jobs = {job["job_name"]: job for job in load(FOLDER / "prometheus.yml")["scrape_configs"]}
    assert jobs.keys() == {"risk", "marketdata", "ml", "reporting", "gateway", "prometheus"}
    for name in jobs.keys() - {"prometheus"}:
        assert jobs[name]["authorization"]["credentials_file"] == "/run/secrets/prometheus_token", name


def test_no_alert_has_another_ones_name() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 25


@pytest.mark.parametrize("rule", [rule for _, rule in ALERTS], ids=NAMES)
class TestAlert:
    def test_it_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(self, rule: dict[str, Any]) -> None:
        expected = cases(rule["alert"])
        assert any(expected), "no case in which it fires"
        assert not all(expected), "no case in which it does not fire"

    def test_it_says_how_bad_what_and_how_much(self, rule: dict[str, Any]) -> None:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        texts = rule["annotations"]
        assert texts.keys() == {"summary", "description", "runbook"}
        assert "$value" in texts["summary"] + texts["description"]

    def test_the_runbook_tells_what_to_do(self, rule: dict[str, Any]) -> None:
        name = rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        entry = re.search(rf"^### {name}$(.*?)(?=^##|\Z)", RUNBOOK, re.DOTALL | re.MULTILINE)
        assert entry is not None
        for part in ("- Look: ", "- Do: ", "- Escalate: "):
            assert part in entry[1], part


class TestRunbook:
    def test_every_entry_has_an_alert(self) -> None:
        assert sorted(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)) == sorted(NAMES)

    def test_every_alert_it_names_is_there(self) -> None:
        named = set(re.findall(r"\b(?:Risk|Service|Marketdata)[A-Z]\w+", RUNBOOK))
        assert named == set(NAMES)

    def test_every_setting_it_names_is_there(self) -> None:
        configuration = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        named = set(re.findall(r"TRADING_\w+", RUNBOOK + "".join(path.read_text() for path in RULES)))
        assert len(named) > 5
        assert [name for name in named if f"`{name}`" not in configuration] == []

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_it_names_is_there(self, command: str) -> None:
        words = shlex.split(command)[1:]
        path = words[: next((n for n, word in enumerate(words) if not re.fullmatch(r"[a-z][a-z-]*", word)), None)]
        helped = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
        assert helped.exit_code == 0, helped.output
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", helped.output), option

    @pytest.mark.parametrize("call", CALLS)
    def test_every_route_it_names_is_there(self, call: str) -> None:
        route = re.search(r"/api/v1/[^\s\"'?]+", call)
        assert route is not None
        named = re.search(r"\b(POST|PUT)\b", call)
        method = named[1].lower() if named else "get"
        documents = [json.loads(path.read_text()) for path in (ROOT / "docs" / "openapi").glob("*.json")]
        assert any(
            method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), route[0])
            for document in documents
            for template, operations in document["paths"].items()
        )


def test_selectors_of_an_expression_are_found() -> None:
    expression = (
        'sum by (le, job) (rate(a_bucket{x="1", y!~"2|3"}[5m] offset 30m)) / 2e3 and on (b) (c or vector(0)) > 1'
    )
    assert selectors(expression) == {Selector("a_bucket", (("x", "=", "1"), ("y", "!~", "2|3"))), Selector("c", ())}
    assert Selector("a", (("x", "!~", "2|3"),)).takes("a", {"x": "23"})
    assert not Selector("a", (("x", "=~", "2|3"),)).takes("a", {"x": "23"})
