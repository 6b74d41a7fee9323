"""One small asynchronous client: plain dicts in and out, every error a KubeError, every call bounded in time.

Authentication, TLS and token refresh are the kubernetes package's; so is the dynamic client that sends the requests.
Its discovery is not used: the operator knows its kinds, and reading every API group at start costs a second.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    ConfigException,
    load_incluster_config,
    load_kube_config,
)
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.resource import Resource

from bcp_operator.api.common import FIELD_MANAGER

from .errors import Conflict, Invalid, KubeError, NotFound, Unavailable, from_status
from .kinds import (
    CONFIGMAP,
    CRONJOB,
    DNSENDPOINT,
    EVENT,
    GATEWAY,
    GATEWAY_CLASS,
    HTTPROUTE,
    INGRESS,
    JOB,
    LEASE,
    POD,
    POLICY,
    PVC,
    SECRET,
    TENANT,
    Kind,
)

__all__ = [
    "CALL_TIMEOUT_SECONDS",
    "CONFIGMAP",
    "CRONJOB",
    "DNSENDPOINT",
    "EVENT",
    "GATEWAY",
    "GATEWAY_CLASS",
    "HTTPROUTE",
    "INGRESS",
    "JOB",
    "LEASE",
    "POD",
    "POLICY",
    "PVC",
    "SECRET",
    "TENANT",
    "Inventory",
    "Kind",
    "Kube",
    "Object",
]

Object = dict[str, Any]

CALL_TIMEOUT_SECONDS = 10.0
PAGE_SIZE = 500
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# Names reach URL paths: whatever is not a DNS name (a slash, dots alone) must never get there.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True)
class Inventory:
    """What existed at one moment: uids, and the resourceVersion (as a number) of that moment."""

    uids: frozenset[str]
    version: int


class Kube:
    """The Kubernetes API as the operator needs it; make one with `async with Kube.connect() as kube`."""

    def __init__(
        self, api: Any, reload_credentials: Callable[[], None] | None = None, field_manager: str = FIELD_MANAGER
    ) -> None:
        self._dynamic = DynamicClient(api)
        self._reload_credentials = reload_credentials
        self._field_manager = field_manager

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, *, kubeconfig: str | None = None, context: str | None = None, field_manager: str = FIELD_MANAGER
    ) -> AsyncIterator[Self]:
        """Connect with the given kubeconfig, else $KUBECONFIG, else the pod's ServiceAccount, else ~/.kube/config.

        Raises KubeError (reason Configuration) when none of them is usable.
        """
        configuration = Configuration()
        reload_credentials = await _configure(configuration, kubeconfig or os.environ.get("KUBECONFIG"), context)
        # Else aiohttp looks for ~/.netrc and a proxy before every request, in a thread.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
        async with ApiClient(configuration) as api:
            api.user_agent = field_manager
            yield cls(api, reload_credentials, field_manager)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Read one object; None when it does not exist. The namespace of a cluster-scoped one is not looked at."""
        try:
            return await self._send("get", _path(kind, namespace, name))
        except NotFound:
            return None

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        """Read all objects of a kind in a namespace that carry these labels, page by page.

        List items come without apiVersion and kind; they are put back, so that each can be passed to replace().
        """
        params: Object = {"limit": PAGE_SIZE}
        if labels:
            params["label_selector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        items: list[Object] = []
        while True:
            page = await self._send("get", _path(kind, namespace), **params)
            items += [{"apiVersion": kind.api_version, "kind": kind.kind} | item for item in page.get("items") or []]
            params["_continue"] = page.get("metadata", {}).get("continue")
            if not params["_continue"]:
                return items

    async def inventory(self, kind: Kind, namespace: str, label: str = "") -> Inventory:
        """Which objects of a kind there are in a namespace (with `label`: those that carry it), by their metadata."""
        params: Object = {"limit": PAGE_SIZE} | ({"label_selector": label} if label else {})
        uids: set[str] = set()
        while True:
            page = await self._send("get", _path(kind, namespace), header_params={"Accept": _METADATA_ONLY}, **params)
            uids |= {item["metadata"]["uid"] for item in page.get("items") or []}
            params["_continue"] = page["metadata"].get("continue")
            if not params["_continue"]:
                return Inventory(frozenset(uids), int(page["metadata"]["resourceVersion"]))

    async def create(self, kind: Kind, obj: Object) -> Object:
        """Create an object; raises AlreadyExists when its name is taken."""
        path = _path(kind, obj["metadata"]["namespace"])
        return await self._send("post", path, body=_typed(kind, obj), field_manager=self._field_manager)

    async def replace(self, kind: Kind, obj: Object) -> Object:
        """Replace an object as a whole; raises Conflict unless it still has the resourceVersion that obj carries."""
        if not obj["metadata"].get("resourceVersion"):
            raise Invalid("Unconditional", f"replacing {kind.kind} {obj['metadata']['name']} without a resourceVersion")
        path = _path(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        return await self._send("put", path, body=_typed(kind, obj), field_manager=self._field_manager)

    async def apply(self, kind: Kind, obj: Object, *, force: bool = False) -> Object:
        """Apply the fields in obj as our field manager (bcp-operator), creating the object when it is missing.

        With metadata.resourceVersion in obj the object must exist and still have it: raises Conflict otherwise.
        metadata.uid has to go with it, because an apply with a resourceVersion alone creates a missing object.
        Raises FieldConflict when another manager holds one of the fields with another value and force is off.
        """
        if obj["metadata"].get("resourceVersion") and not obj["metadata"].get("uid"):
            raise Invalid("Unconditional", f"applying {kind.kind} {obj['metadata']['name']} by version but without uid")
        path = _path(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        return await self._send(
            "patch",
            path,
            body=_typed(kind, obj),
            content_type="application/apply-patch+yaml",
            field_manager=self._field_manager,
            force_conflicts=force,
        )

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, status: Object, resource_version: str
    ) -> Object:
        """Replace the status as a whole; raises Conflict unless the object still has this resourceVersion.

        A JSON patch of the status subresource (RBAC verb patch): a merge patch can't drop keys that it does not name,
        and a PUT would take the labels and annotations of some kinds along. Setting the resourceVersion, instead of
        testing it, is what makes the API server answer 409.
        """
        return await self._send(
            "patch",
            _path(kind, namespace, name) + "/status",
            body=[
                {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
                {"op": "add", "path": "/status", "value": status},
            ],
            content_type="application/json-patch+json",
            field_manager=self._field_manager,
        )

    async def patch_metadata(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        resource_version: str,
        finalizers: Sequence[str] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> Object:
        """Set the finalizers and single annotations (None removes one) of an object that has this resourceVersion.

        Raises Conflict when it changed since, NotFound when it is gone.
        """
        metadata: Object = {"resourceVersion": resource_version}
        if finalizers is not None:
            metadata["finalizers"] = [*finalizers]
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        return await self._send(
            "patch",
            _path(kind, namespace, name),
            body={"metadata": metadata},
            content_type="application/merge-patch+json",
            field_manager=self._field_manager,
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, propagation: str = "Background"
    ) -> bool:
        """Delete an object; False when it (or, with uid, that very object) is gone already.

        propagation is Background, Foreground or Orphan.
        """
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._send("delete", _path(kind, namespace, name), body=body)
        except NotFound:
            return False
        except Conflict:
            if uid is None:
                raise
            return False
        return True

    async def discover(self, kinds: Iterable[Kind]) -> frozenset[Kind]:
        """Say which of these kinds the cluster serves."""
        wanted = frozenset(kinds)
        served: set[Kind] = set()
        for api_version in sorted({kind.api_version for kind in wanted}):
            prefix = "apis" if "/" in api_version else "api"
            try:
                answer = await self._send("get", f"/{prefix}/{api_version}")
            except NotFound:
                continue
            plurals = {resource["name"] for resource in answer.get("resources", [])}
            served |= {kind for kind in wanted if kind.api_version == api_version and kind.plural in plurals}
        return frozenset(served)

    async def open_watch(self, kind: Kind, namespace: str, name: str, *, seconds: int) -> Any:
        """A watch on one object, as the open response: one event a line in `content`, until close() or `seconds`.

        For watch.watch_object, which bounds its time and turns what the transport raises into a KubeError.
        """
        params = [("watch", "true"), ("fieldSelector", f"metadata.name={name}"), ("timeoutSeconds", str(seconds))]
        return await self._dynamic.request(
            "get",
            _path(kind, namespace),
            serialize=False,
            query_params=params,
            _request_timeout=seconds + CALL_TIMEOUT_SECONDS,
        )

    async def _send(self, method: str, path: str, **params: Any) -> Object:
        try:
            return await self._once(method, path, **params)
        except KubeError as error:
            # A rotated token: read it anew and try once more. A 401 was not carried out, so repeating it is safe.
            if error.reason != "Unauthorized" or self._reload_credentials is None:
                raise
        try:
            self._reload_credentials()
        except (ConfigException, OSError) as error:
            raise Unavailable("Configuration", "cannot read the ServiceAccount token again") from error
        return await self._once(method, path, **params)

    async def _once(self, method: str, path: str, **params: Any) -> Object:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                response = await self._dynamic.request(
                    method, path, serialize=False, _request_timeout=CALL_TIMEOUT_SECONDS, **params
                )
                answer: Object = json.loads(await response.read())
                return answer
        except ApiException as error:
            raise from_status(error.status or 0, error.body) from None
        except TimeoutError:
            message = f"the Kubernetes API did not answer within {CALL_TIMEOUT_SECONDS:g} s"
            raise Unavailable("Timeout", message) from None
        except (aiohttp.ClientError, OSError) as error:
            message = f"cannot reach the Kubernetes API ({type(error).__name__})"
            raise Unavailable("Unreachable", message) from error
        except ValueError as error:
            raise Unavailable("NotJSON", "the Kubernetes API answered with something that is not JSON") from error


async def _configure(configuration: Any, kubeconfig: str | None, context: str | None) -> Callable[[], None] | None:
    """Load credentials into the configuration; return how to read them again, where that is possible."""
    try:
        if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            load_incluster_config(configuration)
            return lambda: load_incluster_config(configuration)
        location = kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION
        await load_kube_config(config_file=location, context=context, client_configuration=configuration)
    except (ConfigException, OSError) as error:
        message = "no usable kubeconfig and no ServiceAccount: set KUBECONFIG or run in a pod"
        raise KubeError("Configuration", f"{message} ({error})") from error
    return None


def _typed(kind: Kind, obj: Object) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind} | obj


def _path(kind: Kind, namespace: str, name: str | None = None) -> str:
    for part in (namespace, name) if kind.namespaced else (name,):
        if part is not None and _NAME.fullmatch(part) is None:
            raise Invalid("InvalidName", f"{part!r} is not a name of a Kubernetes object")
    resource = Resource(
        prefix="apis" if kind.group else "api",
        group=kind.group,
        api_version=kind.version,
        kind=kind.kind,
        namespaced=kind.namespaced,
        name=kind.plural,
    )
    path: str = resource.path(name=name, namespace=namespace if kind.namespaced else None)
    return path
