"""Configuration files of containerd, CNI, kubelet, kube-proxy and CoreDNS: pure text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster import settings
from tests.cluster.folders import Folders

PAUSE_IMAGE = "localhost/pause:1"


def containerd(folders: Folders, runc: str) -> str:
    """Return containerd's configuration: own root, state and socket, nothing of the host's containerd.

    `restrict_oom_score_adj`: a host without CAP_SYS_RESOURCE can't give the sandbox the score it asks for.
    """
    base = folders.state / "containerd"
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{base}/root"
state = "{base}/state"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", \
"io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{folders.containerd_socket}"
[ttrpc]
  address = "{folders.containerd_socket}.ttrpc"
[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  enable_selinux = false
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [{cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folders.config}/cni"
  [{cri}.containerd]
    snapshotter = "overlayfs"
    [{cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [{cri}.containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
"""


def cni(folders: Folders) -> str:
    """Return the pod network: every pod behind its own routed link.

    Routed, not bridged: on a bridge the answers of Services pass kube-proxy by, unless the host has br_netfilter.
    """
    link: dict[str, Any] = {"type": "ptp", "ipMasq": False}
    link["ipam"] = {
        "type": "host-local",
        "dataDir": str(folders.state / "ipam"),
        "ranges": [[{"subnet": settings.POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],  # else pods can't reach Service addresses
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "lab", "plugins": [link, {"type": "loopback"}]}, indent=1)


def kubelet(folders: Folders, cgroup: str) -> dict[str, Any]:
    """Return kubelet's configuration; cgroup version 1 hosts are allowed."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.NODE_ADDRESS,
        "port": settings.KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": settings.KUBELET_HEALTH_PORT,
        "containerRuntimeEndpoint": f"unix://{folders.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(folders.pki / "ca.crt")},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(folders.pki / "kubelet-serving.crt"),
        "tlsPrivateKeyFile": str(folders.pki / "kubelet-serving.key"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [settings.DNS_SERVICE_ADDRESS],
        "resolvConf": str(folders.config / "resolv.conf"),
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 100,
        "podLogsDir": str(folders.state / "pod-logs"),
        "volumePluginDir": str(folders.state / "volume-plugins"),
    }


def proxy(folders: Folders) -> dict[str, Any]:
    """Return kube-proxy's configuration: nftables, and no conntrack setting of the host touched."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(folders.config / "proxy.kubeconfig")},
        "clusterCIDR": settings.POD_CIDR,
        "hostnameOverride": settings.NODE_NAME,
        "healthzBindAddress": f"127.0.0.1:{settings.PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{settings.PROXY_METRICS_PORT}",
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def corefile(kubeconfig: Path) -> str:
    """Return CoreDNS's configuration: the cluster's names, and a zone in which every name is the node.

    An A query under the zone answers with the node's address; any other type answers that there is none.
    """
    return f"""{settings.TEST_ZONE}.:{settings.COREDNS_PORT} {{
  bind {settings.NODE_ADDRESS}
  template IN A {settings.TEST_ZONE} {{
    answer "{{{{ .Name }}}} 30 IN A {settings.NODE_ADDRESS}"
  }}
  template IN ANY {settings.TEST_ZONE} {{
    rcode NOERROR
    authority "{settings.TEST_ZONE}. 30 IN SOA ns.{settings.TEST_ZONE}. lab.{settings.TEST_ZONE}. 1 60 60 60 30"
  }}
  errors
}}
.:{settings.COREDNS_PORT} {{
  bind {settings.NODE_ADDRESS}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
  }}
  ready {settings.NODE_ADDRESS}:{settings.COREDNS_READY_PORT}
  errors
}}
"""
