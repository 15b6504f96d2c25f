"""A small provider of OpenID Connect on this machine, which can be made to err."""

import asyncio
import base64
import hashlib
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

import uvicorn
from joserfc import jwk, jwt
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from deploy.service import HOST, free_port
from tests.support.waiting import until

CLIENT, SECRET = "parktwin", "the secret of the client"
LASTS_S = 300


@dataclass
class OpenIdProvider:
    """Its clock, whom it lets in, and what is wrong with its tokens."""

    issuer: str
    now_s: int
    claims: dict = field(default_factory=lambda: {"sub": "248", "preferred_username": "li.na"})
    wrong: dict = field(default_factory=dict)  # claims of the next ID tokens
    key: jwk.ECKey = field(default_factory=lambda: new_key("one"))
    signing: jwk.ECKey | None = None  # instead of `key`, which is published
    error: str = ""
    codes: dict = field(default_factory=dict)
    refusals: list = field(default_factory=list)

    async def metadata(self, _):
        return JSONResponse({
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        })  # fmt: skip

    async def keys(self, _):
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def authorize(self, request):
        """Let the person in without a question, and send the browser back."""
        query = request.query_params
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT
        back = {"state": query["state"], "iss": self.issuer}
        if self.error:
            back["error"] = self.error
        else:
            back["code"] = secrets.token_urlsafe()
            self.codes[back["code"]] = dict(query)
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(back)}", 302)

    async def token(self, request):
        """Give a token for a code, once, to the client that has the secret and the verifier."""
        body = dict(parse_qsl((await request.body()).decode()))
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        query = self.codes.pop(body.get("code", ""), None)
        digest = hashlib.sha256(body.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        for reason, is_wrong in (
            ("client", request.headers.get("authorization") != f"Basic {wanted}"),
            ("code", query is None),
            ("verifier", query is not None and query["code_challenge"] != challenge),
            ("redirect", query is not None and query["redirect_uri"] != body.get("redirect_uri")),
        ):
            if is_wrong:
                self.refusals.append(reason)
                return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({
            "access_token": secrets.token_urlsafe(), "token_type": "Bearer",
            "id_token": self.id_token(query["nonce"]),
        })  # fmt: skip

    def id_token(self, nonce):
        claims = {"iss": self.issuer, "aud": CLIENT, "nonce": nonce, "iat": self.now_s,
                  "exp": self.now_s + LASTS_S, **self.claims, **self.wrong}  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.signing or self.key
        return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)


def new_key(kid):
    return jwk.ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


@asynccontextmanager
async def openid_provider(now_s, host=HOST):
    """Run a provider for the length of a block; for a browser `localhost` is another site."""
    port = free_port()
    provider = OpenIdProvider(f"http://{host}:{port}", now_s)
    app = Starlette(routes=[
        Route("/.well-known/openid-configuration", provider.metadata),
        Route("/keys", provider.keys),
        Route("/authorize", provider.authorize),
        Route("/token", provider.token, methods=["POST"]),
    ])  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_level="warning"))
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield provider
    finally:
        server.should_exit = True
        await task
