"""The story of the demo, step by step. Everything in it is real: cluster, ingress controller, directories, TLS, operator, sync."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import yaml

from tests.cluster import Cluster
from tests.demo.teller import chapter, say, show, table
from tests.systems import tenants, world
from tests.systems.client import Client, asking
from tests.systems.deploy import Object, RentedSystem
from tests.systems.reader import Comparison, compare
from tests.systems.stack import OPERATOR, Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

LOGIN = "https://login.acme.test/"
NOTICED_SECONDS = 3.0
"""People need a moment to notice. The ingress controller, too: changes within 2 s of each other it takes over together."""
PRIMARY = RentedSystem("primary", "scim", "primary.saas.test", "primary-token")
SECONDARY = RentedSystem("secondary", "scim", "secondary.saas.test", "secondary-token")


def tell(*, down: bool) -> None:
    """Tell the story from the empty machine to the table; raises AssertionError at the first thing that is not as it should be."""
    chapter("A Kubernetes cluster, and two systems that a company rents outside of it")
    cluster = Cluster()
    cluster.up()
    say("the cluster is up: kube-apiserver, kubelet, containerd, Traefik as its ingress controller")
    stack = Stack(cluster)
    stack.start_over()
    stack.namespaces()
    rent(stack)
    install(stack)
    chapter("One tenant")
    copied = adopt(stack)
    began = time.monotonic()
    with asking(LOGIN, stack.net) as client:
        switched = fail_over(stack, client)
        looked_at(stack)
        returned = fail_back(stack, client)
    say(f"the client asked {len(client.seen)} times in {time.monotonic() - began:.0f} s")
    report(copied, switched, returned, client)
    epilogue(cluster, down=down)


def rent(stack: Stack) -> None:
    """Two SCIM directories, one full and one empty."""
    people = world.scim_dump(users=300, groups=30)
    full = RentedSystem(PRIMARY.name, PRIMARY.kind, PRIMARY.host, PRIMARY.token, people)
    stack.rent(full, SECONDARY)
    stack.ready()
    say(
        f"two SCIM directories (scim2-server) run: {PRIMARY.endpoint} with 300 users and 30 groups, {SECONDARY.endpoint} empty"
    )


def install(stack: Stack) -> None:
    """The operator from its chart."""
    begin = time.monotonic()
    stack.install(["*.saas.test", "*.acme.test"])
    say(f"helm installed the operator, two replicas ready ({time.monotonic() - begin:.1f} s)")


def manifests() -> list[Object]:
    """What the platform engineer writes."""
    nightly = tenants.policy("nightly", schedule={"cron": "0 2 * * *", "timeZone": "UTC"})
    sync = {"policyRef": {"name": "nightly"}}
    routes = [tenants.managed("login.acme.test")]
    return [nightly, tenants.tenant("acme", PRIMARY, SECONDARY, "login.acme.test", routes, sync=sync)]


def adopt(stack: Stack) -> Comparison:
    """Apply policy and tenant, and wait for the first copy."""
    stack.certificate("login-tls", "login.acme.test")
    wanted = manifests()
    show("kubectl apply -f - <<EOF\n" + "---\n".join(yaml.safe_dump(m, sort_keys=False) for m in wanted) + "EOF")
    begin = time.monotonic()
    stack.apply(*wanted)
    acme = stack.api.wait("BCPTenant", TEAM, "acme", _synced, "the first sync has ended", 120)
    run = acme["status"]["sync"]["lastRun"]
    took = time.monotonic() - begin
    assert run["result"] == "Succeeded", f"the first sync ended {run['result']}: {run.get('message', '')}"
    say(
        f"the first sync ran at once and took {run.get('seconds', 0):.1f} s ({took:.1f} s with its pod): {_counts(run)}"
    )
    copied = compare(stack.directory("primary"), stack.directory("secondary"))
    assert copied.equal, f"the copy differs: {copied.differences[:5]}"
    say(
        f"an independent reader compared both: {copied.users} users, {copied.groups} groups, {copied.memberships} memberships equal"
        ", under different IDs"
    )
    stack.api.wait("BCPTenant", TEAM, "acme", lambda t: _condition(t, "Ready") == "True", "the tenant is Ready", 60)
    return copied


def _synced(tenant: Object) -> bool:
    run = (tenant.get("status") or {}).get("sync", {}).get("lastRun", {})
    return bool(run.get("result", "Running") != "Running")


def _condition(tenant: Object, kind: str) -> str:
    conditions = (tenant.get("status") or {}).get("conditions", [])
    return next((str(c["status"]) for c in conditions if c["type"] == kind), "")


def _counts(run: Object) -> str:
    return ", ".join(f"{n} {what}" for what, n in run.get("counts", {}).items() if n) or "nothing to do"


def fail_over(stack: Stack, client: Client) -> Object:
    """The primary dies; one field sends everybody to the secondary."""
    chapter("The disaster")
    client.wait("PRIMARY", 0, 10)
    say(f"a client keeps opening {LOGIN}, follows the redirect and reads the page: PRIMARY")
    stack.kill("primary")
    died = time.monotonic()
    client.wait("unreachable", died - 1, 20)
    until(lambda: client.seen[-1].at > died + NOTICED_SECONDS, "somebody notices", 30)
    say(f"the primary is dead; for {NOTICED_SECONDS:.0f} s now the client is sent there and finds no page")
    command = ["patch", "bcptenant", "acme", "--type=merge", "-p", '{"spec":{"failover":{"activeSystem":"Secondary"}}}']
    show(f"kubectl -n {TEAM} patch bcptenant acme --type=merge -p '{command[-1]}'")
    begin = time.monotonic()
    stack.kubectl(*command)
    seen = client.wait("SECONDARY", begin, 30)
    say(f"the client reads: SECONDARY, {seen.at - begin:.2f} s after the command was started")
    acme = stack.api.wait("BCPTenant", TEAM, "acme", _at("Secondary"), "the failover is completed", 30)
    done: Object = acme["status"]["lastOperation"]
    say(
        f"the operator measured {done['rtoSeconds']:.2f} s, recovery point {done.get('recoveryPointAgeSeconds', 0):.0f} s old"
    )
    return done | {"clientSeconds": seen.at - begin}


def _at(system: str) -> Callable[[Object], bool]:
    def there(tenant: Object) -> bool:
        status = tenant.get("status") or {}
        finished = status.get("lastOperation", {}).get("result") == "Completed" and "operation" not in status
        return bool(finished and status.get("activeSystem") == system)

    return there


def looked_at(stack: Stack) -> None:
    """What one sees while failed over."""
    show(stack.kubectl("get", "bcptenant,cronjob,lease").stdout)
    assert stack.api.get("CronJob", TEAM, "acme-sync") is None, "a CronJob exists while failed over"
    say("the sync is fenced: no CronJob, and the writer Lease is held by the operation")


def fail_back(stack: Stack, client: Client) -> Object:
    """The primary comes back; the way back asks for more than the way out."""
    chapter("The way back")
    stack.revive("primary")
    back = time.monotonic()
    until(lambda: client.seen[-1].at > back + NOTICED_SECONDS, "somebody is sure of it", 30)
    say(
        f"the primary is back, for {NOTICED_SECONDS:.0f} s now; users stay on the secondary until somebody says otherwise"
    )
    careless = '{"spec":{"failover":{"activeSystem":"Primary"}}}'
    refused = stack.kubectl("patch", "bcptenant", "acme", "--type=merge", "-p", careless, check=False)
    assert refused.returncode, "a failback without a newer requestedAt was let through"
    show(f"kubectl -n {TEAM} patch bcptenant acme --type=merge -p '{careless}'\n{refused.stderr.strip()}")
    begin = time.monotonic()
    stack.patch("acme", tenants.failback(reason="primary restored"))
    seen = client.wait("PRIMARY", begin, 30)
    say(f"with requestedAt and secondaryChanges: Discard the client reads PRIMARY after {seen.at - begin:.2f} s")
    acme = stack.api.wait("BCPTenant", TEAM, "acme", _at("Primary"), "the failback is completed", 30)
    stack.api.wait("CronJob", TEAM, "acme-sync", lambda _: True, "the CronJob is back", 30)
    done: Object = acme["status"]["lastOperation"]
    return done | {"clientSeconds": seen.at - begin}


def report(copied: Comparison, switched: Object, returned: Object, client: Client) -> None:
    """The table."""
    chapter("What happened")
    pages = Counter(s.page for s in client.seen if not s.error)
    expected = ["PRIMARY", "unreachable", "SECONDARY", "PRIMARY"]
    table(
        [
            (
                "synced",
                f"{copied.users} users, {copied.groups} groups, {copied.memberships} memberships; differences: 0",
            ),
            ("failover, operator's rtoSeconds", f"{switched['rtoSeconds']:.3f} s"),
            ("failover, seen by the client", f"{switched['clientSeconds']:.3f} s (with the start of kubectl)"),
            ("recovery point age at failover", f"{switched.get('recoveryPointAgeSeconds', 0):.1f} s"),
            ("failback, operator's rtoSeconds", f"{returned['rtoSeconds']:.3f} s"),
            ("failback, seen by the client", f"{returned['clientSeconds']:.3f} s"),
            ("pages read, in order", " -> ".join(client.pages)),
            ("answers seen", ", ".join(f"{n} x {page}" for page, n in pages.items())),
            ("errors of the login URL", str(len(client.errors))),
            ("HTTP statuses of the login URL", ", ".join(map(str, sorted(client.statuses)))),
        ]
    )
    assert not client.errors, f"the login URL gave errors: {client.errors[:3]}"
    assert client.pages == expected, f"expected the pages {expected}, the client read {client.pages}"


def epilogue(cluster: Cluster, *, down: bool) -> None:
    """Where to go from here."""
    if down:
        cluster.down()
        say("the cluster is down, nothing of it is left")
        return
    show(
        "look around:    eval $(.venv/bin/python -m tests.cluster env)\n"
        f"                kubectl -n {TEAM} get bcptenants,syncpolicies,cronjobs,jobs,leases\n"
        f"                kubectl -n {TEAM} get bcptenant acme -o yaml\n"
        f"                kubectl -n {TEAM} get configmap acme-report -o yaml\n"
        f"                kubectl -n {OPERATOR} logs deployment/bcp-operator\n"
        'switch again:   kubectl -n team-a patch bcptenant acme --type=merge -p \'{"spec":{"failover":{"activeSystem":"Secondary"}}}\'\n'
        "login page:     curl --cacert $BCP_CA_FILE --connect-to ::$BCP_FORWARD_HTTPS -si https://login.acme.test/\n"
        "shut down:      make down"
    )
