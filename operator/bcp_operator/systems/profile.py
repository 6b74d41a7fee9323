"""The profile language: one YAML document describes one kind of system. Strict: what is not known is refused.

Expressions are JMESPath; field paths are `name`, `name.part`, `list[].part` (systems/paths.py).
"""

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.alias_generators import to_camel

from . import paths
from .expressions import Expression, compile_expression

ErrorClass = Literal["Duplicate", "NotFound", "Refused", "Unauthorized", "Transient", "Throttled"]


def _expression(text: str) -> str:
    compile_expression(text)
    return text


def _field_path(text: str) -> str:
    paths.parse(text)
    return text


def _path_template(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} must start with a slash; it is a path below the system's endpoint")
    try:
        text.format(id="", tenantID="")
    except (KeyError, IndexError, ValueError):
        raise ValueError(f"{text!r} may use {{id}} and {{tenantID}} and no other braces") from None
    return text


JMESPath = Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_expression)]
FieldPath = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_field_path)]
PathTemplate = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_path_template)]
TypeName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]


class ProfileModel(BaseModel):
    """A part of a profile: camelCase in YAML, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)
    _compiled: dict[str, Expression] = PrivateAttr(default_factory=dict)

    def compiled(self, text: str) -> Expression:
        """The expression as a function, compiled once per profile part."""
        found = self._compiled.get(text)
        if found is None:
            found = self._compiled[text] = compile_expression(text)
        return found


class Auth(ProfileModel):
    """How requests are authenticated. Secret keys: bearer: token; basic: username, password."""

    kind: Literal["none", "bearer", "basic"] = Field(description="none, bearer or basic.")


class SinglePage(ProfileModel):
    """The whole listing comes in one answer."""

    kind: Literal["none"]


class OffsetPaging(ProfileModel):
    """The query names the first item and how many: SCIM's startIndex and count, or skip and top."""

    kind: Literal["offset"]
    offset_param: str = Field(min_length=1, description="Query parameter with the position of the first item.")
    first: Literal[0, 1] = Field(0, description="Position of the very first item: 0 (skip) or 1 (SCIM startIndex).")
    size_param: str = Field(min_length=1, description="Query parameter with the number of items wanted.")
    size: int = Field(200, ge=1, le=10000, description="Items asked for per page; the server may give fewer.")


class PageNumberPaging(ProfileModel):
    """The query names the number of the page. Without a total, an empty page ends the listing."""

    kind: Literal["pageNumber"]
    page_param: str = Field(min_length=1, description="Query parameter with the number of the page.")
    first: Literal[0, 1] = Field(1, description="Number of the first page.")
    size_param: str = Field(min_length=1, description="Query parameter with the number of items per page.")
    size: int = Field(200, ge=1, le=10000, description="Items asked for per page; the server may give fewer.")


class CursorPaging(ProfileModel):
    """Each answer holds the cursor of the next page; without one it is the last."""

    kind: Literal["cursor"]
    cursor_param: str = Field(min_length=1, description="Query parameter that carries the cursor.")
    next: JMESPath = Field(description="Where the answer holds the next cursor.")
    size_param: str | None = Field(None, description="Query parameter with the number of items per page.")
    size: int = Field(200, ge=1, le=10000, description="Items per page.")


class NextLinkPaging(ProfileModel):
    """Each answer names the address of the next page, in a header or in its body; it must be on the same host."""

    kind: Literal["nextLink"]
    header: HeaderName | None = Field(None, description="Header with the address, e.g. Next-Page.")
    path: JMESPath | None = Field(None, description="Where the body holds the address, e.g. _links.next.")
    size_param: str | None = Field(None, description="Query parameter with the number of items per page.")
    size: int = Field(200, ge=1, le=10000, description="Items per page.")

    @model_validator(mode="after")
    def _one_source(self) -> "NextLinkPaging":
        if (self.header is None) == (self.path is None):
            raise ValueError("nextLink paging needs header or path, and not both")
        return self


Paging = Annotated[
    SinglePage | OffsetPaging | PageNumberPaging | CursorPaging | NextLinkPaging, Field(discriminator="kind")
]


class ListCall(ProfileModel):
    """How all entities of a type are listed. One of the two kinds of call that the primary ever sees."""

    method: Literal["GET", "POST"] = Field("GET", description="POST only for systems whose search is a POST.")
    path: PathTemplate = Field(description="Path below the endpoint.")
    query: dict[str, str] = Field(default_factory=dict, description="Fixed query parameters.")
    body: Any = Field(None, description="Fixed JSON body of a POST search.")
    items: JMESPath = Field("@", description="Where the answer holds the list.")
    total: JMESPath | None = Field(None, description="Where the answer holds the number of all entities.")
    paging: Paging | None = Field(None, description="How the listing is paged; none = as the profile says.")


class ReadCall(ProfileModel):
    """How one entity is read. The other kind of call that the primary may see."""

    path: PathTemplate = Field(description="Path below the endpoint, with {id}.")
    entity: JMESPath = Field("@", description="Where the answer holds the entity.")


class WriteCall(ProfileModel):
    """What create and update have in common; only ever sent to the secondary."""

    method: Literal["POST", "PUT", "PATCH"]
    path: PathTemplate = Field(description="Path below the endpoint; {id} is the secondary's ID.")
    content_type: str | None = Field(None, description="Content-Type; none = as the profile says.")
    body: JMESPath = Field("@", description='What is sent, made from the content: e.g. "{data: @}".')
    entity: JMESPath | None = Field(
        None, description="Where the answer holds the entity as stored; none = it isn't answered, and is read back."
    )


class CreateCall(WriteCall):
    """How an entity is created."""

    id: JMESPath = Field("id", description="Where the answer holds the new ID.")


class UpdateCall(WriteCall):
    """How an entity is changed."""

    encoding: Literal["replace", "merge", "scimPatch"] = Field(
        "replace",
        description="replace: the whole content; merge: changed fields, removed ones null; scimPatch: RFC 7644 3.5.2.",
    )


class DeactivateCall(ProfileModel):
    """How an entity that vanished from the primary is put out of use in the secondary, without deleting it."""

    method: Literal["POST", "PUT", "PATCH"]
    path: PathTemplate = Field(description="Path below the endpoint, with {id}.")
    content_type: str | None = Field(None, description="Content-Type; none = as the profile says.")
    body: Any = Field(None, description="Fixed JSON body.")
    done_when: JMESPath = Field(description="True for an entity that is out of use already, e.g. active == `false`.")


class Key(ProfileModel):
    """The natural key: what people would know the entity by; used only where no correlation is known."""

    path: JMESPath = Field(description="Where the entity holds it; a list is a compound key.")
    ignore_case: bool = Field(False, description="Upper and lower case are the same.")


class Reference(ProfileModel):
    """A field that holds IDs of other entities; they are rewritten to the secondary's."""

    path: FieldPath = Field(description="The field, also inside lists: members[].value.")
    to: list[TypeName] = Field(min_length=1, description="Types it may point at, asked in this order.")


class Login(ProfileModel):
    """What people log in by. Passwords are never read, so this is all that can be compared."""

    name: FieldPath = Field(description="The login name.")
    identity: FieldPath | None = Field(None, description="By what an identity provider knows them.")


class EntityType(ProfileModel):
    """One type of entity."""

    listing: ListCall = Field(alias="list", description="How all of them are listed.")
    read: ReadCall | None = Field(None, description="How one entity is read.")
    create: CreateCall
    update: UpdateCall
    deactivate: DeactivateCall | None = Field(
        None, description="Without it an entity that vanished from the primary is kept and reported."
    )
    id: JMESPath = Field("id", description="Where an entity holds its ID.")
    key: Key = Field(description="The natural key.")
    marker: FieldPath | None = Field(
        None, description="A free field of the system in which the secondary's entities carry our correlation ID."
    )
    ignore: list[FieldPath] = Field(default_factory=list, description="Computed fields: never compared, never sent.")
    unordered: list[FieldPath] = Field(default_factory=list, description="Lists whose order means nothing.")
    empty_is_absent: bool = Field(False, description="null, [] and {} mean the same as no field.")
    login: Login | None = Field(None, description="The entities of this type are people who log in.")
    references: list[Reference] = Field(default_factory=list, description="Fields that hold IDs of other entities.")

    @cached_property
    def ignored_paths(self) -> tuple[paths.Path, ...]:
        """Parsed `ignore`, the marker with it."""
        texts = [*self.ignore, *([self.marker] if self.marker else [])]
        return tuple(paths.parse(text) for text in texts)

    @cached_property
    def unordered_paths(self) -> tuple[paths.Path, ...]:
        """Parsed `unordered`."""
        return tuple(paths.parse(text) for text in self.unordered)

    @cached_property
    def reference_paths(self) -> tuple[tuple[paths.Path, tuple[str, ...]], ...]:
        """Parsed `references`: path and target types."""
        return tuple((paths.parse(reference.path), tuple(reference.to)) for reference in self.references)

    @property
    def tells_what_it_stored(self) -> bool:
        """Whether a write's answer, or reading the entity afterwards, says what the system made of it."""
        return self.read is not None or (self.create.entity is not None and self.update.entity is not None)

    @cached_property
    def marker_path(self) -> paths.Path | None:
        """Parsed `marker`."""
        return paths.parse(self.marker) if self.marker else None

    @model_validator(mode="after")
    def _checked(self) -> "EntityType":
        marker = self.marker_path
        if marker is not None and any(step.each for step in marker):
            raise ValueError("marker: it must be one field, not one inside a list")
        return self


class ErrorRule(ProfileModel):
    """What an HTTP status means here, where it isn't what HTTP says."""

    status: list[Annotated[int, Field(ge=400, le=599)]] = Field(min_length=1)
    when: JMESPath | None = Field(None, description="Only when this is true of the answer's JSON.")
    means: ErrorClass


class Profile(ProfileModel):
    """One kind of system."""

    description: str = Field("", max_length=1024, description="For people.")
    auth: Auth
    headers: dict[HeaderName, str] = Field(default_factory=dict, description="Sent with every request; no secrets.")
    content_type: str = Field("application/json", description="Content-Type of bodies.")
    paging: Paging = Field(default_factory=lambda: SinglePage(kind="none"), description="How listings are paged.")
    errors: list[ErrorRule] = Field(default_factory=list, description="First match counts.")
    types: dict[TypeName, EntityType] = Field(min_length=1, description="Entity types.")

    @model_validator(mode="after")
    def _references_exist(self) -> "Profile":
        for name, entity_type in self.types.items():
            for reference in entity_type.references:
                missing = [target for target in reference.to if target not in self.types]
                if missing:
                    raise ValueError(f"types.{name}.references: {missing[0]!r} is no type of this profile")
        return self
