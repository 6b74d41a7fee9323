"""The calls a system knows: listings and reads, which both systems see, and writes, which only the secondary sees."""

from typing import Any, Literal

from pydantic import Field, model_validator

from .base import JMESPath, PathTemplate, PlainName, ProfileModel
from .errors import ErrorRule
from .paging import Paging

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
ContentMethod = Literal["POST", "PUT", "PATCH"]


class Call(ProfileModel):
    """Where a call goes."""

    base: PlainName | None = Field(None, description="Name of the base it goes to; none = the profile's `base`.")
    path: PathTemplate = Field(
        description="Path below the base. {tenantID}; where one entity is meant {id}, or a name of `ids`."
    )


class ListCall(Call):
    """How all entities of a type are listed. One of the two kinds of call that the primary ever sees."""

    method: Literal["GET", "POST"] = Field("GET", description="POST only for systems whose search is a POST.")
    query: dict[str, str] = Field(default_factory=dict, description="Fixed query parameters.")
    body: Any = Field(None, description="Fixed JSON body of a POST search.")
    items: JMESPath = Field("@", description="Where the answer holds the list.")
    total: JMESPath | None = Field(None, description="Where the answer holds the number of all entities.")
    paging: Paging | None = Field(None, description="How the listing is paged; none = as the profile says.")


class FindCall(ListCall):
    """How entities with one natural key are asked for. Every answer is checked; a server that ignores the filter is
    found out, and the whole listing is read instead. {key} is the key, {quotedKey} the same as a JSON string.
    """

    when: JMESPath | None = Field(None, description="Only when this is true of the system's capabilities.")


class ReadCall(Call):
    """How one entity is read. The other kind of call that the primary may see."""

    entity: JMESPath = Field("@", description="Where the answer holds the entity.")


class Bulk(ProfileModel):
    """Many entities in one request, each with a result of its own in the answer, also when the status is 200."""

    when: JMESPath | None = Field(None, description="Only when this is true of the system's capabilities.")
    base: PlainName | None = Field(None, description="Name of the base it goes to; none = the profile's `base`.")
    method: ContentMethod = Field("POST", description="Method of the bulk request.")
    path: PathTemplate = Field(description="Path of the bulk request.")
    size: int = Field(50, ge=1, le=1000, description="Most entities in one request.")
    max_size: JMESPath | None = Field(None, description="Where the capabilities hold the most entities in one request.")
    max_bytes: JMESPath | None = Field(
        None, description="Where the capabilities hold the largest body in bytes; larger requests are split."
    )
    item: JMESPath = Field(
        "body",
        description="One entity's part of the body, made from {ref, body, path, id, method, version}; "
        "ref is the ID of an entity that is changed, a number for one that is created.",
    )
    body: JMESPath = Field("@", description="The whole body, made from the list of items.")
    results: JMESPath = Field("@", description="Where the answer holds the list of results.")
    ref: JMESPath | None = Field(
        None, description="Where a result repeats the item's `ref`; none = results are in the order of the items."
    )
    status: JMESPath | None = Field(
        None, description="Where a result holds an HTTP status; none = `errors` alone tell."
    )
    errors: list[ErrorRule] = Field(
        default_factory=list,
        description="What a result means; `when` is asked of the result. Without `status` every result counts as 200.",
    )
    id: JMESPath | None = Field(None, description="Where a result holds the new ID; none = it is looked for.")
    entity: JMESPath | None = Field(None, description="Where a result holds the entity as stored.")


class WriteCall(Call):
    """What create and update have in common; only ever sent to the secondary."""

    method: ContentMethod = Field(description="HTTP method.")
    content_type: str | None = Field(
        None, description="Content-Type; none = as the profile says. application/x-www-form-urlencoded is written so."
    )
    query: dict[str, JMESPath] = Field(
        default_factory=dict, description="Query parameters, made from the content; null leaves one out."
    )
    body: JMESPath | None = Field(
        "@", description='What is sent, made from the content: e.g. "{data: @}". null: no body.'
    )
    entity: JMESPath | None = Field(
        None, description="Where the answer holds the entity as stored; none = it isn't answered, and is read back."
    )
    bulk: Bulk | None = Field(None, description="Many at once; none = one by one.")


class CreateCall(WriteCall):
    """How an entity is created."""

    id: JMESPath | None = Field(
        "id",
        description="Where the answer holds the new ID. null: it doesn't; the entity is looked for by marker or key.",
    )


class UpdateCall(WriteCall):
    """How an entity is changed."""

    when: JMESPath | None = Field(None, description="Only when this is true of the system's capabilities.")
    encoding: Literal["replace", "merge", "scimPatch", "jsonPatch"] = Field(
        "replace",
        description="replace: the whole content; merge: changed fields, removed ones null (RFC 7386); "
        "scimPatch: RFC 7644 3.5.2; jsonPatch: RFC 6902.",
    )
    otherwise: "UpdateCall | None" = Field(None, description="The update where `when` is not true.")

    @model_validator(mode="after")
    def _paired(self) -> "UpdateCall":
        if (self.when is None) != (self.otherwise is None):
            raise ValueError("when and otherwise belong together: give both or neither")
        return self


class StateCall(Call):
    """A call that changes an entity's state and carries no content."""

    method: Method = Field(description="HTTP method.")
    content_type: str | None = Field(None, description="Content-Type; none = as the profile says.")
    body: Any = Field(None, description='Fixed JSON body; a text "{id}", or a name of `ids`, becomes the ID.')


class DeactivateCall(StateCall):
    """How an entity that vanished from the primary is put out of use in the secondary, without deleting it."""

    done_when: JMESPath = Field(description="True for an entity that is out of use already, e.g. active == `false`.")
