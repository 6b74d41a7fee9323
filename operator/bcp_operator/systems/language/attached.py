"""Fields that an entity's own calls don't hold: relations to others, and parts with a call of their own."""

from pydantic import Field, model_validator

from .base import JMESPath, ProfileModel
from .calls import Call, ListCall, Method, ReadCall


class ElementCall(Call):
    """Adds, changes or removes elements. With {key} in its path it is sent for one element at a time."""

    method: Method
    content_type: str | None = Field(None, description="Content-Type; none = as the profile says.")
    body: JMESPath | None = Field(
        "@", description="What is sent, made from the list of elements, or with {key} from the element. null: no body."
    )


class Attached(ProfileModel):
    """One field that is read, compared and written by calls of its own, e.g. the skills of an agent.

    A list is compared as a set; elements with the same key are the same element. It may hold references.
    """

    listing: ListCall | None = Field(None, alias="list", description="Lists the elements; {id} is the entity's.")
    read: ReadCall | None = Field(None, description="Reads the field as a whole; {id} is the entity's.")
    key: JMESPath = Field("@", description="What makes an element of the list the same one.")
    ignore: list[str] = Field(default_factory=list, description="Fields of the element that the system computes.")
    add: ElementCall | None = Field(None, description="Adds elements.")
    change: ElementCall | None = Field(None, description="Changes elements; none = they are removed and added.")
    remove: ElementCall | None = Field(None, description="Removes elements.")
    replace: ElementCall | None = Field(None, description="Writes the whole field; its body is made from all of it.")

    @model_validator(mode="after")
    def _whole(self) -> "Attached":
        if (self.listing is None) == (self.read is None):
            raise ValueError("give list (elements) or read (one value), and not both")
        by_element = self.add is not None and self.remove is not None
        if by_element == (self.replace is not None):
            raise ValueError("give replace, or add and remove, and not both")
        if self.read is not None and self.replace is None:
            raise ValueError("a field that is read as a whole is written as a whole: give replace")
        return self
