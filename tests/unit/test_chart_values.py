"""What the chart refuses, and in which words."""

from typing import Any

import pytest

from tests.unit.charts import REQUIRED, refusal, run


def test_required_values_are_asked_for_by_name() -> None:
    message = refusal({"allowedHosts": ["*"]})
    assert "watchNamespaces is empty: name the namespaces that hold your BCPTenants" in message
    message = refusal({"watchNamespaces": ["team-a"]})
    assert "allowedHosts is empty: the operator and the sync would refuse every system" in message


def test_the_release_namespace_can_not_be_watched() -> None:
    message = refusal(REQUIRED, namespace="team-a")
    assert 'watchNamespaces contains "team-a", the namespace of this release' in message
    assert "--create-namespace" in message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"watchNamespaces": "team-a"}, "'/watchNamespaces'"),
        ({"watchNamespaces": ["Team_A"]}, "'/watchNamespaces/0'"),
        ({"watchNamespaces": ["a", "a"]}, "'/watchNamespaces'"),
        ({"watchNamespaces": ["a,b"]}, "'/watchNamespaces/0'"),
        ({"allowedHosts": ["x" * 254]}, "'/allowedHosts/0'"),
        ({"allowedHosts": [8080]}, "'/allowedHosts/0'"),
        ({"insecureHosts": "x"}, "'/insecureHosts'"),
        ({"ingressClasses": {"edge": "caddy"}}, "'/ingressClasses/edge'"),
        ({"ingressClasses": {"a,b": "nginx"}}, "invalid propertyName 'a,b'"),
        ({"ingressAnnotations": ["a,b"]}, "'/ingressAnnotations/0'"),
        ({"image": {"repository": ""}}, "'/image/repository'"),
        ({"image": {"tag": "a b"}}, "'/image/tag'"),
        ({"image": {"digest": "sha256:abc"}}, "'/image/digest'"),
        ({"image": {"pullPolicy": "Sometimes"}}, "'/image/pullPolicy'"),
        ({"image": {"registry": "x"}}, "additional properties 'registry' not allowed"),
        ({"syncImage": {"digest": "latest"}}, "'/syncImage/digest'"),
        ({"imagePullSecrets": [{"name": "x"}]}, "'/imagePullSecrets/0'"),
        ({"replicas": "two"}, "'/replicas'"),
        ({"replicas": 6}, "'/replicas'"),
        ({"logFormat": "xml"}, "'/logFormat'"),
        ({"resources": {"limit": {}}}, "additional properties 'limit' not allowed"),
        ({"networkPolicy": {"egressPorts": [0]}}, "'/networkPolicy/egressPorts/0'"),
        ({"networkPolicy": {"enabled": "yes"}}, "'/networkPolicy/enabled'"),
        ({"admission": {"stamp": True}}, "'/admission/stamp'"),
        ({"admission": {"fourEyes": "yes"}}, "'/admission/fourEyes'"),
        ({"crds": {"install": "no"}}, "'/crds/install'"),
        ({"watchNamespace": ["a"]}, "additional properties 'watchNamespace' not allowed"),
    ],
)
def test_the_schema_names_what_is_wrong(values: dict[str, Any], expected: str) -> None:
    assert expected in refusal(REQUIRED | values)


@pytest.mark.parametrize("admission", [{"stamp": "Never"}, {"stamp": "Auto"}, {"create": False, "stamp": "Auto"}])
def test_four_eyes_without_the_stamp_is_refused_because_nobody_could_be_held_to_it(admission: dict[str, Any]) -> None:
    message = refusal(REQUIRED | {"admission": admission | {"fourEyes": True}})
    assert "admission.fourEyes needs the stamps of a MutatingAdmissionPolicy" in message


@pytest.mark.parametrize("host", ["https://x.test", "a.test,b.test", "", "x y", "X.test", "x.test/path"])
@pytest.mark.parametrize("name", ["allowedHosts", "insecureHosts"])
def test_what_is_no_host_is_refused_with_words_that_help(name: str, host: str) -> None:
    message = refusal(REQUIRED | {name: ["fine.test", host]})
    assert f'{name}[1] is "{host}": write one host, or a shell pattern of hosts' in message
    assert "without scheme, path or comma, e.g. login.acme.example or *.example.com" in message


def test_a_release_can_be_scaled_to_nothing() -> None:
    code, _, errors = run("template", REQUIRED | {"replicas": 0})
    assert code == 0, errors
