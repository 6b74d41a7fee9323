"""Who may call: discovery, token exchange, tokens that last an hour (2.2)."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.systems.cxone.api import Call, Refused, Reply, Row, route

TOKEN_SECONDS = 3600  # 2.2: tokens last about one hour


@dataclass
class Identity:
    """Credentials of the API user and of the registered application, and the tokens given for them."""

    key_id: str = "access-key-id"
    key_secret: str = "access-key-secret=="
    client_id: str = "client-id"
    client_secret: str = "client-secret"
    given: int = 0
    tokens: dict[str, float] = field(default_factory=dict)  # token -> epoch seconds of its end
    refresh: set[str] = field(default_factory=set)

    def issue(self, call: Call) -> Row:
        """A new token."""
        self.given += 1
        token = f"token-{call.tenant.tenant_id}-{self.given}"
        self.tokens[token] = call.tenant.clock.now() + TOKEN_SECONDS
        self.refresh.add("refresh-" + token)
        return {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}

    def accepts(self, authorization: str, now: float) -> bool:
        """Whether a request may pass."""
        kind, _, token = authorization.partition(" ")
        return kind.casefold() == "bearer" and self.tokens.get(token, 0) > now


def of(call: Call) -> Identity:
    """The tenant's identity service."""
    return call.tenant.identity


@route("GET", "/.well-known/cxone-configuration", host="global", cite="2.2 Discovery", public=True)
def discovery(call: Call) -> Reply:
    """Where a tenant's APIs are."""
    if call.query.get("tenantId") != call.tenant.tenant_id:
        raise Refused(404, "no such tenant")
    hosts = call.tenant.hosts
    return Reply(
        {
            "tenantId": call.tenant.tenant_id,
            "api_endpoint": hosts["acd"],
            "auth_endpoint": hosts["global"],
            "ui_endpoint": hosts["userhub"],
            "area": "na1",
            "cluster": "c1",
            "domain": "niceincontact.com",
            "acdDomain": "niceincontact.com",
            "uhDomain": "nice-incontact.com",
            "globaldomain": "niceincontact.com",
            "private": False,
        }
    )


@route("GET", "/.well-known/openid-configuration", host="global", cite="2.2 Discovery", public=True)
def openid(call: Call) -> Reply:
    """Where tokens are had."""
    return Reply({"token_endpoint": call.tenant.hosts["global"] + "/auth/token"})


@route("POST", "/auth/token", host="global", cite="2.2 Way A", public=True)
def password_grant(call: Call) -> Reply:
    """OAuth 2 password grant: the access key stands in for user and password, beside a registered client."""
    identity = of(call)
    pair = base64.b64encode(f"{identity.client_id}:{identity.client_secret}".encode()).decode()
    if call.headers.get("authorization") != f"Basic {pair}":
        raise Refused(401, "unknown client")
    if call.form.get("grant_type") != "password":
        raise Refused(400, "unsupported grant")
    given = (call.form.get("username"), unquote(call.form.get("password", "")))
    if given != (identity.key_id, identity.key_secret):
        raise Refused(401, "unknown access key")
    claims = base64.urlsafe_b64encode(json.dumps({"tenantId": call.tenant.tenant_id}).encode()).decode().rstrip("=")
    return Reply({**identity.issue(call), "id_token": f"e30.{claims}."})


@route("POST", "/authentication/v1/token/access-key", host="userhub", cite="2.2 Way B", public=True)
def access_key(call: Call) -> Reply:
    """Exchange of an access key for a token; no client registration."""
    identity, body = of(call), call.object()
    if (body.get("accessKeyId"), body.get("accessKeySecret")) != (identity.key_id, identity.key_secret):
        raise Refused(401, "unknown access key")
    token = identity.issue(call)
    return Reply({**token, "refresh_token": "refresh-" + token["access_token"]})


@route("POST", "/public/user/refresh", host="userhub", cite="2.2 Way B", public=True)
def refresh(call: Call) -> Reply:
    """A new token for a refresh token, once."""
    identity, old = of(call), call.object().get("token")
    if old not in identity.refresh:
        raise Refused(401, "unknown refresh token")
    identity.refresh.discard(str(old))
    token = identity.issue(call)
    return Reply({**token, "refresh_token": "refresh-" + token["access_token"]})
