import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from cli.paths import ROOT
from shared.settings import BAD_SETTINGS, AppSettings, ServiceSettings, SettingsError, load_settings

pytestmark = pytest.mark.unit

GOOD = {
    "TRADING_DATABASE_URL": "postgresql+psycopg://keelson:bTq8-wv2Nf0zLr@db:5432/keelson",
    "TRADING_REDIS_URL": "redis://:Zk3-9fQxP1mmVt@redis:6379/0",
}


class DemoSettings(ServiceSettings):
    service: ClassVar[str] = "risk"
    risk_depth: int = Field(default=3, ge=1, description="Only here for the test.")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith("TRADING_"):
            monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_reads_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_RISK_DEPTH", "7")
    settings = load_settings(DemoSettings)
    assert settings.risk_depth == 7
    assert settings.redis_url.get_secret_value() == GOOD["TRADING_REDIS_URL"]


def test_every_bad_and_unknown_variable_is_named_and_no_value_shown(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("TRADING_REDIS_URL")
    environment.setenv("TRADING_DATABASE_URL", "mysql://root:hunter2@db/x")
    environment.setenv("TRADING_RISK_DEPTH", "0")
    environment.setenv("TRADING_RISK_DEPHT", "4")
    environment.setenv("TRADING_REDIS_ULR", "x")
    with pytest.raises(SettingsError) as caught:
        load_settings(DemoSettings)
    text = str(caught.value)
    for name in ("REDIS_URL is required", "DATABASE_URL", "RISK_DEPTH", "RISK_DEPHT is not", "REDIS_ULR is not"):
        assert f"TRADING_{name}" in text
    assert "hunter2" not in text


def test_another_services_settings_are_left_to_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_ML_CACHE", "3")
    load_settings(DemoSettings)


def test_common_settings_do_not_fail_a_process_without_storage(environment: pytest.MonkeyPatch) -> None:
    load_settings(AppSettings)


def test_a_plain_postgres_url_gets_the_driver(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_DATABASE_URL", "postgres://u:p@h/d")
    assert load_settings(DemoSettings).database_url.get_secret_value() == "postgresql+psycopg://u:p@h/d"


def test_jwt_without_issuer_or_audience_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_JWT_JWKS_URL", "https://idp.example/keys")
    with pytest.raises(SettingsError, match="TRADING_JWT_ISSUER"):
        load_settings(DemoSettings)


def test_secrets_are_not_in_the_text_of_the_settings() -> None:
    assert "bTq8" not in repr(load_settings(DemoSettings))


class TestProduction:
    def load(self, environment: pytest.MonkeyPatch, **values: str) -> DemoSettings:
        environment.setenv("TRADING_ENVIRONMENT", "production")
        environment.setenv("TRADING_API_KEYS_FILE", "/run/secrets/keys.json")
        for name, value in values.items():
            environment.setenv(f"TRADING_{name}", value)
        return load_settings(DemoSettings)

    def test_real_secrets_pass(self, environment: pytest.MonkeyPatch) -> None:
        assert self.load(environment).api_keys_file == Path("/run/secrets/keys.json")

    @pytest.mark.parametrize(
        "secret",
        ["changeme", "change-me-please-now", "<put it here>", "your-secret-key-1", "tiny-1", "password1", "x" * 20],
    )
    def test_placeholders_are_refused(self, environment: pytest.MonkeyPatch, secret: str) -> None:
        with pytest.raises(SettingsError, match="TRADING_SERVICE_TOKEN looks like a placeholder") as caught:
            self.load(environment, SERVICE_TOKEN=secret)
        assert secret not in str(caught.value)

    def test_a_placeholder_inside_a_url_is_refused(self, environment: pytest.MonkeyPatch) -> None:
        with pytest.raises(SettingsError, match="TRADING_DATABASE_URL looks like"):
            self.load(environment, DATABASE_URL="postgresql://keelson:changeme-now-please@db/keelson")

    def test_a_url_without_a_password_is_refused(self, environment: pytest.MonkeyPatch) -> None:
        with pytest.raises(SettingsError, match="TRADING_REDIS_URL has no password"):
            self.load(environment, REDIS_URL="redis://redis:6379/0")

    def test_no_authentication_is_refused(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("TRADING_ENVIRONMENT", "production")
        with pytest.raises(SettingsError, match="TRADING_API_KEYS_FILE or TRADING_JWT_JWKS_URL"):
            load_settings(DemoSettings)


def test_development_takes_a_placeholder() -> None:
    assert DemoSettings(service_token=SecretStr("changeme")).environment == "development"


@pytest.mark.parametrize(
    "factory",
    [
        *(f"services.{name}.main:create" for name in ("risk", "marketdata", "ml", "reporting")),
        *("gateway.front:create", "gateway.dashboard.app:create"),
    ],
)
def test_a_server_of_any_app_ends_on_bad_settings_with_their_names_and_no_traceback(factory: str) -> None:
    bad = {"TRADING_LOG_LEVEL": "LOUD", "TRADING_NO_SUCH_SETTING": "hidden-word"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRADING_")}
    command = [sys.executable, "-m", "uvicorn", "--factory", factory, "--port", "0"]
    ended = subprocess.run(command, env={**kept, **bad}, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == BAD_SETTINGS
    assert "TRADING_LOG_LEVEL" in ended.stderr
    assert "TRADING_NO_SUCH_SETTING is not a setting" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hidden-word" not in ended.stderr


def test_risk_may_be_several_shards(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRADING_RISK_URL", "http://a:1/, http://b:2")
    assert load_settings(AppSettings).risk_urls == ["http://a:1", "http://b:2"]
    environment.setenv("TRADING_RISK_URL", "http://a:1,b:2")
    with pytest.raises(SettingsError, match="TRADING_RISK_URL: must be an http"):
        load_settings(AppSettings)
