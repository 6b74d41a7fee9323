"""What receivers are told: one event of one tenant, in three dresses. Pure; nothing in it is secret."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from bcp_operator.api.notify import Notify, NotifyEvent, NotifyFormat
from bcp_operator.api.tenant_status import BCPTenantStatus, Operation

from .actions import Note

EVENTS = frozenset(get_args(NotifyEvent))
CONTENT_TYPES: Mapping[NotifyFormat, str] = {
    "JSON": "application/json",
    "CloudEvents": "application/cloudevents+json",
    "Slack": "application/json",
}
TYPE_PREFIX = "io.bcp-operator."


@dataclass(frozen=True)
class Notice:
    """One event, as it is when it happens: a retry says the same again, with the same id."""

    namespace: str
    name: str
    uid: str
    event: str
    warning: bool
    message: str
    at: datetime
    phase: str | None
    active_system: str | None
    operation: Operation | None

    @property
    def id(self) -> str:
        """The same for every attempt and every receiver."""
        said = "\n".join((self.uid, self.event, self.message, self.at.isoformat()))
        return hashlib.sha256(said.encode()).hexdigest()[:32]


def about(metadata: Mapping[str, Any], note: Note, status: BCPTenantStatus, at: datetime) -> Notice:
    """The notice of an event of a tenant."""
    switching = note.reason.startswith(("Failover", "Failback", "Override")) and note.reason != "FailoverNotReady"
    return Notice(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        event=note.reason,
        warning=note.warning,
        message=note.message,
        at=at,
        phase=status.phase,
        active_system=status.active_system,
        operation=(status.operation or status.last_operation) if switching else None,
    )


def wanted(receiver: Notify, event: str) -> bool:
    """Whether this receiver wants to be told of it."""
    return event in EVENTS and (not receiver.events or event in receiver.events)


def body(notice: Notice, form: NotifyFormat) -> bytes:
    """What is sent."""
    made = {"JSON": _plain, "CloudEvents": _cloud_event, "Slack": _slack}[form](notice)
    return json.dumps(made).encode()


def _plain(notice: Notice) -> dict[str, Any]:
    operation = notice.operation
    return {
        "id": notice.id,
        "event": notice.event,
        "severity": "Warning" if notice.warning else "Info",
        "time": _time(notice),
        "namespace": notice.namespace,
        "tenant": notice.name,
        "message": notice.message,
        "phase": notice.phase,
        "activeSystem": notice.active_system,
        "operation": None
        if operation is None
        else operation.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"deadline"}),
    }


def _cloud_event(notice: Notice) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/apis/bcp-operator.io/namespaces/{notice.namespace}/bcptenants/{notice.name}",
        "type": f"{TYPE_PREFIX}{notice.event}",
        "subject": f"{notice.namespace}/{notice.name}",
        "time": _time(notice),
        "datacontenttype": "application/json",
        "data": _plain(notice),
    }


def _slack(notice: Notice) -> dict[str, Any]:
    mark = ":warning: " if notice.warning else ""
    text = f"{mark}*{notice.event}* {notice.namespace}/{notice.name}: {notice.message}"
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _time(notice: Notice) -> str:
    return notice.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
