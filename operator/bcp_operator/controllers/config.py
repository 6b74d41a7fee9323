"""What the operator is told by flags and environment, checked before anything starts."""

import argparse
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bcp_operator.continuity.dialects import IngressSetup
from bcp_operator.kube.client import DNSENDPOINT, HTTPROUTE, Kind
from bcp_operator.kube.jobs import Image
from bcp_operator.systems.hosts import HostPolicy

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


class ConfigError(Exception):
    """The operator can't start like this; the message says what to set."""


@dataclass(frozen=True)
class Config:
    """Everything that is fixed for the life of the process."""

    watch_namespaces: tuple[str, ...]
    namespace: str
    identity: str
    hosts: HostPolicy
    sync_image: Image
    health_port: int
    log_format: str
    log_level: str
    requester_stamped: bool
    four_eyes: bool
    optional: tuple[Kind, ...]
    ingresses: IngressSetup


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Config:
    """Read flags, and the environment for what no flag says. Raises ConfigError; --help and bad flags exit."""
    flags = _parser(environment).parse_args(arguments)
    return Config(
        watch_namespaces=_namespaces(flags.watch_namespaces, flags.namespace),
        namespace=_own_namespace(flags.namespace),
        identity=flags.identity or socket.gethostname(),
        hosts=HostPolicy.parse(flags.allowed_hosts, flags.insecure_hosts),
        sync_image=_image(flags.sync_image, flags.sync_image_pull_policy),
        health_port=flags.health_port,
        log_format=flags.log_format,
        log_level=flags.log_level,
        requester_stamped=_flag("--requester-stamped", flags.requester_stamped),
        four_eyes=_four_eyes(flags),
        optional=_optional(flags),
        ingresses=_ingresses(flags.ingress_classes, flags.ingress_annotations),
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bcp-operator",
        description="Keeps a rented secondary system in sync and switches the login URL to it when one field is set.",
        epilog="Connects with $KUBECONFIG, else the pod's ServiceAccount, else ~/.kube/config.",
    )

    def add(flag: str, variable: str, default: str, text: str) -> None:
        parser.add_argument(flag, default=environment.get(variable, default), help=f"{text} [${variable}]")

    add("--watch-namespaces", "WATCH_NAMESPACES", "", "namespaces to serve, comma separated (required)")
    add("--namespace", "POD_NAMESPACE", "", "the operator's own namespace, for the leader Lease (required)")
    add("--identity", "POD_NAME", "", "name of this replica in the leader Lease; default: the host name")
    add("--allowed-hosts", "ALLOWED_HOSTS", "", "hosts that tenants may name, comma separated; * matches any text")
    add("--insecure-hosts", "INSECURE_HOSTS", "", "hosts that may be used without TLS, comma separated")
    add("--sync-image", "BCP_SYNC_IMAGE", "", "image of the sync pods (required)")
    add("--sync-image-pull-policy", "BCP_SYNC_IMAGE_PULL_POLICY", "IfNotPresent", ", ".join(PULL_POLICIES))
    add("--requester-stamped", "REQUESTER_STAMPED", "false", "true: admission stamps who asked and refuses forgeries")
    add("--four-eyes", "FOUR_EYES", "false", "true: a switch waits until somebody else than who asked has approved it")
    add(
        "--gateway-api", "GATEWAY_API", "true", "false: leave HTTPRoutes alone, as the operator's Roles don't name them"
    )
    add(
        "--external-dns",
        "EXTERNAL_DNS",
        "true",
        "false: leave DNSEndpoints alone, as the operator's Roles don't name them",
    )
    add("--ingress-classes", "INGRESS_CLASSES", "", "IngressClasses and their dialects, e.g. edge=haproxy,old=nginx")
    add("--ingress-annotations", "INGRESS_ANNOTATIONS", "", "annotations that tenants may ask for, comma separated")
    parser.add_argument("--health-port", type=int, default=8080, help="port of /livez and /readyz; 0 = none (8080)")
    parser.add_argument("--log-format", choices=["text", "json"], default="text", help="for people or for machines")
    parser.add_argument("--log-level", choices=["debug", "info", "warning"], default="info", help="least level logged")
    return parser


def _namespaces(text: str, own: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise ConfigError(
            "no namespace to watch: set --watch-namespaces or $WATCH_NAMESPACES, e.g. tenants-a,tenants-b"
        )
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ConfigError(f"{name!r} in --watch-namespaces is not a namespace name; patterns are not supported")
    if own in names:
        raise ConfigError(f"namespace {own!r} holds the leader Lease and can't be watched: give tenants their own")
    return names


def _own_namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ConfigError("the operator's own namespace is not known: set --namespace or $POD_NAMESPACE")
    return text


def _optional(flags: argparse.Namespace) -> tuple[Kind, ...]:
    """Kinds that the operator may use where the cluster serves them."""
    gateway_api = _flag("--gateway-api", flags.gateway_api)
    external_dns = _flag("--external-dns", flags.external_dns)
    return (*((HTTPROUTE,) if gateway_api else ()), *((DNSENDPOINT,) if external_dns else ()))


def _four_eyes(flags: argparse.Namespace) -> bool:
    """Without the stamp nobody knows who asked, and so not whether somebody else agreed."""
    wanted = _flag("--four-eyes", flags.four_eyes)
    if wanted and not _flag("--requester-stamped", flags.requester_stamped):
        raise ConfigError("--four-eyes needs --requester-stamped: admission has to say who asks and who approves")
    return wanted


def _flag(flag: str, text: str) -> bool:
    if text.lower() not in ("true", "false", ""):
        raise ConfigError(f"{flag} is {text!r}: use true or false")
    return text.lower() == "true"


def _ingresses(classes: str, annotations: str) -> IngressSetup:
    try:
        return IngressSetup.parse(classes, annotations)
    except ValueError as error:
        raise ConfigError(f"--ingress-classes: {error}") from None


def _image(name: str, pull_policy: str) -> Image:
    if not name:
        raise ConfigError("no image for the sync pods: set --sync-image or $BCP_SYNC_IMAGE")
    if pull_policy not in PULL_POLICIES:
        raise ConfigError(f"{pull_policy!r} is not a pull policy: use {', '.join(PULL_POLICIES)}")
    return Image(name, pull_policy)
