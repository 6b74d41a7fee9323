"""How a listing is walked through; systems/paging.py does the walking."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import HeaderName, JMESPath, ProfileModel


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
