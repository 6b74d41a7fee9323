"""What the chart renders: valid objects, in the right namespaces, with the operator's contract in its env."""

from typing import Any

import kubernetes_validate
import pytest
import yaml
from bcp_operator.continuity.dialects import IngressSetup

from tests.unit.charts import CHART, NAMESPACE, RELEASE, REQUIRED, one, render, run

DIGEST = "sha256:" + "ab" * 32
SCHEMA_VERSION = "1.37"

EVERYTHING: dict[str, Any] = {
    "image": {"repository": "example/bcp-operator", "digest": DIGEST, "pullPolicy": "Always"},
    "syncImage": {"tag": "0.1.0-sync"},
    "insecureHosts": ["old.saas.test"],
    "imagePullSecrets": ["pull"],
    "ingressClasses": {"edge": "haproxy", "old": "nginx"},
    "logFormat": "json",
    "nodeSelector": {"pool": "infra"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "networkPolicy": {"egressPorts": [6443, 5353], "extraEgress": [{"ports": [{"port": 8443, "protocol": "TCP"}]}]},
    "admission": {"stamp": "Always"},
}
NAMESPACED_ONLY: dict[str, Any] = {
    "crds": {"install": False},
    "clusterRoles": {"create": False},
    "admission": {"create": False},
}


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = one(documents, "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"][0]
    return found


def env(documents: list[dict[str, Any]]) -> dict[str, Any]:
    entries = container(documents)["env"]
    found = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}
    assert len(found) == len(entries), "a name occurs twice: the API server refuses that"
    return found


@pytest.mark.parametrize("values", [{}, EVERYTHING, NAMESPACED_ONLY], ids=["required", "everything", "namespaced"])
def test_every_object_is_valid(values: dict[str, Any]) -> None:
    for document in render(values):
        kubernetes_validate.validate(document, SCHEMA_VERSION, strict=True)


@pytest.mark.parametrize("values", [{}, EVERYTHING, NAMESPACED_ONLY], ids=["required", "everything", "namespaced"])
def test_helm_lint(values: dict[str, Any]) -> None:
    code, out, errors = run("lint", REQUIRED | values, options=("--strict",))
    assert code == 0, out + errors


def test_namespaced_objects_go_where_they_belong() -> None:
    allowed = {NAMESPACE, *REQUIRED["watchNamespaces"]}
    for document in render(NAMESPACED_ONLY):
        assert document["metadata"].get("namespace") in allowed, document["metadata"]["name"]
        assert document["kind"] not in {"Namespace", "ClusterRole", "ClusterRoleBinding"}


def test_cluster_scoped_parts_can_be_left_to_an_administrator() -> None:
    def kinds(values: dict[str, Any]) -> set[str]:
        return {document["kind"] for document in render(NAMESPACED_ONLY | values)}

    assert "CustomResourceDefinition" in kinds({"crds": {"install": True}})
    assert "ClusterRole" in kinds({"clusterRoles": {"create": True}})
    assert "ValidatingAdmissionPolicy" in kinds({"admission": {"create": True}})
    assert "MutatingAdmissionPolicy" not in kinds({"admission": {"create": True, "stamp": "Never"}})
    assert "MutatingAdmissionPolicy" in kinds({"admission": {"create": True, "stamp": "Always"}})


def test_nobody_is_bound_to_the_roles_for_people() -> None:
    bindings = [document for document in render() if document["kind"] == "ClusterRoleBinding"]
    assert [(b["roleRef"]["name"], [s["kind"] for s in b["subjects"]]) for b in bindings] == [
        (f"{RELEASE}-gateways", ["ServiceAccount"])
    ]


@pytest.mark.parametrize(
    ("value", "variable", "group"),
    [
        ("gatewayAPI", "GATEWAY_API", "gateway.networking.k8s.io"),
        ("externalDNS", "EXTERNAL_DNS", "externaldns.k8s.io"),
    ],
)
def test_what_not_every_cluster_has_can_be_left_alone(value: str, variable: str, group: str) -> None:
    def groups(values: dict[str, Any]) -> set[str]:
        roles = [
            d for d in render(values) if d["kind"] in {"Role", "ClusterRole"} and d["metadata"]["name"] != "bcp-runbook"
        ]
        return {group for role in roles for rule in role["rules"] for group in rule["apiGroups"]}

    assert group in groups({})
    assert env(render())[variable] == "true"
    assert group not in groups({value: False})
    assert env(render({value: False}))[variable] == "false"


def test_what_the_operator_is_told_of_ingresses() -> None:
    told = env(render({"ingressClasses": {"edge": "haproxy", "old": "nginx"}, "ingressAnnotations": ["a.test/*", "b"]}))
    setup = IngressSetup.parse(told["INGRESS_CLASSES"], told["INGRESS_ANNOTATIONS"])
    assert (setup.dialect("edge"), setup.dialect("old"), setup.annotations) == ("haproxy", "nginx", ("a.test/*", "b"))
    default = env(render())
    assert (default["INGRESS_CLASSES"], default["INGRESS_ANNOTATIONS"]) == ("", "cert-manager.io/*")


def test_two_replicas_that_one_disruption_leaves_one_of() -> None:
    documents = render()
    deployment = one(documents, "Deployment", RELEASE)
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    assert one(documents, "PodDisruptionBudget", RELEASE)["spec"]["maxUnavailable"] == 1
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_selectors_match_the_pods() -> None:
    documents = render(EVERYTHING)
    template = one(documents, "Deployment", RELEASE)["spec"]["template"]["metadata"]["labels"]
    for kind, path in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        wanted = one(documents, kind, RELEASE, NAMESPACE)["spec"][path]["matchLabels"]
        assert wanted.items() <= template.items(), kind


def test_the_operator_is_told_what_it_needs() -> None:
    told = env(render({"insecureHosts": ["a.test", "b.test"]}))
    assert told["WATCH_NAMESPACES"] == "team-a,team-b"
    assert told["ALLOWED_HOSTS"] == "*.saas.test"
    assert told["INSECURE_HOSTS"] == "a.test,b.test"
    assert told["BCP_SYNC_IMAGE"] == "bcp-operator:0.1.0"
    assert told["BCP_SYNC_IMAGE_PULL_POLICY"] == "IfNotPresent"
    assert told["POD_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert told["POD_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert container(render())["args"] == ["--log-format", "text", "--health-port", "8080"]


@pytest.mark.parametrize(
    ("image", "sync", "operator_image", "sync_image"),
    [
        ({}, {}, "bcp-operator:0.1.0", "bcp-operator:0.1.0"),
        ({"tag": "x"}, {}, "bcp-operator:x", "bcp-operator:x"),
        ({"tag": "x", "digest": DIGEST}, {}, f"bcp-operator@{DIGEST}", f"bcp-operator@{DIGEST}"),
        ({"digest": DIGEST}, {"tag": "other"}, f"bcp-operator@{DIGEST}", "bcp-operator:other"),
        ({"tag": "x"}, {"repository": "sync"}, "bcp-operator:x", "sync:0.1.0"),
        ({"tag": "x"}, {"digest": DIGEST}, "bcp-operator:x", f"bcp-operator@{DIGEST}"),
    ],
)
def test_images(image: dict[str, str], sync: dict[str, str], operator_image: str, sync_image: str) -> None:
    documents = render({"image": image, "syncImage": sync})
    assert container(documents)["image"] == operator_image
    assert env(documents)["BCP_SYNC_IMAGE"] == sync_image


def test_pull_secrets_reach_operator_and_sync_pods() -> None:
    documents = render({"imagePullSecrets": ["one", "two"]})
    names = [{"name": "one"}, {"name": "two"}]
    assert one(documents, "Deployment", RELEASE)["spec"]["template"]["spec"]["imagePullSecrets"] == names
    for namespace in REQUIRED["watchNamespaces"]:
        assert one(documents, "ServiceAccount", "bcp-sync", namespace)["imagePullSecrets"] == names


@pytest.mark.parametrize(
    ("create", "stamp", "believed"),
    [(True, "Always", "true"), (True, "Never", "false"), (False, "Always", "true"), (False, "Auto", "false")],
)
def test_the_operator_believes_only_a_stamp_that_is_guarded(create: bool, stamp: str, believed: str) -> None:
    documents = render({"admission": {"create": create, "stamp": stamp}})
    assert env(documents)["REQUESTER_STAMPED"] == believed
    rendered = any(document["kind"] == "MutatingAdmissionPolicy" for document in documents)
    assert rendered is (create and stamp == "Always")


@pytest.mark.parametrize("on", [True, False])
def test_four_eyes_is_what_the_operator_is_told_and_what_admission_stamps(on: bool) -> None:
    documents = render({"admission": {"stamp": "Always", "fourEyes": on}})
    assert env(documents)["FOUR_EYES"] == str(on).lower()
    stamps = {d["metadata"]["name"] for d in documents if d["kind"] == "MutatingAdmissionPolicy"}
    assert stamps == {"requester.bcp-operator.io"} | ({"approver.bcp-operator.io"} if on else set())


def test_probes_ask_what_the_operator_answers() -> None:
    operator = container(render())
    assert operator["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "health"}
    assert operator["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert operator["ports"] == [{"name": "health", "containerPort": 8080, "protocol": "TCP"}]


def test_crds_survive_an_uninstall_and_equal_those_in_crds() -> None:
    rendered = {
        document["metadata"]["name"]: document
        for document in render()
        if document["kind"] == "CustomResourceDefinition"
    }
    files = sorted((CHART.parents[1] / "crds").glob("*.yaml"))
    assert len(files) == len(rendered) == 2
    for path in files:
        wanted = yaml.safe_load(path.read_text())
        found = rendered[wanted["metadata"]["name"]]
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert found["spec"] == wanted["spec"]


@pytest.mark.parametrize(
    ("release", "name"), [("emea", "emea-bcp-operator"), ("bcp-operator-2", "bcp-operator-2"), ("a" * 53, "a" * 52)]
)
def test_object_names_follow_the_release(release: str, name: str) -> None:
    documents = render(release=release)
    one(documents, "Deployment", name)
    one(documents, "Role", name, "team-a")
    one(documents, "ServiceAccount", "bcp-sync", "team-a")


def notes(**values: Any) -> str:
    code, out, errors = run("install", REQUIRED | values, options=("--dry-run=client",))
    assert code == 0, errors
    return out.split("\nNOTES:\n", 1)[1]


def test_the_notes_say_what_to_do_next_and_what_is_open() -> None:
    plain = notes()
    assert "rollout status deployment/bcp-operator" in plain
    assert "--clusterrole=bcp-failover" in plain
    assert "admission.create is false" not in plain
    assert "crds.install is false" not in plain
    assert 'allowedHosts contains "*"' in notes(allowedHosts=["*"])
    assert "admission.create is false" in notes(admission={"create": False})
    assert "crds.install is false" in notes(crds={"install": False})
