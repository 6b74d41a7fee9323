"""Commands for a person that do a switch while the operator is down; it finishes what it finds when it is back."""

import json
import shlex
from urllib.parse import urlsplit

from bcp_operator.api import names
from bcp_operator.api.common import LABEL_TENANT, System
from bcp_operator.api.login import DNSEndpointRoute, HTTPRouteRoute
from bcp_operator.api.tenant import IngressRoute, Rfc2136Route, Route
from bcp_operator.api.tenant_status import RunbookStep

from . import approval
from .dialects import DIALECTS
from .externaldns import record
from .gateway import redirect_rules
from .observed import Observed
from .request import login_url, other

LONGEST = 4096
TOO_LONG = (
    "# this route's command is too long to be kept here: shorten the login URLs, or patch the route's object by hand"
)


def steps(seen: Observed, side: System) -> list[RunbookStep]:
    """The way to the other side than `side`."""
    aim = other(side)
    made = [_field(seen, aim)]
    if aim == "Secondary":
        made.append(_fence(seen))
    commands = _joined([_route(seen, route, aim) for route in seen.spec.login.routes])
    title = f"Send users to the {aim.lower()}"
    numbers = [f" ({number} of {len(commands)})" for number in range(1, len(commands) + 1)]
    made += [
        RunbookStep(title=title + (number if len(commands) > 1 else ""), command=command)
        for number, command in zip(numbers, commands, strict=True)
    ]
    return made


def _joined(commands: list[str]) -> list[str]:
    """As few texts as they fit into, each of whole commands; one that is too long for any says so instead."""
    texts: list[str] = []
    for command in commands:
        fits = command if len(command) <= LONGEST else TOO_LONG
        if texts and len(texts[-1]) + 1 + len(fits) <= LONGEST:
            texts[-1] += f"\n{fits}"
        else:
            texts.append(fits)
    return texts


def _field(seen: Observed, aim: System) -> RunbookStep:
    # A consent that was left behind would be given again by the newer time: no last sync, and nothing passed over.
    passed = f'["{approval.RULE}"],"reason":"operator down"' if seen.four_eyes else "null"
    consent = f',"mode":null,"override":{passed}' + ("" if aim == "Secondary" else ',"secondaryChanges":"Discard"')
    patch = f'{{"spec":{{"failover":{{"activeSystem":"{aim}","requestedAt":"\'"$(date -u +%FT%TZ)"\'"{consent}}}}}}}'
    command = f"kubectl -n {seen.namespace} patch bcptenant {seen.name} --type merge -p '{patch}'"
    return RunbookStep(title="Set the field", command=command)


def _fence(seen: Observed) -> RunbookStep:
    kubectl = f"kubectl -n {seen.namespace}"
    lease = names.writer_lease(seen.name)
    commands = [
        f'{kubectl} patch lease {lease} --type merge -p \'{{"spec":{{"holderIdentity":"fence/runbook"}}}}\'',
        f"{kubectl} delete cronjob {names.sync_cronjob(seen.name)} --ignore-not-found --cascade=orphan",
        f"{kubectl} delete job -l {LABEL_TENANT}={seen.name} --ignore-not-found",
        "sleep 15 # a writer that was active stops within this time",
    ]
    return RunbookStep(title="Stop the sync", command="\n".join(commands))


def _route(seen: Observed, route: Route, aim: System) -> str:
    if route.ingress is not None:
        speaks = next((view.dialect for view in seen.routes if view.name == route.name), "nginx")
        return _ingress(seen, route.ingress, speaks, aim)
    if route.http_route is not None:
        return _http_route(seen, route.http_route, aim)
    if route.dns_endpoint is not None:
        return _dns_endpoint(seen, route.dns_endpoint, aim)
    if route.rfc2136 is not None:
        return _dns(seen, route.rfc2136, aim)
    return f"# route {route.name}: no driver"


def _ingress(seen: Observed, ingress: IngressRoute, speaks: str, aim: System) -> str:
    base = f"kubectl -n {seen.namespace} annotate ingress {ingress.name} --overwrite"
    dialect = DIALECTS[speaks]
    if ingress.mode == "Adopted" and aim == "Primary":
        return f"{base} {dialect.redirect_key}-"
    return f"{base} {shlex.quote(f'{dialect.redirect_key}={dialect.value(login_url(seen.spec, aim))}')}"


def _http_route(seen: Observed, route: HTTPRouteRoute, aim: System) -> str:
    rules = redirect_rules(seen.spec.login.url, login_url(seen.spec, aim), route.status_code)
    patch = json.dumps({"spec": {"rules": rules}}, separators=(",", ":"))
    resource = "httproutes.gateway.networking.k8s.io"
    return f"kubectl -n {seen.namespace} patch {resource} {route.name} --type merge -p {shlex.quote(patch)}"


def _dns_endpoint(seen: Observed, route: DNSEndpointRoute, aim: System) -> str:
    patch = json.dumps(
        {"spec": record(seen.spec.login.url, login_url(seen.spec, aim), route.ttl_seconds)}, separators=(",", ":")
    )
    resource = "dnsendpoints.externaldns.k8s.io"
    return f"kubectl -n {seen.namespace} patch {resource} {route.name} --type merge -p {shlex.quote(patch)}"


def _dns(seen: Observed, dns: Rfc2136Route, aim: System) -> str:
    host = urlsplit(seen.spec.login.url).hostname or ""
    to = urlsplit(login_url(seen.spec, aim)).hostname or ""
    server = urlsplit(f"//{dns.server}")
    key = "{{.data.algorithm|base64decode}}:{{.data.keyName|base64decode}}:{{.data.secret|base64decode}}"
    secret = f"kubectl -n {seen.namespace} get secret {dns.tsig_secret_ref.name} -o go-template={shlex.quote(key)}"
    lines = [
        f"server {server.hostname} {server.port or 53}",
        f"zone {dns.zone}",
        f"update delete {host}. CNAME",
        f"update add {host}. {dns.ttl_seconds} CNAME {to}.",
        "send",
    ]
    text = "\\n".join(lines) + "\\n"
    return f'printf {shlex.quote(text)} | nsupdate -y "$({secret})"'
