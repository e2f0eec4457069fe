"""Bearer authentication, by API key or by JWT, and roles on routes."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

import jwt
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from shared.api_keys import KeyFileError, StoredKey, key_id_of, list_keys, verify_key
from shared.clock import Clock
from shared.logging import Category, get_trading_logger
from shared.logging.context import principal as current_principal
from shared.problems import Forbidden, Problem, Unauthenticated
from shared.roles import ANY_ROLE, Principal, Role
from shared.settings import AppSettings

__all__ = [
    "ANY_ROLE",
    "BEARER",
    "ApiKeys",
    "Authenticator",
    "JwtVerifier",
    "Principal",
    "Role",
    "note_refusal",
    "require",
]

_LOG = get_trading_logger("keelson.auth", Category.SECURITY)
_RELOAD_SECONDS = 1.0
_CACHE_SIZE = 1_000
# Asymmetric only: a shared-secret algorithm would let whoever knows a public key sign.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class ApiKeys:
    """Verify API keys against a file that may change while the service runs."""

    def __init__(self, settings: AppSettings, clock: Clock) -> None:
        self._path = settings.api_keys_file
        self._clock = clock
        self._loaded: tuple[int, int] | None = None
        self._looked = 0.0
        self._keys: dict[str, StoredKey] = {}
        self._verified: dict[bytes, Principal] = {}
        # Argon2 is meant to cost: callers with bad secrets must not occupy every thread.
        self._hashing = asyncio.Semaphore(2)

    def known(self, token: str) -> Principal | None:
        """Return who holds a key that was verified before, None where it was not, or the keys have changed since."""
        self._reload()
        return self._verified.get(_digest(token))

    async def verify(self, token: str) -> Principal | None:
        """Return who holds the key, or None where it is not known."""
        known = self.known(token)
        if known is not None:
            return known
        key_id = key_id_of(token)
        if key_id is None:
            return None
        if key_id not in self._keys:
            # Made a moment ago, perhaps: a look at the file's time costs next to nothing.
            self._reload(at_once=True)
        stored = self._keys.get(key_id)
        if stored is None:
            return None
        async with self._hashing:
            if not await asyncio.to_thread(verify_key, stored, token):
                return None
        found = Principal(stored.name, frozenset({stored.role}))
        if self._keys.get(stored.key_id) is stored and len(self._verified) < _CACHE_SIZE:
            self._verified[_digest(token)] = found
        return found

    def _reload(self, *, at_once: bool = False) -> None:
        now = self._clock.now().timestamp()
        if self._path is None or (not at_once and 0 <= now - self._looked < _RELOAD_SECONDS):
            return
        self._looked = now
        try:
            stat = self._path.stat()
            version = (stat.st_mtime_ns, stat.st_ino)
            if version == self._loaded:
                return
            keys = list_keys(self._path)
        except (OSError, KeyFileError) as error:
            # Fail closed: a file that cannot be read opens nothing.
            if self._keys or self._loaded is None:
                _LOG.error("API keys cannot be read; every key is refused", reason=str(error))
            self._keys, self._verified, self._loaded = {}, {}, (0, 0)
            return
        self._keys, self._verified, self._loaded = {key.key_id: key for key in keys}, {}, version


def _digest(token: str) -> bytes:
    # The token itself is not kept.
    return hashlib.sha256(token.encode()).digest()


class JwtVerifier:
    """Verify JWTs against the keys an identity provider publishes (JWKS)."""

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._jwks = jwt.PyJWKClient(settings.jwt_jwks_url or "", cache_jwk_set=True, lifespan=300, timeout=5)

    async def verify(self, token: str) -> Principal:
        """Return who the token speaks for. Raises Unauthenticated."""
        try:
            claims = await asyncio.to_thread(self._decode, token)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired", headers=_CHALLENGE) from None
        except jwt.PyJWKClientConnectionError as error:
            _LOG.error("the identity provider's keys cannot be fetched", reason=str(error))
            raise Unauthenticated("The token cannot be verified now", headers=_CHALLENGE) from None
        except (jwt.PyJWTError, ValueError) as error:
            raise Unauthenticated(f"The token is not valid: {type(error).__name__}", headers=_CHALLENGE) from None
        named = claims.get(self._settings.jwt_roles_claim)
        # Roles of other systems may stand beside ours in one claim.
        roles = frozenset(role for role in Role if isinstance(named, list) and role.value in named)
        return Principal(str(claims["sub"]), roles)

    def _decode(self, token: str) -> dict[str, Any]:
        key = self._jwks.get_signing_key_from_jwt(token)
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=_ALGORITHMS,
            audience=self._settings.jwt_audience,
            issuer=self._settings.jwt_issuer,
            leeway=10,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims


class Authenticator:
    """Tell who sends a request."""

    def __init__(self, settings: AppSettings, clock: Clock) -> None:
        self._api_keys = ApiKeys(settings, clock)
        self._jwt = JwtVerifier(settings) if settings.jwt_jwks_url else None

    def known(self, token: str) -> Principal | None:
        """Return the caller where that takes no work: an API key that was verified before."""
        return self._api_keys.known(token)

    async def authenticate(self, token: str | None) -> Principal:
        """Return the caller. Raises Unauthenticated."""
        if not token:
            raise Unauthenticated("Send a bearer token in the Authorization header", headers=_CHALLENGE)
        if self._jwt is not None and token.count(".") == 2:
            return await self._jwt.verify(token)
        found = await self._api_keys.verify(token)
        if found is None:
            raise Unauthenticated("The token is not known", headers=_CHALLENGE)
        return found


class _HasAuthenticator(Protocol):
    authenticator: Authenticator


BEARER = HTTPBearer(auto_error=False, description="An API key, or a JWT of the configured identity provider.")


def require(*roles: Role) -> Callable[..., Awaitable[Principal]]:
    """Return a dependency that lets exactly these roles pass: 401 without a valid token, 403 without a role."""
    allowed = frozenset(roles)

    async def authorised(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
    ) -> Principal:
        resources: _HasAuthenticator = request.app.state.resources
        try:
            caller = await resources.authenticator.authenticate(credentials.credentials if credentials else None)
        except Unauthenticated as problem:
            note_refusal(request, problem, None)
            raise
        if not allowed & caller.roles:
            names = ", ".join(sorted(allowed))
            forbidden = Forbidden(f"This needs one of the roles: {names}")
            note_refusal(request, forbidden, caller.subject)
            raise forbidden
        current_principal.set(caller.subject)
        return caller

    authorised.__keelson_roles__ = allowed  # type: ignore[attr-defined]  # read by create_app: deny by default
    return authorised


def note_refusal(request: HTTPConnection, problem: Problem, subject: str | None) -> None:
    """Log that somebody was refused."""
    _LOG.log_access_denied(
        method=request.scope.get("method", "WS"),
        path=request.url.path,
        status=problem.status,
        reason=problem.detail,
        subject=subject,
    )
