"""How requests are authenticated: fixed credentials, or a token that a call gives."""

from typing import Annotated, Literal

from pydantic import Field

from .base import CredentialKey, HeaderName, JMESPath, PathTemplate, PlainName, ProfileModel


class NoAuth(ProfileModel):
    """Requests carry no credentials."""

    kind: Literal["none"]


class BearerAuth(ProfileModel):
    """A fixed token in the Authorization header. Credential key: token."""

    kind: Literal["bearer"]


class BasicAuth(ProfileModel):
    """HTTP Basic. Credential keys: username, password."""

    kind: Literal["basic"]


class APIKeyAuth(ProfileModel):
    """A fixed key in a header of its own. Credential key: api_key."""

    kind: Literal["apiKey"]
    header: HeaderName = Field(description="Header that carries the key, e.g. X-API-Key.")
    prefix: str = Field("", max_length=64, description='Text before the key, e.g. "Token ".')


class TokenAuth(ProfileModel):
    """A call gives a token; it is fetched anew before it runs out, and once when the system answers 401 to it."""

    base: PlainName | None = Field(None, description="Name of the base the token call goes to; none = the endpoint.")
    path: PathTemplate = Field(description="Path of the token call.")
    token: JMESPath = Field("access_token", description="Where the answer holds the token.")
    expires_in: JMESPath = Field("expires_in", description="Where the answer holds its lifetime in seconds.")
    lifetime_seconds: int = Field(3600, ge=1, description="Lifetime of a token whose answer doesn't tell.")
    header: HeaderName = Field("Authorization", description="Header that carries the token.")
    prefix: str = Field("Bearer ", max_length=64, description="Text before the token.")
    bases: dict[PlainName, JMESPath] = Field(
        default_factory=dict, description="Bases that the token's answer names, e.g. {api: instance_url}."
    )


class OAuth2Auth(TokenAuth):
    """RFC 6749. Credential keys: client_id, client_secret; for the password grant username and password too."""

    kind: Literal["oauth2"]
    grant: Literal["clientCredentials", "password"] = Field(description="Which grant.")
    client_auth: Literal["header", "body"] = Field(
        "header", description="Where the client's ID and secret go: a Basic header, or the form."
    )
    scope: str | None = Field(None, max_length=1024, description="Scopes to ask for, separated by spaces.")


class LoginAuth(TokenAuth):
    """A login call of the system's own, e.g. the exchange of an access key. Credential keys: those under `fields`."""

    kind: Literal["login"]
    encoding: Literal["json", "form"] = Field("json", description="How the login call's body is written.")
    fields: dict[str, CredentialKey] = Field(
        min_length=1, description="Field of the login call's body -> credential key, e.g. {accessKeyId: access_key_id}."
    )
    fixed: dict[str, str] = Field(default_factory=dict, description="Other fields of the body; no secrets.")


Auth = Annotated[
    NoAuth | BearerAuth | BasicAuth | APIKeyAuth | OAuth2Auth | LoginAuth,
    Field(discriminator="kind"),
]
