"""What both resources share: the base model, names, labels and small reference types."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "bcp-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "bcp-operator"
FINALIZER = f"{GROUP}/restore-route"

LABEL_TENANT = f"{GROUP}/tenant"
LABEL_PROFILE = f"{GROUP}/profile"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_COMPONENT = "app.kubernetes.io/component"

ANNOTATION_REQUESTED_BY = f"{GROUP}/requested-by"
ANNOTATION_PREVIOUS_HOLDER = f"{GROUP}/previous-holder"
ANNOTATION_SYNC_ENABLED_AT = f"{GROUP}/sync-enabled-at"

System = Literal["Primary", "Secondary"]

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
HttpURL = Annotated[
    str, Field(min_length=8, max_length=2048, pattern=r"^https?://[^\s/?#@\\\"'`{}$;]+(/[^\s\"'`{}$;\\]*)?$")
]
HostPort = Annotated[str, Field(min_length=1, max_length=260, pattern=r"^[A-Za-z0-9.:\[\]-]+$")]
Timestamp = datetime


class Model(BaseModel):
    """A part of a resource: camelCase outside, snake_case inside, unknown fields dropped as the API server drops them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class SecretRef(Model):
    """A Secret in the namespace of the resource; there is no namespace field, ever."""

    name: Name = Field(description="Name of the Secret, in this namespace.")


class CARef(Model):
    """A PEM bundle of certificate authorities, for systems and login hosts with a private CA."""

    kind: Literal["ConfigMap"] = Field("ConfigMap", description="Kind of the object that holds the bundle.")
    name: Name = Field(description="Name of the ConfigMap, in this namespace.")
    key: DataKey = Field("ca.crt", description="Key that holds the PEM bundle.")
