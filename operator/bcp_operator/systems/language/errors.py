"""What an answer means, where that isn't what HTTP says."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import JMESPath, ProfileModel

ErrorClass = Literal["Duplicate", "NotFound", "Refused", "Unauthorized", "Transient", "Throttled", "Stale"]


class ErrorRule(ProfileModel):
    """One rule; the first that fits counts."""

    status: list[Annotated[int, Field(ge=200, le=599)]] = Field(
        min_length=1, description="HTTP statuses; 2xx too, for systems that say 200 and mean a failure."
    )
    when: JMESPath | None = Field(None, description="Only when this is true of the answer's JSON.")
    means: ErrorClass = Field(
        description="Duplicate: the name is taken. NotFound: no such entity. Refused: will never be accepted. "
        "Unauthorized: credentials. Transient: try again. Throttled: not handled, try again later. "
        "Stale: changed since it was read."
    )

    @model_validator(mode="after")
    def _success_needs_a_condition(self) -> "ErrorRule":
        if self.when is None and any(status < 400 for status in self.status):
            raise ValueError("a rule for a status below 400 needs `when`, or every success would be a failure")
        return self
