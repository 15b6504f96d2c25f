"""The way in by a provider of OpenID Connect: authorisation code with PKCE, state and nonce.

What belongs to a sign-in stays in a sealed cookie of its browser until the provider sends it back:
nothing is kept of those that never come. The local way in stays beside.

References
----------
.. [1] OpenID Connect Core 1.0 incorporating errata set 2, sections 3.1.2 and 3.1.3
.. [2] RFC 7636 (PKCE), RFC 9207 (issuer in the answer), RFC 9700 (security best current practice)
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import httpx
import orjson
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from api.access.accounts import AccessError
from twin.errors import SettingsError

if TYPE_CHECKING:
    from api.access.rights import Role
    from api.access.seal import Seal
    from api.settings import ApiSettings

PURPOSE = "oidc sign-in"
TIMEOUT_S, ANSWER_BYTES = 5.0, 262_144
# What a provider publishes is asked for again after so long, its keys as well when one is unknown.
KEPT_S, KEYS_S = 3_600.0, 60.0
PATIENCE_US = 600_000_000  # for somebody to come in at the provider
LEEWAY_S = 60  # between the clocks of both
ALGORITHMS = ("RS256", "PS256", "ES256", "RS512", "PS512", "ES384", "ES512", "EdDSA")


class SignInError(AccessError):
    """A sign-in by the provider that opens nothing; the console has a sentence for its `reason`."""

    def __init__(self, message: str, reason: str = "refused") -> None:
        super().__init__(message)
        self.reason = reason


class Provider:
    """A provider of OpenID Connect: what it publishes, and sign-ins by it."""

    def __init__(self, settings: ApiSettings, seal: Seal, secret: str) -> None:
        self._settings = settings
        self._seal = seal
        self._secret = secret
        self._metadata: tuple[float, Any] | None = None
        self._keys: tuple[float, jwk.KeySet] | None = None

    async def begin(self, back: str, then: str, now_us: int) -> tuple[str, str]:
        """Return the address at the provider, and the cookie of a sign-in; raises SignInError."""
        metadata = await self._discover()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        address = prepare_grant_uri(
            metadata["authorization_endpoint"],
            self._settings.oidc_client_id,
            "code",
            redirect_uri=back,
            scope=self._settings.oidc_scopes,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        content = orjson.dumps([state, nonce, verifier, then, now_us + PATIENCE_US])
        return address, urlsafe_b64encode(self._seal.close(PURPOSE, content)).decode()

    async def complete(
        self, cookie: str, query: dict[str, str], back: str, now_us: int
    ) -> tuple[dict[str, Any], str]:
        """Return the claims about whoever came in, and where to go; raises SignInError."""
        state, nonce, verifier, then = self._open(cookie, now_us)
        if not hmac.compare_digest(state.encode(), query.get("state", "").encode()):
            raise SignInError("the state is not that of the sign-in of this browser")
        issuer = self._settings.oidc_issuer
        metadata = await self._discover()
        wants_issuer = bool(metadata.get("authorization_response_iss_parameter_supported"))
        if query.get("iss", "" if wants_issuer else issuer) != issuer:
            raise SignInError("the answer is of another issuer")
        if "error" in query:
            raise SignInError(f"the provider has refused: {query['error'][:80]}")
        if not query.get("code"):
            raise SignInError("the answer has no code")
        answer = await self._exchange(metadata, query["code"], back, verifier)
        return await self._claims(metadata, answer, nonce, now_us), then

    def _open(self, cookie: str, now_us: int) -> tuple[str, str, str, str]:
        try:
            content = self._seal.open(PURPOSE, urlsafe_b64decode(cookie))
        except ValueError:
            content = None
        if content is None:
            raise SignInError("no sign-in was begun in this browser")
        state, nonce, verifier, then, until_us = orjson.loads(content)
        if now_us > until_us:
            raise SignInError("the sign-in has taken too long")
        return state, nonce, verifier, then

    async def _discover(self) -> Any:
        """Return what the provider publishes about itself."""
        clock = asyncio.get_running_loop().time()
        if self._metadata is None or clock - self._metadata[0] > KEPT_S:
            issuer = self._settings.oidc_issuer
            body = await _ask("GET", get_well_known_url(issuer, external=True))
            metadata = OpenIDProviderMetadata(body)
            try:
                metadata.validate()
            except ValueError as error:
                raise SignInError(f"the provider publishes {error}", "away") from None
            if metadata.get("issuer") != issuer:
                raise SignInError("the provider calls itself another issuer", "away")
            self._metadata = clock, metadata
        return self._metadata[1]

    async def _key_set(self, metadata: Any, *, is_new: bool = False) -> jwk.KeySet:
        """Return the keys of the provider; again where one is unknown, but not all the time."""
        clock = asyncio.get_running_loop().time()
        age_s = KEPT_S if self._keys is None else clock - self._keys[0]
        if self._keys is None or age_s >= (KEYS_S if is_new else KEPT_S):
            body = await _ask("GET", metadata["jwks_uri"])
            try:
                keys = jwk.KeySet.import_key_set(body)  # type: ignore[arg-type]
            except (JoseError, KeyError, ValueError, TypeError) as error:
                raise SignInError(f"the keys of the provider: {error}", "away") from None
            self._keys = clock, keys
        return self._keys[1]

    async def _exchange(self, metadata: Any, code: str, back: str, verifier: str) -> dict[str, Any]:
        """Return what the provider gives for a code."""
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        is_basic = "client_secret_basic" in methods
        method = "client_secret_basic" if is_basic else "client_secret_post"
        auth = ClientAuth(
            self._settings.oidc_client_id, self._secret, method if self._secret else "none"
        )
        body = prepare_token_request(
            "authorization_code", redirect_uri=back, code=code, code_verifier=verifier
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url, headers, body = auth.prepare("POST", metadata["token_endpoint"], headers, body)
        return await _ask("POST", url, headers=headers, content=body)

    async def _claims(
        self, metadata: Any, answer: dict[str, Any], nonce: str, now_us: int
    ) -> dict[str, Any]:
        """Return the claims of an ID token that is all that [1]_ wants of it."""
        token = str(answer.get("id_token", ""))
        try:
            decoded = self._decode(token, await self._key_set(metadata))
        except (JoseError, ValueError):
            # The provider may have changed its keys.
            try:
                decoded = self._decode(token, await self._key_set(metadata, is_new=True))
            except (JoseError, ValueError) as error:
                raise SignInError(f"the ID token is not signed by it: {error}") from None
        issuer, client = self._settings.oidc_issuer, self._settings.oidc_client_id
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {"iss": {"essential": True, "value": issuer},
             "aud": {"essential": True, "value": client}},
            {"nonce": nonce, "client_id": client, "access_token": answer.get("access_token")},
        )  # fmt: skip
        try:
            claims.validate(now=now_us // 1_000_000, leeway=LEEWAY_S)
        except (JoseError, ValueError) as error:
            raise SignInError(f"the ID token: {error}") from None
        return dict(claims)

    @staticmethod
    def _decode(token: str, keys: jwk.KeySet) -> jwt.Token:
        return jwt.decode(token, keys, algorithms=list(ALGORITHMS))


async def _ask(method: str, url: str, **options: Any) -> dict[str, Any]:
    """Return the JSON object that the provider answers with; raises SignInError."""
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            answer = await client.request(method, url, **options)
        body = answer.json() if len(answer.content) <= ANSWER_BYTES else None
    except (httpx.HTTPError, ValueError) as error:
        raise SignInError(f"the provider cannot be reached: {error}", "away") from None
    if not isinstance(body, dict):
        raise SignInError("the provider does not answer with an object", "away")
    if answer.is_error:
        raise SignInError(f"the provider has refused: {str(body.get('error', ''))[:80]}")
    return body


def granted(settings: ApiSettings, claims: dict[str, Any]) -> tuple[Role, str] | None:
    """Return role and scope by the first rule that the claims fit; None where none does."""
    for rule in settings.provider_rules:
        value = claims.get(rule.claim)
        if rule.value in (value if isinstance(value, list) else [value]):
            return rule.role, rule.scope
    return None


def provider_of(settings: ApiSettings, seal: Seal | None) -> Provider | None:
    """Return the provider of the settings, where there is one; raises SettingsError."""
    if not settings.oidc_issuer:
        return None
    assert seal is not None, "the settings demand it"
    secret, file = "", settings.oidc_client_secret
    try:
        secret = file.read_text(encoding="utf-8").strip() if file else ""
    except OSError as error:
        raise SettingsError(
            f"the secret of the OpenID client cannot be read: {error}",
            hint="PARKTWIN_OIDC_CLIENT_SECRET names a file; without it the client is a public one",
        ) from None
    return Provider(settings, seal, secret)
