"""Which tenants name the same systems and login hosts: an index over all watched namespaces, judged tenant by tenant."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace

from bcp_operator.continuity import claims
from bcp_operator.continuity.claims import Claim
from bcp_operator.continuity.observed import Problem
from bcp_operator.kube.client import TENANT, Kube, Object

from .queue import Key


@dataclass(frozen=True)
class Judgement:
    """What a tenant holds from now on, by key; and why it may not do anything, if it may not."""

    held: tuple[str, ...]
    problem: Problem | None = None


class Claims:
    """Knows every tenant that the watches have brought.

    Before a tenant is given something for the first time, all tenants are read once: the watches of another namespace
    may not have begun yet. A restart over tenants that hold what they name reads nothing.
    """

    def __init__(self, kube: Kube, namespaces: tuple[str, ...]) -> None:
        self._kube = kube
        self._namespaces = namespaces
        self._claims: dict[Key, Claim] = {}
        self._by_name: dict[str, set[Key]] = defaultdict(set)
        self._complete = False
        self._gone: set[str] = set()
        self._reading = asyncio.Lock()

    def put(self, obj: Object) -> set[Key]:
        """Take note of a tenant; the answer is who else may be touched by what changed."""
        key = _key(obj)
        known, claim = self._claims.get(key), claims.read(obj)
        if known is not None and known.uid == claim.uid:  # given a moment ago, and not in this status yet
            claim = replace(claim, held=claim.held | (known.held & claim.names.keys()))
        if claim == known:
            return set()
        touched = self._rivals(known, key) if known is not None else set()
        self._forget(key)
        self._claims[key] = claim
        for name in claim.names:
            self._by_name[name].add(key)
        return touched | self._rivals(claim, key)

    def drop(self, obj: Object) -> set[Key]:
        """A tenant is gone; the answer is who may have what it held."""
        key = _key(obj)
        if not self._complete:
            self._gone.add(obj["metadata"]["uid"])
        known = self._claims.get(key)
        self._forget(key)
        return self._rivals(known, key) if known is not None else set()

    async def judge(self, key: Key, obj: Object) -> Judgement:
        """Give a tenant what it names, or say who has it. Raises KubeError when the tenants can't be read."""
        self.put(obj)
        if not self._claims[key].settled and not self._complete:
            await self._read_all()
        judged = self._judged(key)
        if judged.problem is None and key in self._claims:
            claim = self._claims[key]
            self._claims[key] = replace(claim, held=frozenset(claim.names))
            return Judgement(tuple(sorted(claim.names)))
        return judged

    def known(self, key: Key, obj: Object) -> Judgement:
        """The same by what is known, giving nothing: for a tenant that goes."""
        self.put(obj)
        return self._judged(key)

    def _judged(self, key: Key) -> Judgement:
        claim = self._claims.get(key)
        if claim is None:  # deleted meanwhile
            return Judgement(())
        others = self._connected(key)
        text = claims.taken(claim, others) if others else ""
        if text:
            advice = "this tenant does nothing until one of the two no longer names it"
            return Judgement(tuple(sorted(claim.held)), Problem("SystemClaimed", f"{text}: {advice}"))
        return Judgement(tuple(sorted(claim.held)))

    async def _read_all(self) -> None:
        async with self._reading:
            if self._complete:
                return
            for namespace in self._namespaces:
                for obj in await self._kube.list(TENANT, namespace):
                    if _key(obj) not in self._claims and obj["metadata"]["uid"] not in self._gone:
                        self.put(obj)
            self._complete = True
            self._gone.clear()

    def _connected(self, key: Key) -> list[Claim]:
        """Everybody who shares something with it, or with one who does: only they can matter."""
        found, left = {key}, [key]
        while left:
            near = self._rivals(self._claims[left.pop()], key) - found
            found |= near
            left += near
        return [self._claims[other] for other in sorted(found - {key})]

    def _rivals(self, claim: Claim, key: Key) -> set[Key]:
        return {other for name in claim.names for other in self._by_name.get(name, ())} - {key}

    def _forget(self, key: Key) -> None:
        known = self._claims.pop(key, None)
        for name in known.names if known is not None else ():
            self._by_name[name].discard(key)
            if not self._by_name[name]:
                del self._by_name[name]


def _key(obj: Object) -> Key:
    return Key("tenant", obj["metadata"]["namespace"], obj["metadata"]["name"])
