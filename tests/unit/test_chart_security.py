"""What the chart's pods may do and what its roles grant."""

from typing import Any

import pytest

from tests.unit.charts import NAMESPACE, RELEASE, REQUIRED, one, pod_specs, render
from tests.unit.test_chart_render import EVERYTHING

Object = dict[str, Any]


def pod_security_violations(spec: Object) -> list[str]:
    """List what the Pod Security Standard `restricted` (v1.37) forbids in this pod."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    pod = spec.get("securityContext", {})
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    found += [f"volume {v['name']}" for v in spec.get("volumes", []) if not allowed & v.keys()]
    for item in [*spec["containers"], *spec.get("initContainers", [])]:
        own = item.get("securityContext", {})
        capabilities = own.get("capabilities", {})
        checks = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": capabilities.get("drop") == ["ALL"],
            "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", pod.get("runAsUser")) != 0,
            "seccompProfile": own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
            in {"RuntimeDefault", "Localhost"},
            "hostPort": not any(port.get("hostPort") for port in item.get("ports", [])),
        }
        found += [f"{item['name']}: {name}" for name, fine in checks.items() if not fine]
    return found


def rules(documents: list[Object]) -> list[tuple[str, Object]]:
    return [
        (f"{document['kind']} {document['metadata']['name']}", rule)
        for document in documents
        if document["kind"] in {"Role", "ClusterRole"}
        for rule in document.get("rules") or []
    ]


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["required", "everything"])
def test_every_pod_is_restricted_and_hardened(values: Object) -> None:
    specs = pod_specs(render(values))
    assert specs
    for owner, spec in specs:
        assert pod_security_violations(spec) == [], owner
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for item in spec["containers"]:
            assert item["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"requests", "limits"} <= item["resources"].keys()
            assert "memory" in item["resources"]["limits"]


def test_the_checker_finds_what_is_forbidden() -> None:
    bad = {
        "hostNetwork": True,
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        "containers": [{"name": "c", "securityContext": {"privileged": True}}],
    }
    found = pod_security_violations(bad)
    for expected in ("hostNetwork", "volume v", "c: privileged", "c: runAsNonRoot", "c: seccompProfile"):
        assert expected in found


def test_the_token_is_short_lived_and_mounted_read_only() -> None:
    spec = one(render(), "Deployment", RELEASE)["spec"]["template"]["spec"]
    volume = next(v for v in spec["volumes"] if v["name"] == "api-access")
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600
    mount = next(m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "api-access")
    assert mount["readOnly"] is True


def test_no_service_account_mounts_its_token_by_itself() -> None:
    accounts = [document for document in render() if document["kind"] == "ServiceAccount"]
    assert len(accounts) == 1 + len(REQUIRED["watchNamespaces"])
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


def test_no_rule_has_a_wildcard_or_reaches_for_more() -> None:
    for owner, rule in rules(render(EVERYTHING)):
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, owner
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), owner
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"], owner


def test_the_operator_reads_secrets_by_name_and_makes_no_pods() -> None:
    for owner, rule in rules(render()):
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["get"], owner
        if "pods" in rule["resources"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}, owner
        assert not {"pods/exec", "serviceaccounts/token", "nodes"} & set(rule["resources"]), owner


def test_the_operator_never_writes_spec_or_deletes_tenants() -> None:
    for namespace in REQUIRED["watchNamespaces"]:
        granted = one(render(), "Role", RELEASE, namespace)["rules"]
        tenants = {verb for rule in granted if "bcptenants" in rule["resources"] for verb in rule["verbs"]}
        assert tenants == {"get", "list", "watch", "patch"}, "patch is for the finalizer"
        policies = {verb for rule in granted if "syncpolicies" in rule["resources"] for verb in rule["verbs"]}
        assert policies == {"get", "list", "watch"}


def test_the_operators_own_namespace_grants_only_its_lease() -> None:
    granted = [
        document
        for document in render()
        if document["kind"] == "Role" and document["metadata"]["namespace"] == NAMESPACE
    ]
    assert [role["metadata"]["name"] for role in granted] == [f"{RELEASE}-leader"]
    assert {resource for rule in granted[0]["rules"] for resource in rule["resources"]} == {"leases"}
    named = [rule for rule in granted[0]["rules"] if rule["verbs"] != ["create"]]
    assert [rule["resourceNames"] for rule in named] == [["bcp-operator-leader"]]


def test_sync_pods_may_do_nothing_but_hold_their_lease_and_write_their_report() -> None:
    documents = render()
    for namespace in REQUIRED["watchNamespaces"]:
        assert one(documents, "Role", "bcp-sync", namespace)["rules"] == [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]},
        ]
    assert one(documents, "ValidatingAdmissionPolicy", "sync-pods.bcp-operator.io")["spec"]["failurePolicy"] == "Fail"
    binding = one(documents, "ValidatingAdmissionPolicyBinding", "sync-pods.bcp-operator.io")
    assert binding["spec"]["validationActions"] == ["Deny"]


def test_every_binding_is_for_a_service_account_of_the_chart() -> None:
    documents = render()
    accounts = {
        (document["metadata"]["namespace"], document["metadata"]["name"])
        for document in documents
        if document["kind"] == "ServiceAccount"
    }
    roles = {
        (document["metadata"]["namespace"], document["metadata"]["name"])
        for document in documents
        if document["kind"] == "Role"
    }
    for binding in (document for document in documents if document["kind"] == "RoleBinding"):
        assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) in roles
        for subject in binding["subjects"]:
            assert (subject["namespace"], subject["name"]) in accounts


def test_networks_are_closed_but_for_what_is_needed() -> None:
    documents = render()
    operator = one(documents, "NetworkPolicy", RELEASE)["spec"]
    assert operator["policyTypes"] == ["Ingress", "Egress"]
    assert operator["ingress"] == [{"ports": [{"port": 8080, "protocol": "TCP"}]}]
    for namespace in REQUIRED["watchNamespaces"]:
        sync = one(documents, "NetworkPolicy", "bcp-sync", namespace)["spec"]
        assert sync["ingress"] == []
        assert sync["podSelector"]["matchLabels"] == {
            "app.kubernetes.io/component": "sync",
            "app.kubernetes.io/managed-by": "bcp-operator",
        }
        ports = {port["port"] for rule in sync["egress"] for port in rule["ports"]}
        assert ports == {53, 443, 6443}


def test_plain_http_never_reaches_cloud_metadata() -> None:
    egress = one(render({"insecureHosts": ["x.test"]}), "NetworkPolicy", RELEASE)["spec"]["egress"]
    plain = [rule for rule in egress if any(port["port"] == 80 for port in rule["ports"])]
    assert len(plain) == 1
    blocks = {block["ipBlock"]["cidr"]: block["ipBlock"]["except"] for block in plain[0]["to"]}
    assert blocks["0.0.0.0/0"] == ["169.254.0.0/16"]
    assert "fe80::/10" in blocks["::/0"]


def test_network_policies_can_be_left_out() -> None:
    kinds = {document["kind"] for document in render({"networkPolicy": {"enabled": False}})}
    assert "NetworkPolicy" not in kinds
