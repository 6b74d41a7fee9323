"""The chart's admission policies in a cluster, and people who hold one of its ClusterRoles each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from tests.apiserver.api import Api, collection
from tests.apiserver.manifests import Object, edited, simple_tenant
from tests.cluster.access import Cluster
from tests.unit.charts import render
from tests.waiting import until

OURS = (
    "tenants.bcp-operator.io",
    "policies.bcp-operator.io",
    "requester.bcp-operator.io",
    "approver.bcp-operator.io",
)
LABEL = "bcp-operator.io/policies-of"
OPERATOR = "system:serviceaccount:bcp-system:bcp-operator"
# Each holds one ClusterRole of the chart; nobody may set up and switch at once.
PEOPLE = {
    "sam": "bcp-setup",
    "sid": "bcp-sync-editor",
    "flo": "bcp-failover",
    "eve": "editor-without-verbs",
    "una": "failover-without-override",
    "run": "bcp-runbook",
    "ann": "bcp-approver",
    "bob": "bcp-break-glass",
    "val": "bcp-viewer",
}
_BASE = ["get", "list", "watch", "create", "update", "patch", "delete"]
# What a team gets that was given every usual verb, and a holder of failover alone.
_OTHER_ROLES = {
    "editor-without-verbs": [
        {"apiGroups": ["bcp-operator.io"], "resources": ["bcptenants", "syncpolicies"], "verbs": _BASE}
    ],
    "failover-without-override": [
        {"apiGroups": ["bcp-operator.io"], "resources": ["bcptenants"], "verbs": [*_BASE, "failover"]}
    ],
    "operator-finalizers": [
        {"apiGroups": ["bcp-operator.io"], "resources": ["bcptenants"], "verbs": ["get", "list", "watch", "patch"]}
    ],
}


def policies(*, stamp: bool, four_eyes: bool = False) -> list[Object]:
    """What the chart renders of the policies."""
    values = {"admission": {"create": True, "stamp": "Always" if stamp else "Never", "fourEyes": four_eyes}}
    return [
        document
        for document in render(values)
        if document["metadata"]["name"] in OURS and "Role" not in document["kind"]
    ]


def roles() -> list[Object]:
    """The chart's ClusterRoles for people, and those that show what the usual verbs alone don't allow."""
    shipped = [document for document in render() if document["kind"] == "ClusterRole"]
    version, kind = shipped[0]["apiVersion"], shipped[0]["kind"]
    return shipped + [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "rules": rules}
        for name, rules in _OTHER_ROLES.items()
    ]


def apart(document: Object, namespace: str) -> Object:
    """The object under a name of its own, in force in this test's namespaces alone: others share the cluster."""
    made = edited(document, {"metadata.name": f"{namespace}.{document['metadata']['name']}", "metadata.labels": {}})
    if document["kind"].endswith("PolicyBinding"):
        made["spec"]["policyName"] = f"{namespace}.{document['spec']['policyName']}"
        made["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {LABEL: namespace}}}
    return made


def place_under_policies(cluster: Cluster, name: str, namespace: str) -> None:
    """Put one more namespace under the policies that were installed for `namespace`."""
    cluster.kubectl("label", "namespace", name, f"{LABEL}={namespace}")


@contextmanager
def installed(cluster: Cluster, namespace: str, *, stamp: bool, four_eyes: bool = False) -> Iterator[None]:
    """The policies and roles in force in a namespace for a block."""
    place_under_policies(cluster, namespace, namespace)
    parts = [apart(document, namespace) for document in (*roles(), *policies(stamp=stamp, four_eyes=four_eyes))]
    documents = yaml.safe_dump_all(parts)
    cluster.kubectl("apply", "--server-side", "-f", "-", input=documents)
    try:
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", input=documents)


class People:
    """A namespace in which each of PEOPLE holds their role."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self._apis: dict[str, Api] = {}
        for user, role in (*PEOPLE.items(), (OPERATOR, "operator-finalizers")):
            name = f"as-{role}"
            bound = (f"--clusterrole={namespace}.{role}", f"--user={user}")
            cluster.kubectl("-n", namespace, "create", "rolebinding", name, *bound)

    def __getitem__(self, user: str) -> Api:
        """The API as this user sees it."""
        if user not in self._apis:
            self._apis[user] = Api(self.cluster.client_kubeconfig(user, ()))
        return self._apis[user]

    def path(self, name: str = "", plural: str = "bcptenants") -> str:
        """Path of a tenant or a policy in the namespace, or of all of them."""
        return f"{collection(self.namespace, plural)}/{name}".removesuffix("/")

    def close(self) -> None:
        """Drop the connections."""
        for api in self._apis.values():
            api.close()


def in_force(people: People, *, stamp: bool) -> None:
    """Wait until the API server judges by the policies; it takes a moment to load them."""
    probe = simple_tenant("probe")
    until(lambda: people["eve"].create(people.path(), probe, dry=True).status == 403, "the tenants policy works")
    policy = {"apiVersion": probe["apiVersion"], "kind": "SyncPolicy", "metadata": {"name": "probe"}, "spec": {}}
    path = people.path(plural="syncpolicies")
    until(lambda: people["eve"].create(path, policy, dry=True).status == 403, "the policies policy works")
    if stamp:
        switched = {"spec": probe["spec"] | {"failover": {"reason": "probe"}}}
        admin = Api(people.cluster.kubeconfig)
        until(
            lambda: "annotations" in admin.create(people.path(), probe | switched, dry=True).body.get("metadata", {}),
            "the requester is stamped",
        )
        admin.close()
