import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shared.api_keys import create_key, revoke_key
from shared.clock import ManualClock
from shared.roles import Role
from shared.settings import ServiceSettings
from tests.conftest import MakeSettings
from tests.harness import running
from tests.integration.shared.demo import demo_app

pytestmark = pytest.mark.integration
CLOCK = "/api/v1/ml/clock"
NOTES = "/api/v1/ml/notes"


@pytest.fixture
async def client(make_settings: MakeSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with running(demo_app(make_settings(ServiceSettings))) as client:
        yield client


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer nonsense", "Bearer kl_0123456789ab_" + "a" * 43]
)
async def test_without_a_known_token_it_is_a_401(client: httpx.AsyncClient, header: str | None) -> None:
    response = await client.get(CLOCK, headers={"authorization": header} if header is not None else {})
    assert response.status_code == 401
    assert response.json()["type"] == "urn:keelson:problem:unauthenticated"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_the_right_id_with_a_wrong_secret_is_a_401(
    client: httpx.AsyncClient, auth: Callable[[Role], dict[str, str]]
) -> None:
    token = auth(Role.ADMIN)["Authorization"]
    assert (await client.get(CLOCK, headers={"authorization": token})).status_code == 200
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert (await client.get(CLOCK, headers={"authorization": wrong})).status_code == 401


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.TRADER])
async def test_a_role_that_does_not_suffice_is_a_403_that_names_those_that_do(
    client: httpx.AsyncClient, auth: Callable[[Role], dict[str, str]], role: Role
) -> None:
    response = await client.post(NOTES, json={"name": "x"}, headers=auth(role))
    assert response.status_code == 403
    assert "trader" in response.json()["detail"]


async def test_a_key_works_at_once_and_no_longer_once_revoked(make_settings: MakeSettings, tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.json", ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    async with running(demo_app(make_settings(ServiceSettings, api_keys_file=path), clock)) as client:
        headers = {"authorization": f"Bearer {create_key(path, 'a', Role.VIEWER)}"}
        assert (await client.get(CLOCK, headers=headers)).status_code == 200
        made_now = {"authorization": f"Bearer {create_key(path, 'b', Role.VIEWER)}"}
        assert (await client.get(CLOCK, headers=made_now)).status_code == 200
        revoke_key(path, "a")
        clock.advance(timedelta(seconds=1))
        assert (await client.get(CLOCK, headers=headers)).status_code == 401


async def test_a_damaged_key_file_opens_nothing(make_settings: MakeSettings, tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.json", ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    headers = {"authorization": f"Bearer {create_key(path, 'a', Role.VIEWER)}"}
    async with running(demo_app(make_settings(ServiceSettings, api_keys_file=path), clock)) as client:
        assert (await client.get(CLOCK, headers=headers)).status_code == 200
        good = path.read_text()
        path.write_text("{")
        clock.advance(timedelta(seconds=1))
        assert (await client.get(CLOCK, headers=headers)).status_code == 401
        path.write_text(good)
        clock.advance(timedelta(seconds=1))
        assert (await client.get(CLOCK, headers=headers)).status_code == 200


class Provider:
    """An identity provider: a key pair, and its public half over HTTP."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        body = json.dumps({"keys": [{**public, "kid": "k1", "use": "sig", "alg": "ES256"}]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        now = int(time.time())
        standard = {"sub": "ada", "iss": "https://idp", "aud": "keelson", "exp": now + 60, "roles": ["trader", "other"]}
        payload = {name: value for name, value in {**standard, **claims}.items() if value is not None}
        return jwt.encode(payload, key or self.key, algorithm, headers={"kid": "k1"})


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
async def jwt_client(make_settings: MakeSettings, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    settings = make_settings(
        ServiceSettings, jwt_jwks_url=provider.url, jwt_issuer="https://idp", jwt_audience="keelson"
    )
    async with running(demo_app(settings)) as client:
        yield client


async def test_a_jwt_passes_with_its_known_roles(jwt_client: httpx.AsyncClient, provider: Provider) -> None:
    response = await jwt_client.get(CLOCK, headers={"authorization": f"Bearer {provider.token()}"})
    assert response.status_code == 200


async def test_an_expired_jwt_says_so(jwt_client: httpx.AsyncClient, provider: Provider) -> None:
    token = provider.token(exp=int(time.time()) - 3600)
    response = await jwt_client.get(CLOCK, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.json()["detail"] == "The token has expired"


@pytest.mark.parametrize(
    "claims",
    [{"iss": "https://other"}, {"aud": "other"}, {"exp": None}, {"sub": None}, {"aud": None}],
    ids=["issuer", "audience", "no expiry", "no subject", "no audience"],
)
async def test_a_jwt_for_others_or_without_a_needed_claim_is_a_401(
    jwt_client: httpx.AsyncClient, provider: Provider, claims: dict[str, Any]
) -> None:
    response = await jwt_client.get(CLOCK, headers={"authorization": f"Bearer {provider.token(**claims)}"})
    assert response.status_code == 401


async def test_a_jwt_signed_by_another_or_with_a_shared_secret_is_a_401(
    jwt_client: httpx.AsyncClient, provider: Provider
) -> None:
    other = provider.token(ec.generate_private_key(ec.SECP256R1()))
    symmetric = provider.token("k" * 64, "HS256")
    unsigned = jwt.encode({"sub": "ada"}, None, "none", headers={"kid": "k1"})
    for token in (other, symmetric, unsigned, "a.b.c"):
        assert (await jwt_client.get(CLOCK, headers={"authorization": f"Bearer {token}"})).status_code == 401


@pytest.mark.parametrize("roles", [[], ["other"], None, "trader", {"trader": True}, [["trader"]]])
async def test_a_jwt_without_a_known_role_is_a_403(
    jwt_client: httpx.AsyncClient, provider: Provider, roles: Any
) -> None:
    response = await jwt_client.get(CLOCK, headers={"authorization": f"Bearer {provider.token(roles=roles)}"})
    assert response.status_code == 403


async def test_an_unreachable_provider_refuses_and_does_not_fail(
    make_settings: MakeSettings, provider: Provider
) -> None:
    settings = make_settings(
        ServiceSettings, jwt_jwks_url="http://127.0.0.1:1/", jwt_issuer="https://idp", jwt_audience="keelson"
    )
    async with running(demo_app(settings)) as client:
        response = await client.get(CLOCK, headers={"authorization": f"Bearer {provider.token()}"})
        assert response.status_code == 401
        assert response.json()["detail"] == "The token cannot be verified now"
