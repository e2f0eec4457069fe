"""Typed settings from the environment, prefix TRADING_; unknown and bad values are named at start."""

import os
import re
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "TRADING_"
# Of one service, and named without its prefix as they are policy of the whole desk: one .env serves every service.
_OF_THE_DESK = frozenset(
    {
        "TRADING_BOOT_HALTED",
        "TRADING_FOUR_EYES",
        "TRADING_PRIMARY_SOURCE",
        "TRADING_VPN",
        "TRADING_PROXY_URL",
        "TRADING_CHINA_DIRECT",
        "TRADING_CONNECTION_TIMEOUT",
    }
)
SERVICES = ("risk", "marketdata", "ml", "reporting", "dashboard")

_PLACEHOLDER = re.compile(
    r"change[-_ ]?me|placeholder|example|replace|your[-_ ]|dummy|insert|todo|^<.*>$|^(x+|\*+|0+|1234.*)$"
    r"|^(password|passwd|secret|token|admin|root|test|default|none|null|keelson|trading|postgres|redis)\d*$",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 12
# What sysexits.h calls a configuration error: starting again would change nothing.
BAD_SETTINGS = 78


class SettingsError(Exception):
    """What is wrong with the environment, one line for each variable; values are never shown."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("bad settings:\n" + "\n".join(f"  {problem}" for problem in problems))


def base_urls(text: str, separator: str = ",") -> list[str]:
    """Return the base URLs of a list, without a slash at the end. Raises ValueError where one is none."""
    urls = [each.strip().rstrip("/") for each in text.split(separator)]
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError("must be an http or https URL")
    return urls


class AppSettings(BaseSettings):
    """What every process needs that answers HTTP."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)
    # Names the prefix of a service's own settings: TRADING_RISK_… belongs to risk alone.
    service: ClassVar[str] = ""

    environment: Literal["development", "test", "production"] = Field(
        default="development", description="`production` refuses placeholder secrets and missing authentication."
    )
    api_keys_file: Path | None = Field(
        default=None, description="JSON file of hashed API keys, made by `keelson keys create`."
    )
    jwt_jwks_url: str | None = Field(default=None, description="Where the identity provider publishes its keys (JWKS).")
    jwt_issuer: str | None = Field(default=None, description="The `iss` a JWT must carry.")
    jwt_audience: str | None = Field(default=None, description="The `aud` a JWT must carry.")
    jwt_roles_claim: str = Field(default="roles", description="The claim that lists a caller's roles.")
    service_token: SecretStr | None = Field(default=None, description="Bearer token for calls to the other services.")
    service_token_file: Path | None = Field(default=None, description="File that holds the service token.")
    risk_url: str = Field(
        default="http://127.0.0.1:8080",
        description="Base URL of risk, without the API prefix; of several shards all in their order, "
        "separated by commas.",
    )
    marketdata_url: str = Field(default="http://127.0.0.1:8080", description="Base URL of marketdata.")
    ml_url: str = Field(default="http://127.0.0.1:8080", description="Base URL of ml.")
    reporting_url: str = Field(default="http://127.0.0.1:8080", description="Base URL of reporting.")
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="A longer request body is refused with 413."
    )
    body_seconds: float = Field(
        default=30, gt=0, le=3600, description="A request body that has not come whole by then is refused with 408."
    )
    front_streams: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Readers of `GET /api/v1/risk/stream` that the front takes for each process of risk; "
        "one more is refused with 503.",
    )
    front_sockets: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Readers of `WS /api/v1/marketdata/stream` that the front takes; one more is refused with 503.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    log_stdout: bool = Field(default=True, description="Log to standard output.")
    log_file: Path | None = Field(default=None, description="Log to this file too, rotated and gzip-compressed.")
    log_file_max_bytes: int = Field(default=20_000_000, ge=10_000, description="Size at which the log file rotates.")
    log_file_backups: int = Field(default=10, ge=1, description="Rotated log files kept.")
    elasticsearch_url: str | None = Field(default=None, description="Send log lines to this Elasticsearch too.")
    elasticsearch_api_key: SecretStr | None = Field(default=None, description="API key for Elasticsearch.")
    elasticsearch_index: str = Field(default="keelson-logs", description="Index or data stream for log lines.")
    elasticsearch_fallback_file: Path = Field(
        default=Path("logs/elasticsearch-fallback.json"),
        description="Keeps lines while Elasticsearch is away; re-sent once it is back.",
    )

    @field_validator("marketdata_url", "ml_url", "reporting_url", "jwt_jwks_url", "elasticsearch_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        return None if value is None else base_urls(value, "\n")[0]

    @field_validator("risk_url")
    @classmethod
    def _http_urls(cls, value: str) -> str:
        return ",".join(base_urls(value))

    @property
    def risk_urls(self) -> list[str]:
        """Return the base URL of each shard of risk, in their order."""
        return self.risk_url.split(",")

    @model_validator(mode="after")
    def _jwt_is_whole(self) -> Self:
        if self.jwt_jwks_url and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("TRADING_JWT_JWKS_URL needs TRADING_JWT_ISSUER and TRADING_JWT_AUDIENCE beside it")
        return self

    @model_validator(mode="after")
    def _production_is_safe(self) -> Self:
        if self.environment != "production":
            return self
        problems = [
            f"{PREFIX}{name.upper()} has no password"
            if not secret
            else f"{PREFIX}{name.upper()} looks like a placeholder or is shorter than {_SHORTEST_SECRET} characters"
            for name, secret in self._secrets()
            if len(secret) < _SHORTEST_SECRET or _PLACEHOLDER.search(secret)
        ]
        if not self.api_keys_file and not self.jwt_jwks_url:
            problems.append(f"{PREFIX}API_KEYS_FILE or {PREFIX}JWT_JWKS_URL must be set in production")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _secrets(self) -> list[tuple[str, str]]:
        """Return each secret by name; of a URL, its password alone."""
        found = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
                found.append((name, urlsplit(text).password or "" if "://" in text else text))
        return found


class ServiceSettings(AppSettings):
    """What a service with a database and Redis needs."""

    database_url: SecretStr = Field(description="`postgresql+psycopg://user:password@host:port/database`.")
    database_pool_size: int = Field(default=5, ge=1, le=100, description="Connections kept open to PostgreSQL.")
    redis_url: SecretStr = Field(description="`redis://:password@host:port/0`.")

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        for prefix in ("postgresql://", "postgres://"):
            if text.startswith(prefix):
                return SecretStr("postgresql+psycopg://" + text.removeprefix(prefix))
        if not text.startswith("postgresql+psycopg://"):
            raise ValueError("must start with postgresql+psycopg:// or postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must start with redis:// or rediss://")
        return value


S = TypeVar("S", bound=AppSettings)


def load_settings(cls: type[S], **overrides: Any) -> S:
    """Read a service's settings from the environment.

    Raises SettingsError that names every bad or unknown TRADING_ variable, never its value.
    """
    problems = _unknown(cls)
    try:
        settings = cls(**overrides)
    except ValidationError as error:
        problems += [_describe(entry) for entry in error.errors(include_input=False, include_url=False)]
    if problems:
        raise SettingsError(problems)
    return settings


def settings_of_process(cls: type[S]) -> S:
    """Read a service's settings from the environment; where they are bad, say so and end the process."""
    try:
        return load_settings(cls)
    except SettingsError as error:
        # Whoever serves the app would print a traceback.
        print(error, file=sys.stderr)
        raise SystemExit(BAD_SETTINGS) from None


def _unknown(cls: type[AppSettings]) -> list[str]:
    # A variable with another service's prefix is that service's to check: one .env serves them all.
    others = tuple(f"{PREFIX}{name.upper()}_" for name in SERVICES if name != cls.service)
    known = {f"{PREFIX}{name.upper()}" for name in (*cls.model_fields, *ServiceSettings.model_fields)} | _OF_THE_DESK
    return [
        f"{name} is not a setting of Keelson (see docs/configuration.md)"
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known and not name.upper().startswith(others)
    ]


def _describe(entry: Any) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    name = f"{PREFIX}{str(entry['loc'][0]).upper()}" if entry["loc"] else ""
    if entry["type"] == "missing":
        return f"{name} is required"
    return f"{name}: {message}" if name else message
