"""Fixed facts of the test cluster: addresses inside its network namespace, ports, versions.

Everything here lives inside a namespace without an uplink, so the numbers can't collide with the host's.
"""

from typing import Final

KUBERNETES_VERSION: Final = "v1.37.2"

NODE_NAME: Final = "lab"
NODE_ADDRESS: Final = "10.99.0.2"
NODE_PREFIX_BITS: Final = 24
POD_CIDR: Final = "10.88.77.0/24"
SERVICE_CIDR: Final = "10.96.0.0/16"
KUBERNETES_SERVICE_ADDRESS: Final = "10.96.0.1"
DNS_SERVICE_ADDRESS: Final = "10.96.0.10"

APISERVER_PORT: Final = 6443
ETCD_CLIENT_PORT: Final = 12379
ETCD_PEER_PORT: Final = 12380
CONTROLLER_MANAGER_PORT: Final = 16257
SCHEDULER_PORT: Final = 16259
KUBELET_PORT: Final = 20250
KUBELET_HEALTH_PORT: Final = 20248
PROXY_HEALTH_PORT: Final = 10256
PROXY_METRICS_PORT: Final = 10249
COREDNS_PORT: Final = 1053
COREDNS_READY_PORT: Final = 8181
HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
TRAEFIK_PING_PORT: Final = 9180

TEST_ZONE: Final = "test"
"""Every name under this zone answers with the node's address, where Traefik listens."""

OPERATOR_NAMESPACE: Final = "bcp-system"
STORAGE_CLASS: Final = "lab-local"
PROVISIONER: Final = "lab.bcp-operator.io/local-folder"

APISERVER_READY_SECONDS: Final = 60.0
NODE_READY_SECONDS: Final = 90.0
STOP_GRACE_SECONDS: Final = 5.0
