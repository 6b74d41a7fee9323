"""Objects every cluster with a node starts with: DNS service, classes, Gateway API, external-dns' CRD."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster import provisioner, settings
from tests.cluster.apiclient import ApiClient, Object
from tests.cluster.errors import ClusterError
from tests.cluster.folders import GO_FOLDER

INGRESS_CLASS: Final = "nginx"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def dns_service() -> Object:
    """Return the Service of the cluster's DNS; it has no selector, CoreDNS is no pod."""
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": settings.DNS_SERVICE_ADDRESS, "ports": ports},
    }


def dns_endpoints() -> Object:
    """Return where the cluster's DNS really is."""
    port = settings.COREDNS_PORT
    ports = [{"name": "dns", "port": port, "protocol": "UDP"}, {"name": "dns-tcp", "port": port, "protocol": "TCP"}]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-lab",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [settings.NODE_ADDRESS], "conditions": {"ready": True}}],
    }


def ingress_class() -> Object:
    """Return the IngressClass that Traefik serves in the place of ingress-nginx."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": INGRESS_CLASS},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }


def gateway_class() -> Object:
    """Return the GatewayClass that Traefik serves."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "traefik"},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    }


def gateway_crds() -> list[Object]:
    """Return the Gateway API's standard CRDs, out of its Go module (version: go/gatewayapi/go.mod).

    Raises:
        ClusterError: the module can't be had.
    """
    return _module_crds("gatewayapi", "sigs.k8s.io/gateway-api")


def external_dns_crds() -> list[Object]:
    """Return external-dns' CRDs, out of its Go module (version: go/externaldns/go.mod).

    Raises:
        ClusterError: the module can't be had.
    """
    return _module_crds("externaldns", "sigs.k8s.io/external-dns")


def _module_crds(folder: str, name: str) -> list[Object]:
    argv = ["go", "mod", "download", "-json", name]
    done = subprocess.run(argv, cwd=GO_FOLDER / folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"the module {name} can't be had: {done.stderr.strip() or done.stdout.strip()}")
    module: dict[str, Any] = json.loads(done.stdout)
    files = sorted((Path(module["Dir"]) / "config" / "crd" / "standard").glob("*.yaml"))
    documents = [document for file in files for document in _documents(file)]
    return [document for document in documents if document["kind"] == "CustomResourceDefinition"]


def _documents(file: Path) -> list[Object]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the CRDs are large
    return [document for document in yaml.load_all(file.read_text(), Loader=loader) if document]


def install(client: ApiClient) -> None:
    """Apply everything a running cluster needs from the start; GatewayClass only once its CRD serves."""
    for crd in (*gateway_crds(), *external_dns_crds()):
        client.apply(f"{_CRDS}/{crd['metadata']['name']}", crd)
    client.apply("/api/v1/namespaces/kube-system/services/kube-dns", dns_service())
    slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
    client.apply(f"{slices}/kube-dns-lab", dns_endpoints())
    client.apply(f"/apis/networking.k8s.io/v1/ingressclasses/{INGRESS_CLASS}", ingress_class())
    storage = provisioner.storage_class()
    client.apply(f"/apis/storage.k8s.io/v1/storageclasses/{storage['metadata']['name']}", storage)


def gateway_api_served(client: ApiClient) -> bool:
    """Whether the apiserver serves the Gateway API already."""
    return client.exists("/apis/gateway.networking.k8s.io/v1/gatewayclasses")


def install_gateway_class(client: ApiClient) -> None:
    """Apply the GatewayClass."""
    client.apply("/apis/gateway.networking.k8s.io/v1/gatewayclasses/traefik", gateway_class())
