"""Who switched, who agreed, and why: the operator and the chart's policies together, with people of groups."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.apiserver import admission
from tests.apiserver.admission import People
from tests.apiserver.api import Answer, Api, Object
from tests.apiserver.gateway import Gateway, serve
from tests.apiserver.replica import Tenants, replica
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster

REPRESENTATIVES, ONCALL, EMERGENCY = "account-representatives", "oncall", "emergency"
ROLES = {REPRESENTATIVES: "bcp-failover", ONCALL: "bcp-approver", EMERGENCY: "bcp-break-glass"}


class Group:
    """One person who holds a right by a group alone."""

    def __init__(self, cluster: Cluster, user: str, group: str) -> None:
        self.cluster = cluster
        self.kubeconfig = cluster.client_kubeconfig(user, (group,))
        self.api = Api(self.kubeconfig)

    def switch(self, tenants: Tenants, name: str, **block: object) -> Answer:
        """Change spec.failover."""
        return self.api.merge(f"{tenants.path}/{name}", {"spec": {"failover": block}})


@pytest.fixture(scope="module")
def gateway(resources: Cluster, admin: Api, namespace: str) -> Iterator[Gateway]:
    """What stands in front of the login hosts."""
    resources.kubectl("-n", namespace, "create", "configmap", "web-ca", f"--from-literal=ca.crt={resources.ca_pem}")
    with serve(resources, admin, namespace) as made:
        yield made


@pytest.fixture(scope="module")
def tenants(
    resources: Cluster, admin: Api, namespace: str, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tenants]:
    """A namespace under the policies with four-eyes, and an operator that goes by them."""
    folder = tmp_path_factory.mktemp("operator")
    settings = {"REQUESTER_STAMPED": "true", "FOUR_EYES": "true"}
    with resources.namespace("own") as own, admission.installed(resources, namespace, stamp=True, four_eyes=True):
        people = People(resources, namespace)
        admission.in_force(people, stamp=True)
        people.close()
        for group, role in ROLES.items():
            bound = (f"--clusterrole={namespace}.{role}", f"--group={group}")
            resources.kubectl("-n", namespace, "create", "rolebinding", group, *bound)
        with replica(resources.kubeconfig, own, namespace, folder, **settings) as made:
            until(made.ready, "the replica to be ready", 30)
            yield Tenants(admin, namespace, gateway)


@pytest.fixture(scope="module")
def rita(resources: Cluster) -> Group:
    """The account representative."""
    return Group(resources, "rita", REPRESENTATIVES)


def waiting(tenants: Tenants, name: str) -> Object:
    """The condition of a request that waits."""
    until(lambda: tenants.condition(name, "ApprovalPending").get("status") == "True", f"{name} to wait", 30)
    return tenants.condition(name, "ApprovalPending")


def test_a_representative_switches_when_somebody_agrees_and_the_history_has_both_and_why(
    tenants: Tenants, resources: Cluster, gateway: Gateway, rita: Group
) -> None:
    tenants.create("acme")
    tenants.wait_phase("acme", "Primary")
    assert rita.switch(tenants, "acme", activeSystem="Secondary", reason="INC-4711, asked for by phone").ok
    message = waiting(tenants, "acme")["message"]
    assert message.startswith("rita asks for a failover (INC-4711, asked for by phone)")
    assert gateway.location("acme") == gateway.page("primary")
    assert tenants.status("acme").get("operation") is None

    command = shlex.split(message.split(": ", 1)[1].split(" - When")[0])
    alone = resources.kubectl(*command[1:], kubeconfig=rita.kubeconfig, check=False)
    assert "user rita asked for this switch" in alone.stderr
    otto = Group(resources, "otto", ONCALL)
    resources.kubectl(*command[1:], kubeconfig=otto.kubeconfig)

    status = tenants.wait_phase("acme", "Secondary", 30)
    assert gateway.location("acme") == gateway.page("secondary")
    entry = status["history"][0]
    assert (entry["initiator"], entry["initiatorVerified"], entry["approvedBy"]) == ("rita", True, "otto")
    assert entry["reason"] == "INC-4711, asked for by phone"
    assert tenants.condition("acme", "ApprovalPending")["status"] == "False"


def test_somebody_who_is_alone_breaks_the_glass_and_everybody_hears_of_it(
    tenants: Tenants, resources: Cluster, gateway: Gateway, rita: Group
) -> None:
    tenants.create("alone")
    tenants.wait_phase("alone", "Primary")
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    block = {"activeSystem": "Secondary", "override": ["FourEyes"], "reason": "INC-1, nobody answers"}
    assert rita.switch(tenants, "alone", **block, requestedAt=now).status == 403
    erin = Group(resources, "erin", EMERGENCY)
    assert erin.switch(tenants, "alone", **block, requestedAt=now).ok
    entry = tenants.wait_phase("alone", "Secondary", 30)["history"][0]
    assert (entry["initiator"], entry.get("approvedBy", ""), entry["override"]) == ("erin", "", ["FourEyes"])
    path = f"/apis/events.k8s.io/v1/namespaces/{tenants.namespace}/events"

    def told() -> list[Object]:
        events = [e for e in tenants.api.get(path).body["items"] if e["regarding"]["name"] == "alone"]
        return [event for event in events if event["reason"] == "OverrideUsed"]

    until(told, "the event", 20)
    assert (told()[0]["type"], told()[0]["note"]) == ("Warning", "passed over FourEyes: INC-1, nobody answers")
