"""The kinds of objects the operator reads or writes."""

from dataclasses import dataclass

from bcp_operator.api.common import API_VERSION


@dataclass(frozen=True)
class Kind:
    """One kind: apiVersion and kind as in a manifest, plural as in a URL."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Version within the group."""
        return self.api_version.rpartition("/")[2]


TENANT = Kind(API_VERSION, "BCPTenant", "bcptenants")
POLICY = Kind(API_VERSION, "SyncPolicy", "syncpolicies")
CRONJOB = Kind("batch/v1", "CronJob", "cronjobs")
JOB = Kind("batch/v1", "Job", "jobs")
POD = Kind("v1", "Pod", "pods")
CONFIGMAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
PVC = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
HTTPROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
DNSENDPOINT = Kind("externaldns.k8s.io/v1alpha1", "DNSEndpoint", "dnsendpoints")
GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)
EVENT = Kind("events.k8s.io/v1", "Event", "events")
