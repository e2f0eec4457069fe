"""`keelson network` against real servers on loopback, good and bad."""

import json
import os
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from tests.integration.network.servers import Authority, dripping, listening, page, relaying, silent

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith("TRADING_"):
            monkeypatch.delenv(name)
    return monkeypatch


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["network", *arguments])


def look(*arguments: str, timeout: str = "2") -> tuple[int, dict[str, Any]]:
    """Return the exit code and the only target's document, its steps by name."""
    done = run("--json", "--timeout", timeout, *arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    document = json.loads(done.stdout)
    (target,) = document["targets"]
    assert document["verdict"] == target["verdict"]
    return done.exit_code, {**target, "steps": {step["name"]: step for step in target["steps"]}}


def verdicts(target: dict[str, Any]) -> dict[str, str]:
    return {name: step["verdict"] for name, step in target["steps"].items() if step["verdict"] != "skipped"}


def test_a_source_that_is_well_in_every_step(authority: Authority, servers: ExitStack) -> None:
    port = servers.enter_context(listening(page(), authority.context()))
    code, target = look(f"https://localhost:{port}/time", "--ca-file", str(authority.file))
    assert code == 0, target
    assert verdicts(target) == dict.fromkeys(["route", "dns", "tcp", "tls", "http", "clock"], "ok")
    tls, http, clock = (target["steps"][name] for name in ("tls", "http", "clock"))
    assert (tls["protocol"], round(tls["expires_in_days"])) == ("TLSv1.3", 90)
    assert (http["status"], target["route"]) == (200, "direct")
    assert 0 < http["time_to_first_byte_ms"] < 1_000
    # By a header that tells whole seconds.
    assert abs(clock["offset_seconds"]) <= clock["uncertainty_seconds"]
    assert 0.5 <= clock["uncertainty_seconds"] < 0.6
    assert all(step["milliseconds"] > 0 for step in (tls, http, target["steps"]["tcp"]))


@pytest.mark.parametrize(
    ("days", "host", "named", "hint"),
    [
        (-1, "localhost", "expired", "must renew it"),
        (90, "other.example", "Hostname mismatch", "another host's"),
    ],
)
def test_a_certificate_that_is_not_good(
    days: float, host: str, named: str, hint: str, authority: Authority, servers: ExitStack
) -> None:
    port = servers.enter_context(listening(page(), authority.context(days, host)))
    code, target = look(f"https://localhost:{port}", "--ca-file", str(authority.file))
    assert code == 1
    tls = target["steps"]["tls"]
    assert tls["verdict"] == "failed"
    assert named in tls["detail"]
    assert hint in tls["hint"]
    assert target["steps"]["http"]["verdict"] == "skipped"


def test_a_certificate_of_an_unknown_authority(authority: Authority, servers: ExitStack) -> None:
    port = servers.enter_context(listening(page(), authority.context()))
    code, target = look(f"https://localhost:{port}")
    assert code == 1
    assert "--ca-file" in target["steps"]["tls"]["hint"]


def test_a_certificate_that_expires_soon_is_a_warning(authority: Authority, servers: ExitStack) -> None:
    port = servers.enter_context(listening(page(), authority.context(days=5)))
    code, target = look(f"https://localhost:{port}", "--ca-file", str(authority.file))
    assert (code, target["verdict"]) == (0, "warning")
    assert round(target["steps"]["tls"]["expires_in_days"]) == 5


def test_https_where_plain_http_is_spoken(servers: ExitStack) -> None:
    port = servers.enter_context(listening(page()))
    code, target = look(f"https://localhost:{port}")
    assert (code, target["steps"]["tls"]["verdict"]) == (1, "failed")


def test_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    code, target = look(f"http://127.0.0.1:{port}")
    assert code == 1
    assert verdicts(target) == {"route": "ok", "dns": "ok", "tcp": "failed"}
    assert "refused" in target["steps"]["tcp"]["detail"].lower()
    assert "nothing listens there" in target["steps"]["tcp"]["hint"]


def test_a_name_that_does_not_exist() -> None:
    code, target = look("https://exchange.invalid")
    assert code == 1
    assert verdicts(target) == {"route": "ok", "dns": "failed"}
    assert "exchange.invalid" in target["steps"]["dns"]["detail"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_server_is_given_up_in_time(scheme: str, servers: ExitStack) -> None:
    port = servers.enter_context(listening(silent))
    began = time.monotonic()
    code, target = look(f"{scheme}://127.0.0.1:{port}", timeout="0.4")
    assert time.monotonic() - began < 3
    step = target["steps"]["http" if scheme == "http" else "tls"]
    assert (code, step["verdict"], step["detail"]) == (1, "failed", "no answer within 0.4 s")


def test_a_server_that_sends_a_byte_now_and_then_is_given_up_too(servers: ExitStack) -> None:
    port = servers.enter_context(listening(dripping))
    began = time.monotonic()
    code, target = look(f"http://127.0.0.1:{port}", timeout="0.4")
    assert time.monotonic() - began < 3
    assert (code, target["steps"]["http"]["verdict"]) == (1, "failed")


@pytest.mark.parametrize(
    ("status", "verdict", "code", "hint"),
    [
        ("503 Service Unavailable", "failed", 1, "in trouble itself"),
        ("451 Unavailable For Legal Reasons", "failed", 1, "TRADING_VPN"),
        ("403 Forbidden", "failed", 1, "wrong region"),
        ("429 Too Many Requests", "warning", 0, "asked too often"),
        ("404 Not Found", "warning", 0, "is the URL right"),
    ],
)
def test_what_an_answer_means(status: str, verdict: str, code: int, hint: str, servers: ExitStack) -> None:
    port = servers.enter_context(listening(page(status)))
    found, target = look(f"http://127.0.0.1:{port}")
    assert (found, target["steps"]["http"]["verdict"]) == (code, verdict)
    assert hint in target["steps"]["http"]["hint"]


def test_a_slow_answer_is_a_warning(servers: ExitStack) -> None:
    port = servers.enter_context(listening(page(seconds=2.1)))
    code, target = look(f"http://127.0.0.1:{port}", timeout="5")
    assert (code, target["steps"]["http"]["verdict"]) == (0, "warning")


@pytest.mark.parametrize(
    ("ahead", "verdict", "code"), [(0.0, "ok", 0), (-0.4, "warning", 0), (3.0, "failed", 1), (-60.0, "failed", 1)]
)
def test_a_clock_by_the_exchanges_own_time(
    ahead: float, verdict: str, code: int, servers: ExitStack, environment: pytest.MonkeyPatch
) -> None:
    body = page(body=lambda: json.dumps({"serverTime": round((time.time() + ahead) * 1000)}))
    port = servers.enter_context(listening(body))
    environment.setenv("TRADING_PRIMARY_SOURCE", "ccxt.binance")
    environment.setenv("TRADING_MARKETDATA_SOURCE_URLS", f"ccxt.binance=http://127.0.0.1:{port}")
    found, target = look()
    clock = target["steps"]["clock"]
    assert (found, clock["verdict"], clock["by"], target["name"]) == (code, verdict, "time", "ccxt.binance")
    assert abs(clock["offset_seconds"] - ahead) <= clock["uncertainty_seconds"] + 0.001
    assert clock["uncertainty_seconds"] < 0.1


def test_a_clock_by_the_date_header_alone(servers: ExitStack) -> None:
    port = servers.enter_context(listening(page(ahead=timedelta(seconds=90))))
    code, target = look(f"http://127.0.0.1:{port}")
    assert (code, target["steps"]["clock"]["verdict"]) == (1, "failed")
    assert abs(target["steps"]["clock"]["offset_seconds"] - 90) < 1
    assert "NTP" in target["steps"]["clock"]["hint"]
    without = servers.enter_context(listening(page(ahead=None)))
    code, target = look(f"http://127.0.0.1:{without}")
    assert (code, target["steps"]["clock"]["verdict"]) == (0, "skipped")


class TestProxy:
    def test_the_source_is_reached_and_resolved_by_the_proxy(
        self, authority: Authority, servers: ExitStack, environment: pytest.MonkeyPatch
    ) -> None:
        there = servers.enter_context(listening(page(), authority.context(host="exchange.invalid")))
        login = b64encode(b"desk:s3cret").decode()
        answer, asked = relaying({"exchange.invalid": there}, login)
        proxy = servers.enter_context(listening(answer))
        environment.setenv("TRADING_PROXY_URL", f"http://desk:s3cret@127.0.0.1:{proxy}")
        code, target = look("https://exchange.invalid/", "--ca-file", str(authority.file))
        assert code == 0, target
        assert verdicts(target)["proxy"] == verdicts(target)["tls"] == "ok"
        assert asked == ["CONNECT exchange.invalid:443"]
        assert "s3cret" not in json.dumps(target)

    @pytest.mark.parametrize(
        ("refuse", "hint"),
        [("403 Forbidden", "refuses this host"), ("502 Bad Gateway", "cannot reach"), ("junk", "HTTP")],
    )
    def test_a_proxy_that_refuses(
        self, refuse: str, hint: str, servers: ExitStack, environment: pytest.MonkeyPatch
    ) -> None:
        answer, _ = relaying({}, refuse=refuse)
        proxy = servers.enter_context(listening(answer))
        environment.setenv("TRADING_PROXY_URL", f"http://127.0.0.1:{proxy}")
        code, target = look("https://exchange.invalid/")
        assert (code, target["steps"]["proxy"]["verdict"]) == (1, "failed")
        assert hint in target["steps"]["proxy"]["hint"] + target["steps"]["proxy"]["detail"]

    def test_a_proxy_that_wants_a_login(self, servers: ExitStack, environment: pytest.MonkeyPatch) -> None:
        answer, _ = relaying({}, login="x")
        proxy = servers.enter_context(listening(answer))
        environment.setenv("TRADING_PROXY_URL", f"http://127.0.0.1:{proxy}")
        code, target = look("https://exchange.invalid/")
        assert code == 1
        assert "407" in target["steps"]["proxy"]["detail"]

    def test_a_silent_proxy(self, servers: ExitStack, environment: pytest.MonkeyPatch) -> None:
        proxy = servers.enter_context(listening(silent))
        environment.setenv("TRADING_PROXY_URL", f"http://127.0.0.1:{proxy}")
        code, target = look("https://exchange.invalid/", timeout="0.3")
        assert (code, target["steps"]["proxy"]["verdict"]) == (1, "failed")

    def test_mainland_sources_go_past_it_where_they_are_direct(
        self, servers: ExitStack, environment: pytest.MonkeyPatch
    ) -> None:
        answer, asked = relaying({}, refuse="403 Forbidden")
        proxy = servers.enter_context(listening(answer))
        environment.setenv("TRADING_PROXY_URL", f"http://127.0.0.1:{proxy}")
        environment.setenv("TRADING_CHINA_DIRECT", "1")
        environment.setenv("TRADING_MARKETDATA_MAINLAND_HOSTS", "mainland.invalid")
        _, target = look("https://quotes.mainland.invalid/")
        assert (target["route"], asked) == ("direct", [])
        _, target = look("https://elsewhere.invalid/")
        assert asked == ["CONNECT elsewhere.invalid:443"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a VPN by its interface needs Linux")
class TestVpn:
    def test_nothing_goes_out_past_a_vpn_that_is_down(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("TRADING_VPN", "wg-none")
        code, target = look("https://exchange.invalid")
        assert code == 1
        # Not even the name is asked for.
        assert verdicts(target) == {"route": "failed"}
        assert "bring the VPN up" in target["steps"]["route"]["hint"]


def test_what_is_shown_to_people(servers: ExitStack, environment: pytest.MonkeyPatch) -> None:
    good = servers.enter_context(listening(page()))
    bad = servers.enter_context(listening(page("503 Service Unavailable")))
    environment.setenv("TRADING_MARKETDATA_SOURCES", "ccxt.binance,desk.mirror,nse.option_chain")
    urls = f"ccxt.binance=http://127.0.0.1:{bad},desk.mirror=http://127.0.0.1:{good}"
    environment.setenv("TRADING_MARKETDATA_SOURCE_URLS", urls)
    done = run()
    assert done.exit_code == 1
    for text in ("ccxt.binance", "desk.mirror", "failed", "ok", "status 503", "in trouble itself", "it pushes"):
        assert text in done.output


def test_keelsons_own_services_can_be_looked_at(servers: ExitStack, environment: pytest.MonkeyPatch) -> None:
    port = servers.enter_context(listening(page()))
    for name in ("RISK", "MARKETDATA", "ML", "REPORTING"):
        environment.setenv(f"TRADING_{name}_URL", f"http://127.0.0.1:{port}")
    done = run("--json", "--services")
    assert done.exit_code == 0, done.output
    names = [target["name"] for target in json.loads(done.stdout)["targets"]]
    assert names == ["keelson.risk", "keelson.marketdata", "keelson.ml", "keelson.reporting"]


def test_without_any_source_it_says_what_to_set() -> None:
    done = run()
    assert done.exit_code == 1
    assert "TRADING_PRIMARY_SOURCE" in done.output


def test_bad_settings_are_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_VPN", "true")
    done = run("https://exchange.invalid")
    assert done.exit_code == 1
    assert "TRADING_VPN: name the network interface" in done.output


def test_a_file_of_certificates_that_is_none(tmp_path: Path, authority: Authority, servers: ExitStack) -> None:
    port = servers.enter_context(listening(page(), authority.context()))
    code, target = look(f"https://localhost:{port}", "--ca-file", str(tmp_path / "none.pem"))
    assert (code, target["steps"]["tls"]["verdict"]) == (1, "failed")
