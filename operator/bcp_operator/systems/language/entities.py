"""One type of entity: its calls, what identifies it, what is compared, and what it refers to."""

from functools import cached_property

from pydantic import Field, model_validator

from bcp_operator.systems import paths

from .attached import Attached
from .base import FieldPath, HeaderName, JMESPath, PlainName, ProfileModel, TypeName
from .calls import CreateCall, DeactivateCall, FindCall, ListCall, ReadCall, StateCall, UpdateCall


class Key(ProfileModel):
    """The natural key: what people would know the entity by; used only where no correlation is known."""

    path: JMESPath = Field(description="Where the entity holds it; a list is a compound key.")
    ignore_case: bool = Field(False, description="Upper and lower case are the same.")


class Reference(ProfileModel):
    """A field that holds IDs of other entities; they are rewritten to the secondary's."""

    path: FieldPath = Field(description="The field, also inside lists: members[].value.")
    to: list[TypeName] = Field(min_length=1, description="Types it may point at, asked in this order.")
    id: PlainName | None = Field(None, description="Which ID of the target it holds, a name of its `ids`; none = `id`.")
    required: bool = Field(
        False, description="An entity whose target is unknown is skipped, rather than written without the field."
    )


class Login(ProfileModel):
    """What people log in by. Passwords are never read, so this is all that can be compared."""

    name: FieldPath = Field(description="The login name.")
    identity: FieldPath | None = Field(None, description="By what an identity provider knows them.")


class Version(ProfileModel):
    """An optimistic lock: the version that was read goes with the update, so that nobody else's change is overwritten."""

    path: JMESPath | None = Field(
        None, description="Where an entity holds its version; none = the ETag of a read just before the update."
    )
    header: HeaderName | None = Field(None, description="Header that carries it back: If-Match.")
    field: PlainName | None = Field(None, description="Field of the body that carries it back.")
    when: JMESPath | None = Field(None, description="Only when this is true of the system's capabilities.")

    @model_validator(mode="after")
    def _one_way(self) -> "Version":
        if (self.header is None) == (self.field is None):
            raise ValueError("give header or field, and not both")
        return self


class EntityType(ProfileModel):
    """One type of entity. Without create and update it is a lookup: mapped by its key, never written."""

    listing: ListCall = Field(alias="list", description="How all of them are listed.")
    read: ReadCall | None = Field(None, description="How one entity is read.")
    detailed: bool = Field(
        False, description="The listing holds part of each entity only: each is read by `read`, which costs a request."
    )
    find: FindCall | None = Field(None, description="How entities with one natural key are asked for.")
    create: CreateCall | None = Field(None, description="Without it what is missing in the secondary is reported.")
    update: UpdateCall | None = Field(None, description="Without it what differs is reported.")
    deactivate: DeactivateCall | None = Field(
        None, description="Without it an entity that vanished from the primary is kept and reported."
    )
    revive: StateCall | None = Field(
        None, description="Puts an entity back into use; with it, deactivate and revive alone carry that state."
    )
    delete: StateCall | None = Field(
        None, description="Deletes an entity; only where a policy says `onMissing: Delete`."
    )
    id: JMESPath = Field("id", description="Where an entity holds its ID.")
    ids: dict[PlainName, JMESPath] = Field(
        default_factory=dict, description="Further IDs of the same entity, e.g. {number: agentId} beside a UUID."
    )
    key: Key = Field(description="The natural key.")
    marker: FieldPath | None = Field(
        None, description="A free field of the system in which the secondary's entities carry our correlation ID."
    )
    version: Version | None = Field(None, description="The optimistic lock of updates.")
    content: JMESPath | None = Field(
        None,
        description="What is compared and sent, made from the entity, for models that differ; `ignore`, `references` and "
        "the other field paths are of this. none = the entity itself.",
    )
    fields: list[PlainName] | None = Field(
        None, description="Only these fields of the content are compared and sent; none = all."
    )
    ignore: list[FieldPath] = Field(default_factory=list, description="Computed fields: never compared, never sent.")
    immutable: list[PlainName] = Field(
        default_factory=list, description="Fields that only a create can set: a change is reported, not sent."
    )
    unordered: list[FieldPath] = Field(default_factory=list, description="Lists whose order means nothing.")
    empty_is_absent: bool = Field(False, description="null, [] and {} mean the same as no field.")
    login: Login | None = Field(None, description="The entities of this type are people who log in.")
    references: list[Reference] = Field(default_factory=list, description="Fields that hold IDs of other entities.")
    attached: dict[PlainName, Attached] = Field(
        default_factory=dict, description="Fields with calls of their own: relations, and parts."
    )

    @cached_property
    def is_lookup(self) -> bool:
        """Whether entities are only mapped."""
        return self.create is None and self.update is None and not self.attached

    @cached_property
    def ignored_paths(self) -> tuple[paths.Path, ...]:
        """Parsed `ignore`, the marker with it."""
        texts = [*self.ignore, *([self.marker] if self.marker else [])]
        texts += [f"{name}[].{part}" for name, field in self.attached.items() for part in field.ignore]
        return tuple(paths.parse(text) for text in texts)

    @cached_property
    def unordered_paths(self) -> tuple[paths.Path, ...]:
        """Parsed `unordered`, attached lists with it."""
        texts = [*self.unordered, *(name for name, field in self.attached.items() if field.listing)]
        return tuple(paths.parse(text) for text in texts)

    @cached_property
    def reference_paths(self) -> tuple[tuple[paths.Path, Reference], ...]:
        """`references` with their parsed paths."""
        return tuple((paths.parse(reference.path), reference) for reference in self.references)

    @cached_property
    def required(self) -> frozenset[str]:
        """Paths of the references that an entity can't be without."""
        return frozenset(reference.path for reference in self.references if reference.required)

    @cached_property
    def tells_what_it_stored(self) -> bool:
        """Whether a write's answer, or reading the entity afterwards, says what the system made of it."""
        writes = [call for call in (self.create, self.update) if call is not None]
        return self.read is not None or all(call.entity is not None for call in writes)

    @cached_property
    def marker_path(self) -> paths.Path | None:
        """Parsed `marker`."""
        return paths.parse(self.marker) if self.marker else None

    @model_validator(mode="after")
    def _checked(self) -> "EntityType":
        marker = self.marker_path
        if marker is not None and any(step.each for step in marker):
            raise ValueError("marker: it must be one field, not one inside a list")
        if self.detailed and self.read is None:
            raise ValueError("detailed: it needs read")
        if self.revive is not None and self.deactivate is None:
            raise ValueError("revive: it needs deactivate, whose doneWhen tells what is out of use")
        return self
