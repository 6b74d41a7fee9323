"""The profile language: one YAML document describes one kind of system. Strict: what is not known is refused.

Expressions are JMESPath; field paths are `name`, `name.part`, `list[].part` (systems/paths.py).
"""

from pydantic import Field

from .language.attached import Attached, ElementCall
from .language.auth import APIKeyAuth, Auth, BasicAuth, BearerAuth, LoginAuth, NoAuth, OAuth2Auth, TokenAuth
from .language.base import HeaderName, JMESPath, PathTemplate, PlainName, ProfileModel, TypeName
from .language.calls import (
    Bulk,
    Call,
    CreateCall,
    DeactivateCall,
    FindCall,
    ListCall,
    ReadCall,
    StateCall,
    UpdateCall,
    WriteCall,
)
from .language.entities import EntityType, Key, Login, Reference, Version
from .language.errors import ErrorClass, ErrorRule
from .language.paging import CursorPaging, NextLinkPaging, OffsetPaging, PageNumberPaging, Paging, SinglePage

__all__ = [
    "APIKeyAuth",
    "Attached",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "Bulk",
    "Call",
    "CreateCall",
    "CursorPaging",
    "DeactivateCall",
    "Discovery",
    "ElementCall",
    "EntityType",
    "ErrorClass",
    "ErrorRule",
    "FindCall",
    "Key",
    "ListCall",
    "Login",
    "LoginAuth",
    "NextLinkPaging",
    "NoAuth",
    "OAuth2Auth",
    "OffsetPaging",
    "PageNumberPaging",
    "Paging",
    "Profile",
    "ReadCall",
    "Reference",
    "SinglePage",
    "StateCall",
    "SystemLimits",
    "TokenAuth",
    "UpdateCall",
    "Version",
    "WriteCall",
]


class Discovery(ProfileModel):
    """A call to the endpoint, without credentials, whose answer names the addresses of the system's parts."""

    path: PathTemplate = Field(description="Path below the endpoint; {tenantID}.")
    bases: dict[PlainName, JMESPath] = Field(
        min_length=1, description="Name of a base -> where the answer holds its URL."
    )


class SystemLimits(ProfileModel):
    """What the system bears. A policy may ask for less, not for more."""

    requests_per_second: float | None = Field(None, gt=0, le=10000, description="Requests per second.")
    concurrency: int | None = Field(None, ge=1, le=64, description="Requests in flight.")


class Profile(ProfileModel):
    """One kind of system."""

    description: str = Field("", max_length=1024, description="For people.")
    auth: Auth = Field(description="How requests are authenticated.")
    discovery: Discovery | None = Field(None, description="How the addresses of the system's parts are found.")
    bases: dict[PlainName, str] = Field(
        default_factory=dict, description="Fixed addresses beside the endpoint: name -> https URL; {tenantID}."
    )
    base: PlainName | None = Field(None, description="Base of calls that name none; none = the endpoint.")
    hosts: list[str] = Field(
        default_factory=list,
        description="Hosts beside the endpoint's that a discovered address may be on, e.g. *.vendor.example.",
    )
    headers: dict[HeaderName, str] = Field(default_factory=dict, description="Sent with every request; no secrets.")
    content_type: str = Field("application/json", description="Content-Type of bodies.")
    limits: SystemLimits = Field(default_factory=SystemLimits, description="What the system bears.")
    capabilities: ReadCall | None = Field(None, description="Where the system says what it supports; see `when`.")
    paging: Paging = Field(default_factory=lambda: SinglePage(kind="none"), description="How listings are paged.")
    errors: list[ErrorRule] = Field(default_factory=list, description="First match counts.")
    types: dict[TypeName, EntityType] = Field(min_length=1, description="Entity types.")
