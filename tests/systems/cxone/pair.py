"""Two tenants and a sync between them, run in this process with the profile under test."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from bcp_operator.api.run import RunConfig, RunReport
from bcp_operator.sync.config import prepare
from bcp_operator.sync.run import run

from tests.systems.cxone.reader import Comparison, compare
from tests.systems.cxone.server import Simulator, start_cxone
from tests.systems.cxone.tenant import IDS
from tests.systems.cxone.world import fill

BUILT_IN = resources.files("bcp_operator.systems") / "profiles" / "cxone.yaml"
READS = ("/search", "/token/access-key")  # POSTs that change nothing
# Scripts are looked up, and entries of standard address books stay (docs/cxone.md).
NOT_COPIED = frozenset({"script"})

LOOSE = {"maxRemovals": 1000, "maxRemovalPercent": 100, "maxUpdatePercent": 100, "maxCreatePercent": 100}
SKILLS = ["skill", "unavailableCode", "disposition", "campaign", "division"]
PEOPLE = ["user", "team", "agentSettings", "division", "unavailableCode"]

Document = dict[str, Any]


def take_out(*steps: str | int) -> Callable[[Document], None]:
    """A change of the profile: the part at these steps below `types` is gone."""

    def change(document: Document) -> None:
        place: Any = document["types"]
        for step in steps[:-1]:
            place = place[step]
        del place[steps[-1]]

    return change


def reasons(report: RunReport, type_name: str) -> dict[str, str]:
    """Why entities of a type were not synced, by key."""
    return {issue.key: issue.reason for issue in report.errors if issue.type == type_name}


@dataclass
class Pair:
    """A tenant with a company in it, an empty one, and what is needed to copy one to the other."""

    folder: Path
    primary: Simulator
    secondary: Simulator
    profile: str = "cxone"

    def without(self, change: Callable[[Document], Any]) -> Pair:
        """The same with a profile that lacks something: the built-in one after `change`."""
        document = copy.deepcopy(yaml.safe_load(BUILT_IN.read_text(encoding="utf-8")))
        change(document)
        (self.folder / "lacking.yaml").write_text(yaml.safe_dump(document))
        return Pair(self.folder, self.primary, self.secondary, "lacking")

    def config(self, **more: Any) -> RunConfig:
        """What bcp-sync is told."""
        systems = {name: self._system(name) for name in ("primary", "secondary")}
        document = {
            "tenant": {"namespace": "team", "name": "acme"},
            **systems,
            "store": {"sqlite": {"path": str(self.folder / "correlations.db")}},
            "limits": {"requestsPerSecond": 10000, "concurrency": 8},
            "mappings": [{"type": "pointOfContact", "field": "address", "values": self.numbers()}],
        } | more
        if "entities" in document:
            document["entities"] = [{"type": name} for name in document["entities"]]
        return RunConfig.model_validate({**document, "pair": "c" * 64})  # the same for every profile

    def _system(self, name: str) -> Document:
        simulator: Simulator = getattr(self, name)
        credentials = self.folder / name
        credentials.mkdir(exist_ok=True)
        (credentials / "access_key_id").write_text(simulator.tenant.identity.key_id)
        (credentials / "access_key_secret").write_text(simulator.tenant.identity.key_secret + "\n")
        (credentials / "token").write_text("a-token-of-last-week")
        return {
            "profile": self.profile,
            "tenantID": simulator.tenant.tenant_id,
            "endpoint": simulator.base,
            "insecure": True,
            "credentialsDir": str(credentials),
        }

    def numbers(self) -> dict[str, str]:
        """Numbers of the one tenant and their counterparts in the other."""
        return dict(zip(self.primary.tenant.phone_numbers, self.secondary.tenant.phone_numbers, strict=True))

    def sync(self, **more: Any) -> RunReport:
        """Run once."""
        return run(prepare(self.config(**more), self.folder))

    def compare(self) -> Comparison:
        """Both tenants as the independent reader sees them."""
        return compare(self.primary.dump(), self.secondary.dump(), without=NOT_COPIED)

    def written(self, simulator: Simulator | None = None) -> list[str]:
        """Requests that changed, or tried to change, the secondary (or the tenant given)."""
        return [
            f"{request.method} {request.target}"
            for request in (simulator or self.secondary).requests()
            if request.method != "GET" and not request.path.endswith(READS)
        ]

    def id_of(self, table: str, **fields: Any) -> Any:
        """ID in the secondary of the one row with these fields."""
        (row,) = self.secondary.tenant.find(table, **fields)
        return row[IDS[table][0]]


@contextmanager
def start_pair(folder: Path, people: int = 12) -> Iterator[Pair]:
    """Both tenants; the secondary has the scripts that the primary's skills and numbers name."""
    with start_cxone(1, "live") as primary, start_cxone(2, "standby") as secondary:
        fill(primary, people)
        for script in primary.dump()["script"]:
            secondary.tenant.add("script", {k: v for k, v in script.items() if k != "masterId"})
        yield Pair(folder, primary, secondary)
