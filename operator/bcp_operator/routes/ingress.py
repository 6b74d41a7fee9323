"""Redirect by an annotation on an Ingress: an object of our own (Managed) or one key on somebody else's (Adopted).

Managed redirects in both states, so that users who know the login URL always land on the active system's page.
Adopted serves the primary as its owner built it; our key is there only while the secondary is active.
Objects carry labels and never an ownerReference: garbage collection must not delete a login URL.
"""

from typing import Any

from bcp_operator.api.common import System
from bcp_operator.api.tenant import IngressRoute
from bcp_operator.api.tenant_status import ActiveSystem
from bcp_operator.continuity.dialects import DIALECTS, Dialect, IngressSetup
from bcp_operator.kube.client import INGRESS, Kube, Object
from bcp_operator.kube.errors import KubeError
from bcp_operator.systems.hosts import HostPolicy, host_of

from .base import Context, Observation, RouteError, Target, Verification, normalised
from .objects import ANNOTATION_SHOWS
from .ownership import owned_keys, owners_of
from .redirect import Redirect, redirects

__all__ = ["AdoptedIngress", "ManagedIngress"]

BACKEND_NAME = "bcp-operator-redirect"
"""Service that the schema wants beside the redirect. It need not exist, the redirect answers first (tried on Traefik
3.7); a backend that is a resource, or a rule without paths, gives a 404 there."""


class _IngressDriver(Redirect):
    """What both modes share: reading, and writing on condition."""

    def __init__(
        self, name: str, route: IngressRoute, context: Context, kube: Kube, hosts: HostPolicy, *, setup: IngressSetup
    ) -> None:
        super().__init__(name, f"Ingress {route.name}", context, kube, hosts)
        self._route, self._setup = route, setup

    async def observe(self) -> Observation:
        """Read the Ingress."""
        try:
            found = await self._kube.get(INGRESS, self._context.tenant_namespace, self._route.name)
        except KubeError as error:
            return Observation(self.name, "Unknown", exists=False, error=f"cannot read Ingress: {error.message}")
        return self._absent() if found is None else self._seen(found)

    def _absent(self) -> Observation:
        raise NotImplementedError

    def _seen(self, found: Object) -> Observation:
        raise NotImplementedError

    def _side_of_value(self, value: str | None, dialect: Dialect) -> System | None:
        """Which side a redirect annotation of this value leads to."""
        wanted, urls = normalised(value), (self._context.primary_url, self._context.secondary_url)
        sides = [normalised(dialect.value(url)) for url in urls]
        if wanted is None or wanted not in sides:
            return None
        return "Primary" if wanted == sides[0] else "Secondary"

    def _unfit(self, dialect: Dialect) -> str | None:
        """Why the login pages can't be reached by this dialect."""
        context = self._context
        return dialect.problem(context.login.url, (context.primary_url, context.secondary_url))

    def _body(self, seen: Object | None, annotations: dict[str, str] | None = None, **parts: Any) -> Object:
        """What to apply, on the condition that the object is the one that was seen and still as it was."""
        metadata: Object = {"namespace": self._context.tenant_namespace, "name": self._route.name}
        if seen is not None:
            metadata |= {key: seen["metadata"][key] for key in ("uid", "resourceVersion")}
        if annotations:
            metadata["annotations"] = annotations
        metadata |= parts.pop("metadata", {})
        return {"metadata": metadata, **parts}


class ManagedIngress(_IngressDriver):
    """Our own Ingress: one host, one path, one redirect."""

    @property
    def _speaks(self) -> str:
        return self._setup.dialect(self._route.class_name)

    @property
    def _dialect(self) -> Dialect:
        return DIALECTS[self._speaks]

    def _absent(self) -> Observation:
        dialect = self._dialect
        return Observation(
            self.name,
            "Unknown",
            exists=False,
            conflict=self._refused(),
            path_preserved=dialect.path_preserved,
            dialect=self._speaks,
        )

    def _seen(self, found: Object) -> Observation:
        annotations = found["metadata"].get("annotations") or {}
        foreign = self._foreign_object(found, "choose another name, delete it, or use mode Adopted")
        hopeless = foreign or self._refused()
        conflict = hopeless or _rival(found, self._dialect)
        side = self._side_of_value(annotations.get(self._dialect.redirect_key), self._dialect)
        if side is None and any(owner.is_ours for owner in owners_of(found, self._dialect.redirect_key)):
            marked = annotations.get(ANNOTATION_SHOWS)
            side = marked if marked in ("Primary", "Secondary") else None
        shows: ActiveSystem = side or "Unknown"
        return Observation(
            self.name,
            shows,
            ours=foreign is None,
            in_place=side if side is not None and self._is_complete(found, side) else None,
            conflict=conflict,
            overridable=("Primary", "Secondary") if conflict and not hopeless else (),
            resource_version=found["metadata"]["resourceVersion"],
            path_preserved=self._dialect.path_preserved,
            dialect=self._speaks,
            state=found,
        )

    async def apply(self, target: Target, seen: Observation, *, override: bool = False) -> None:
        """See Driver.apply. An object of the same name that is not ours is never taken over, whatever is overridden."""
        if seen.error:
            raise RouteError(seen.error)
        if seen.exists and not seen.ours:
            raise RouteError(seen.conflict or f"Ingress {self._route.name} is not the operator's")
        unfit = self._refused()
        if unfit or (seen.conflict and not override):
            raise RouteError(unfit or seen.conflict)
        if seen.in_place == target.system:
            return
        self._check(target)
        found = seen.state if seen.exists else await self._create()
        # The object is ours as a whole, so a field that somebody patched by hand is set right: force.
        await self._write(self._kube.apply(INGRESS, self._wanted(target, found), force=True))

    async def restore(self, seen: Observation) -> None:
        """See Driver.restore: our Ingress stays, and shows the primary."""
        if seen.error:
            raise RouteError(seen.error)
        if seen.exists and seen.ours:
            await self.apply(self._context.target("Primary"), seen, override=True)

    async def verify(self, target: Target) -> Verification:
        """See Driver.verify: the login URL has to redirect to the target's page."""
        return await self._redirects_to(target)

    async def _create(self) -> Object:
        """Make the object without class and redirect, as no controller serves it, and only if there is none.

        What may be withdrawn later comes with the apply after it: what a create has set stays.
        Server-side apply alone can't say "only if absent": a stale leader could overwrite what its successor made.
        """
        body = self._body(None, metadata={"labels": self._labels()}, spec={"rules": self._rules()})
        return await self._write(self._kube.create(INGRESS, body))

    def _wanted(self, target: Target, found: Object | None) -> Object:
        redirect = {self._dialect.redirect_key: self._dialect.value(target.login_url), ANNOTATION_SHOWS: target.system}
        annotations = {**(self._route.annotations or {}), **redirect}
        return self._body(found, annotations, metadata={"labels": self._all_labels()}, spec=self._spec())

    def _refused(self) -> str | None:
        """Why this object may not be, or would not work, as it is asked for."""
        return self._setup.refused(self._route.annotations) or self._unfit(self._dialect)

    def _all_labels(self) -> dict[str, str]:
        return {**(self._route.labels or {}), **self._labels()}

    def _rules(self) -> list[Object]:
        backend = {"service": {"name": BACKEND_NAME, "port": {"number": 80}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        return [{"host": host_of(self._context.login.url), "http": {"paths": paths}}]

    def _spec(self) -> Object:
        tls: Object = {"hosts": [host_of(self._context.login.url)]}
        if self._route.tls_secret_name:
            tls["secretName"] = self._route.tls_secret_name
        spec: Object = {"rules": self._rules(), "tls": [tls]}
        if self._route.class_name:
            spec["ingressClassName"] = self._route.class_name
        return spec

    def _is_complete(self, found: Object, side: System) -> bool:
        wanted = self._wanted(self._context.target(side), None)
        maps = [
            (wanted["metadata"][name], found["metadata"].get(name) or {}, name) for name in ("labels", "annotations")
        ]
        return (
            found.get("spec") == wanted["spec"]
            and all(
                mine.items() <= there.items() and owned_keys(found, name) <= mine.keys() for mine, there, name in maps
            )
            and any(owner.is_ours for owner in owners_of(found, self._dialect.redirect_key))
        )


class AdoptedIngress(_IngressDriver):
    """Somebody else's Ingress: we add one annotation on the way out and withdraw it on the way back."""

    def _absent(self) -> Observation:
        message = f"Ingress {self._route.name} does not exist: create it, or use mode Managed"
        return Observation(self.name, "Unknown", exists=False, error=message)

    def _seen(self, found: Object) -> Observation:
        dialect = self._dialect_of(found)
        url = (found["metadata"].get("annotations") or {}).get(dialect.redirect_key)
        ours = any(owner.is_ours for owner in owners_of(found, dialect.redirect_key))
        # Beside a key of ours a rival, or a rule that is gone, is no reason to hold the way back up.
        conflict = self._foreign_value(found, dialect) or (None if ours else self._useless(found, dialect))
        shows: ActiveSystem = "Primary" if url is None and not conflict else "Unknown"
        if url is not None and (ours or conflict is None):
            shows = "Secondary"
        in_place: System | None = "Primary" if url is None else None
        if ours and url == dialect.value(self._context.secondary_url):
            in_place = "Secondary"
        return Observation(
            self.name,
            shows,
            ours=ours,
            in_place=None if conflict else in_place,
            conflict=conflict,
            overridable=("Secondary",) if conflict and not (self._elsewhere(found) or self._unfit(dialect)) else (),
            drift=self._drift(found, dialect) if shows == "Secondary" and in_place is None else None,
            resource_version=found["metadata"]["resourceVersion"],
            path_preserved=dialect.path_preserved,
            dialect=self._speaks(found),
            state=found,
        )

    async def apply(self, target: Target, seen: Observation, *, override: bool = False) -> None:
        """See Driver.apply. With override a foreign value of the redirect annotation is replaced by force.

        The way back is never refused: withdrawing what is ours takes nothing from anybody.
        """
        if seen.error:
            raise RouteError(seen.error)
        if seen.in_place == target.system:
            return
        if target.system == "Primary":
            await self._withdraw(seen)
            return
        dialect = self._dialect_of(seen.state)
        unfit = self._elsewhere(seen.state) or self._unfit(dialect)
        if unfit or (seen.conflict and not override):
            raise RouteError(unfit or seen.conflict)
        self._check(target)
        annotations = {dialect.redirect_key: dialect.value(target.login_url)}
        body = self._body(seen.state, annotations)
        # Whose the key is was judged above, for exactly the version that this is applied to. What the API server would
        # call a conflict beyond that is none: our older value set by kubectl (runbook), or an empty map of annotations.
        await self._write(self._kube.apply(INGRESS, body, force=True))

    async def restore(self, seen: Observation) -> None:
        """See Driver.restore: the object goes on as its owner built it, without our key."""
        if seen.error and seen.exists:
            raise RouteError(seen.error)
        if seen.exists and (seen.ours or seen.shows == "Secondary"):
            await self._withdraw(seen)

    async def verify(self, target: Target) -> Verification:
        """See Driver.verify: on the way back any answer is right that no longer leads to the secondary."""
        answer = await self._ask()
        if answer.status is None:
            return Verification(False, "Unknown", answer.detail)
        side: System = "Secondary" if redirects(answer) and self._side_of(answer.location) == "Secondary" else "Primary"
        return Verification(side == target.system, side, answer.detail)

    async def _withdraw(self, seen: Observation) -> None:
        """Apply nothing: what only we own goes. A key that a hand set beside us (runbook) has to be removed by name."""
        left = await self._write(self._kube.apply(INGRESS, self._body(seen.state)))
        dialect = self._dialect_of(seen.state)
        key = dialect.redirect_key
        owners = owners_of(left, key)
        url = (left["metadata"].get("annotations") or {}).get(key)
        if self._side_of_value(url, dialect) != "Secondary" or not all(o.is_ours or o.is_by_hand for o in owners):
            return
        await self._write(
            self._kube.patch_metadata(
                INGRESS,
                self._context.tenant_namespace,
                self._route.name,
                resource_version=left["metadata"]["resourceVersion"],
                annotations={key: None},
            )
        )

    def _foreign_value(self, found: Object, dialect: Dialect) -> str | None:
        url = (found["metadata"].get("annotations") or {}).get(dialect.redirect_key)
        if url is None:
            return None
        owners = owners_of(found, dialect.redirect_key)
        strangers = [owner for owner in owners if not owner.is_ours]
        if not strangers and owners:
            return None
        if self._side_of_value(url, dialect) == "Secondary" and all(owner.is_by_hand for owner in strangers):
            return None
        names = ", ".join(sorted({owner.manager for owner in strangers})) or "an unknown manager"
        return f"annotation {dialect.redirect_key} is set by {names}: remove it there"

    def _useless(self, found: Object, dialect: Dialect) -> str | None:
        """Why our key would not send the users of the login URL to the secondary, and nobody else anywhere."""
        return self._elsewhere(found) or self._unfit(dialect) or _rival(found, dialect)

    def _elsewhere(self, found: Object) -> str | None:
        host = host_of(self._context.login.url)
        if _serves(found, host):
            return None
        return f"{self._what} has no rule for {host}: name the Ingress that serves the login URL"

    def _drift(self, found: Object, dialect: Dialect) -> str:
        wanted, key = dialect.value(self._context.secondary_url), dialect.redirect_key
        return (
            f"annotation {key} (set by {_names(found, key)}) is not the operator's {wanted}: the object is yours, so set "
            f"it with kubectl annotate ingress {self._route.name} --overwrite {key}={wanted}"
        )

    def _speaks(self, found: Object) -> str:
        return self._setup.dialect((found.get("spec") or {}).get("ingressClassName"))

    def _dialect_of(self, found: Object) -> Dialect:
        return DIALECTS[self._speaks(found)]


def _serves(found: Object, host: str) -> bool:
    """Whether requests for a host reach this Ingress: by name, by a wildcard (one label), or because it takes all."""
    spec = found.get("spec") or {}
    hosts = [str(rule.get("host") or "") for rule in spec.get("rules") or []]
    wildcard = "*." + host.partition(".")[2]
    return any(name in ("", host, wildcard) for name in hosts) or (not hosts and bool(spec.get("defaultBackend")))


def _rival(found: Object, dialect: Dialect) -> str | None:
    """A redirect beside ours, or a status code that browsers keep for good."""
    annotations = found["metadata"].get("annotations") or {}
    for key in dialect.rivals:
        if key in annotations:
            return f"annotation {key} redirects too (set by {_names(found, key)}): remove it"
    code = annotations.get(dialect.code_key)
    if code is not None and code not in dialect.codes:
        allowed = ", ".join(sorted(dialect.codes))
        return (
            f"annotation {dialect.code_key} is {code[:16]!r} (set by {_names(found, dialect.code_key)}): use {allowed}"
        )
    return None


def _names(found: Object, key: str) -> str:
    return ", ".join(sorted({owner.manager for owner in owners_of(found, key)})) or "an unknown manager"
