"""What every part of a profile is made of: strict models, and texts that are checked when they are read."""

import re
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr
from pydantic.alias_generators import to_camel

from bcp_operator.systems import paths
from bcp_operator.systems.expressions import Expression, compile_expression

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")


def _expression(text: str) -> str:
    compile_expression(text)
    return text


def _field_path(text: str) -> str:
    paths.parse(text)
    return text


def placeholders(text: str) -> set[str]:
    """Names in braces. Raises ValueError when the braces are not plain names."""
    names = set()
    for _, name, layout, conversion in Formatter().parse(text):
        if name is None:
            continue
        if layout or conversion or not _NAME.match(name):
            raise ValueError(name)
        names.add(name)
    return names


def _path_template(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} must start with a slash; it is a path below the system's endpoint or a base")
    try:
        placeholders(text)
    except ValueError:
        raise ValueError(f"{text!r} may use {{tenantID}}, {{id}} and names of ids, and no other braces") from None
    return text


JMESPath = Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_expression)]
FieldPath = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_field_path)]
PathTemplate = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_path_template)]
TypeName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
PlainName = Annotated[str, Field(min_length=1, max_length=63, pattern=_NAME.pattern)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
CredentialKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]


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
