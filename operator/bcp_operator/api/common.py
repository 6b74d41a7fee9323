"""What both resources share: the base model, names, labels and small reference types."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

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
Approval = Literal["OnGuard", "Always", "Never"]

# Regular expressions are read by three engines (Go's RE2 in the API server, Rust's in pydantic, Python's): no look-around.
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_DNS_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
# URLs end up in annotations that become proxy configuration: neither quotes, braces, $, ; nor backslashes.
_PATH = r"/([A-Za-z0-9._~:@!&()*+,=/-]|%[0-9A-Fa-f]{2})*"
_QUERY = r"(\?([A-Za-z0-9._~:@!&()*+,=/?-]|%[0-9A-Fa-f]{2})*)?"

Name = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
DataKey = Annotated[str, Field(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Timestamp = datetime


@dataclass(frozen=True)
class PatternSays:
    """Beside a pattern: the CRD checks the pattern by a CEL rule with these words, instead of showing the expression."""

    message: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The usual schema, with the words in it for crdgen."""
        return handler(schema) | {"x-bcp-pattern-message": self.message}


HttpURL = Annotated[
    str,
    Field(max_length=2048, pattern=rf"^https?://{_HOST}(:{_PORT})?({_PATH}{_QUERY})?$"),
    PatternSays(
        "write a URL such as https://host.example/path?query: http or https, no user name, no fragment, and anything "
        "but letters, digits and . _ ~ : @ ! & ( ) * + , = - percent-encoded"
    ),
]
BaseURL = Annotated[
    str,
    Field(max_length=2048, pattern=rf"^https?://{_HOST}(:{_PORT})?({_PATH})?$"),
    PatternSays("write a base URL such as https://api.example/v2: http or https, no user name, query or fragment"),
]
LoginHostURL = Annotated[
    str,
    Field(max_length=2048, pattern=rf"^https://{_DNS_NAME}(:{_PORT})?({_PATH})?$"),
    PatternSays(
        "write a URL such as https://login.example/: https, host in lower case, no user name, query or fragment"
    ),
]
HostPort = Annotated[
    str,
    Field(max_length=260, pattern=rf"^{_HOST}(:{_PORT})?$"),
    PatternSays("write host or host:port, e.g. 10.0.0.53:53 or [2001:db8::53]:53"),
]
ApprovalHash = Annotated[
    str,
    Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$"),
    PatternSays("copy the whole hash from status.sync.lastRun.withheldHash: sha256: and 64 hexadecimal digits"),
]
GoDuration = Annotated[
    str,
    Field(
        max_length=32,
        pattern=r"^([0-9]{1,5}h([0-9]{1,6}m)?([0-9]{1,8}s)?|[0-9]{1,6}m([0-9]{1,8}s)?|[0-9]{1,8}s)$",
    ),
    PatternSays("write whole hours, minutes and seconds in this order, e.g. 26h, 1h30m or 90s"),
]
TimeZone = Annotated[
    str,
    Field(max_length=64, pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"),
    PatternSays("name an IANA time zone, e.g. UTC or Europe/Berlin"),
]


@dataclass(frozen=True)
class Rule:
    """A CEL rule that the API server checks. `message` says what to do, not only what is wrong."""

    rule: str
    message: str
    field_path: str | None = None

    def as_schema(self) -> dict[str, str]:
        """The rule as an entry of x-kubernetes-validations."""
        entry = {"rule": self.rule, "message": self.message}
        return entry | ({"fieldPath": self.field_path} if self.field_path else {})


def checked_by(*rules: Rule) -> dict[str, Any]:
    """`json_schema_extra` of a field that CEL rules look at; rules of a whole model go into its `cel_rules`."""
    return {"x-kubernetes-validations": [rule.as_schema() for rule in rules]}


def host_of(url: str) -> str:
    """CEL: the host of a URL, in lower case, after its two slashes; empty when it isn't one.

    Not url(...).getHostname(): the API server knows no bound of its length and refuses rules that compare it.
    """
    return f"{url}.lowerAscii().find('//[^/:?]+')"


def has_ip_host(url: str) -> str:
    """CEL: the host of a URL is an IP address."""
    return f"{url}.matches('^https?://(\\\\[|[0-9.]+([:/?]|$))')"


def port_of(url: str) -> str:
    """CEL: the port of a https URL, as :443, also when it is left out."""
    given = f"{url}.find('^https://[^/?]+').find(':[0-9]+$')"
    return f"({given} == '' ? ':443' : {given})"


def not_longer(one: str, other: str) -> str:
    """CEL: the first of two durations is at most as long as the second. What is no duration is left to its own rule."""
    sound = f"[{one}, {other}].all(d, d.matches('^([0-9]+[hms])+$') && !d.matches('^[0hms]*$'))"
    return f"!{sound} || duration({one}) <= duration({other})"


POSITIVE_DURATION = Rule("!self.matches('^[0hms]*$')", "must be longer than zero: e.g. 30s, 10m or 26h")
NAMED_TIME_ZONE = Rule(
    "self.lowerAscii() != 'local'", "Local differs from node to node: name a zone, e.g. Europe/Berlin"
)


class Model(BaseModel):
    """A part of a resource: camelCase outside, snake_case inside, unknown fields dropped as the API server drops them.

    `cel_rules` are the rules across its fields. `server_defaults` False keeps the defaults of its fields out of the
    CRD: an absent field then stays absent in the cluster, and a GitOps tool never sees a value that nobody wrote.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    cel_rules: ClassVar[tuple[Rule, ...]] = ()
    server_defaults: ClassVar[bool] = True

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The usual schema, with this model's CEL rules in it."""
        generated = handler(schema)
        target = handler.resolve_ref_schema(generated)
        if cls.cel_rules:
            target |= checked_by(*cls.cel_rules)
        if not cls.server_defaults:
            target["x-bcp-no-defaults"] = True
        return generated


class SecretRef(Model):
    """A Secret in the namespace of the resource; there is no namespace field, ever."""

    name: Name = Field(description="Name of the Secret, in this namespace.")


class PolicyRef(Model):
    """A SyncPolicy in the namespace of the tenant; there is no namespace field, ever."""

    name: Name = Field(description="Name of the SyncPolicy, in this namespace.")


class CARef(Model):
    """A PEM bundle of certificate authorities, for systems and login hosts with a private CA."""

    kind: Literal["ConfigMap"] = Field("ConfigMap", description="Kind of the object that holds the bundle.")
    name: Name = Field(description="Name of the ConfigMap, in this namespace.")
    key: DataKey = Field("ca.crt", description="Key that holds the PEM bundle.")
