"""What the sync of a tenant should consist of, or why there can't be any. Pure: nothing here reads or writes."""

from datetime import datetime

from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.continuity import divergence, durations, schedule
from bcp_operator.continuity.observed import Now, Observed, Problem, WriterView
from bcp_operator.kube import jobs as manifests
from bcp_operator.systems.hosts import HostPolicy, HostRefused

from .sight import Surroundings, Tenant
from .state import TenantState


def sync_objects(
    tenant: Tenant,
    policy: SyncPolicySpec | None,
    lease: WriterView | None,
    state: TenantState,
    *,
    around: Surroundings,
    now: Now,
) -> tuple[Problem | None, manifests.SyncObjects | None]:
    """The objects that the sync should have, or why there can't be any; neither while it may not run anyway."""
    if not tenant.spec.sync.enabled:
        return None, None
    problem = _problem(tenant, policy, around)
    if problem is not None or policy is None or tenant.switching or (lease is not None and lease.fenced):
        return problem, None  # nothing is built for a sync that may not run now
    wanted = _build(tenant, policy, lease, around.image, now)
    if state.refused_sync is not None and state.refused_sync[0] == wanted.digest:
        return Problem("SyncRefused", f"the API server refused the sync's objects: {state.refused_sync[1]}"), None
    return None, wanted


def comparison_objects(seen: Observed, image: manifests.Image, at: datetime) -> manifests.ComparisonObjects | None:
    """What a look for changes in the secondary needs; None while its policy is not known."""
    if seen.policy is None:
        return None
    owner = manifests.Owner(seen.namespace, seen.name, seen.uid)
    return manifests.comparison(owner, seen.spec, seen.policy, _timeout_seconds(seen.policy), image, asked_at=at)


def refused(spec: BCPTenantSpec, hosts: HostPolicy) -> Problem | None:
    """A page that users may not be sent to, or a login host that may not be asked: nothing is done outside."""
    return _not_allowed(
        hosts,
        {
            "primary.loginURL": spec.primary.login_url,
            "secondary.loginURL": spec.secondary.login_url,
            "login.url": spec.login.url,
        },
    )


def _problem(tenant: Tenant, policy: SyncPolicySpec | None, around: Surroundings) -> Problem | None:
    sync = tenant.spec.sync
    if policy is None:
        name = sync.policy_ref.name if sync.policy_ref else ""
        return Problem("PolicyNotFound", f"SyncPolicy {name} does not exist in this namespace")
    return _endpoints_refused(tenant.spec, around.hosts) or schedule.check(sync, policy)


def _build(
    tenant: Tenant, policy: SyncPolicySpec, lease: WriterView | None, image: manifests.Image, now: Now
) -> manifests.SyncObjects:
    recorded = tenant.status.sync.enabled_at if tenant.status.sync else None
    enabled_at = (lease.enabled_at if lease else None) or recorded or now.wall
    when = schedule.resolve(tenant.spec.sync, policy, enabled_at, f"{tenant.key.namespace}/{tenant.key.name}")
    timing = manifests.Timing(
        when.cron,
        when.time_zone,
        tenant.spec.suspend or policy.suspend,
        _timeout_seconds(policy),
    )
    owner = manifests.Owner(tenant.key.namespace, tenant.key.name, tenant.obj["metadata"]["uid"])
    review = divergence.unreviewed(tenant.status)
    return manifests.build(owner, tenant.spec, policy, timing, image, review=review)


def _timeout_seconds(policy: SyncPolicySpec) -> int:
    return max(1, int(durations.parse(policy.limits.timeout).total_seconds()))


def _endpoints_refused(spec: BCPTenantSpec, hosts: HostPolicy) -> Problem | None:
    """An endpoint that may not be contacted stops the sync alone: a switch needs no endpoint."""
    return _not_allowed(
        hosts, {"primary.endpoint": spec.primary.endpoint, "secondary.endpoint": spec.secondary.endpoint}
    )


def _not_allowed(hosts: HostPolicy, urls: dict[str, str]) -> Problem | None:
    for name, url in urls.items():
        try:
            hosts.check_url(url)
        except HostRefused as error:
            return Problem("HostNotAllowed", f"spec.{name}: {error}")
    return None
