"""Calls of the command line: defaults, tokens, refusals and retries."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import typer

from cli.client import Api, CommandError, Refused, Unavailable, api_client, base_url, reporting_errors
from shared.roles import Role
from shared.schemas.reporting import LedgerState

pytestmark = pytest.mark.unit

STATE = {
    "cursor": 1,
    "journal_last_seq": 1,
    "lag": 0,
    "trades": 0,
    "rollups": 0,
    "state": "current",
    "updated_at": None,
}


@pytest.fixture(autouse=True)
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEELSON_VAR", str(tmp_path))
    for name in ("KEELSON_URL", "KEELSON_TOKEN", "KEELSON_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "admin.key").write_text("the-admin-key\n")
    (tmp_path / "keys" / "service.key").write_text("the-service-key\n")
    return tmp_path


def run_file(var: Path, url: str) -> None:
    told = {"pid": 1, "url": url, "admin_key_file": "a", "service_key_file": "s"}
    (var / "run.json").write_text(json.dumps(told))


def api(answer: Callable[[httpx.Request], httpx.Response], **options: object) -> Api:
    transport = httpx.MockTransport(answer)
    return Api(httpx.Client(transport=transport, base_url="http://suite"), **options)  # type: ignore[arg-type]


def problem(status: int, **more: object) -> httpx.Response:
    document = {"title": "Conflict", "detail": "the order exists", "correlation_id": "c-1", **more}
    return httpx.Response(status, json=document, headers={"Content-Type": "application/problem+json"})


def test_the_url_is_the_named_one_then_the_environments_then_the_running_suites_then_port_8080(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert base_url(None) == "http://127.0.0.1:8080"
    run_file(var, "http://127.0.0.1:9999")
    assert base_url(None) == "http://127.0.0.1:9999"
    monkeypatch.setenv("KEELSON_URL", "https://keelson.desk/")
    assert base_url(None) == "https://keelson.desk"
    assert base_url("http://other:1") == "http://other:1"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://"])
def test_a_url_that_is_none_is_named(url: str) -> None:
    with pytest.raises(CommandError, match="not an http or https URL"):
        base_url(url)


def token_of(client: httpx.Client) -> str:
    with client:
        return client.headers["Authorization"]


def test_the_token_is_the_named_files_then_the_environments_then_the_folders_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert token_of(api_client()) == "Bearer the-admin-key"
    assert token_of(api_client(role=Role.SERVICE)) == "Bearer the-service-key"
    named = tmp_path / "named"
    named.write_text("from-named-file")
    monkeypatch.setenv("KEELSON_TOKEN_FILE", str(named))
    assert token_of(api_client()) == "Bearer from-named-file"
    monkeypatch.setenv("KEELSON_TOKEN", "from-environment")
    assert token_of(api_client()) == "Bearer from-environment"
    file = tmp_path / "token"
    file.write_text("from-file\n")
    assert token_of(api_client(token_file=file)) == "Bearer from-file"


def test_the_folders_own_key_is_not_sent_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match=r"name the key for keelson\.desk"):
        api_client("https://keelson.desk")
    monkeypatch.setenv("KEELSON_TOKEN", "named")
    assert token_of(api_client("https://keelson.desk")) == "Bearer named"


def test_a_missing_key_file_says_what_to_do(var: Path) -> None:
    (var / "keys" / "admin.key").unlink()
    with pytest.raises(CommandError, match=r"admin\.key cannot be read .*make up"):
        api_client()


@pytest.mark.parametrize("content", ["", "two words", "sécret", "a\nb"])
def test_a_file_that_holds_no_token_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(CommandError) as raised:
        api_client(token_file=file)
    assert "does not hold one token" in str(raised.value)
    assert not content or content not in str(raised.value)


def test_a_problem_becomes_one_line_with_its_detail_fields_and_correlation_id() -> None:
    errors = [{"location": "body.quantity", "message": "must be\nabove zero", "code": "x"}]
    with pytest.raises(Refused) as raised:
        api(lambda _: problem(409, errors=errors)).get("/p", LedgerState)
    assert str(raised.value) == (
        "/p: 409 Conflict: the order exists (body.quantity: must be above zero) [correlation id c-1]"
    )


def test_a_refusal_is_not_sent_again() -> None:
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return problem(422)

    with pytest.raises(Refused):
        api(answer).get("/p", LedgerState)
    assert len(calls) == 1


@pytest.mark.parametrize("text", ["<html>", "[]", '{"title": 1}', ""])
def test_an_error_that_is_no_problem_document_is_reported_too(text: str) -> None:
    with pytest.raises(Refused, match="/p: 500"):
        api(lambda _: httpx.Response(500, text=text)).get("/p", LedgerState)


def test_a_service_that_is_briefly_down_is_asked_again_with_one_notice() -> None:
    answers: list[httpx.Response | Exception] = [
        problem(503),
        httpx.ConnectError("refused"),
        httpx.Response(200, json=STATE),
    ]
    told: list[str] = []

    def answer(_: httpx.Request) -> httpx.Response:
        following = answers.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    client = api(answer, notice=told.append)
    assert client.get("/p", LedgerState).cursor == 1
    assert client.retries == 2
    assert len(told) == 1
    assert "503" in told[0]


def test_a_service_that_stays_down_ends_with_what_to_do() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unavailable, match=r"http://suite does not answer \(ConnectError\)\. Is it running\? make up"):
        api(answer, retry_seconds=0.3).get("/p", LedgerState)


def test_an_answer_of_another_version_is_named() -> None:
    with pytest.raises(CommandError, match=r"does not understand: cursor"):
        api(lambda _: httpx.Response(200, json={**STATE, "cursor": "x"})).get("/p", LedgerState)


def test_an_error_ends_the_command_with_exit_code_1_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, reporting_errors():
        raise CommandError("[brackets] are text")
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "error: [brackets] are text\n"
