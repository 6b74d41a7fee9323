"""`bcp-sync profile check`: what is wrong with a profile, and what it can read from a live system. Never writes."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcp_operator.api.run import RunLimits, RunSystem
from bcp_operator.systems import paths
from bcp_operator.systems.auth import CredentialsError, credential_keys, read_credentials
from bcp_operator.systems.body import as_text
from bcp_operator.systems.catalog import ProfileError, parse
from bcp_operator.systems.client import ReadOnlyClient
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.profile import Profile

from .config import ConfigError
from .connect import connected
from .read import ListingError, Reader, read_listing
from .spool import Spool

CONCURRENCY = 4


@dataclass
class TypeSeen:
    """What was read of one type; numbers of entities."""

    type: str
    entities: int = 0
    seconds: float = 0.0
    out_of_use: int = 0
    without_key: int = 0
    keys_twice: int = 0
    fields: dict[str, int] = field(default_factory=dict)  # compared fields -> how many entities have it
    dangling: dict[str, int] = field(default_factory=dict)  # references -> how many lead nowhere
    filter: str = ""  # what became of asking for one entity by its key
    error: str = ""

    def lines(self) -> Iterator[str]:
        """In words."""
        if self.error:
            yield f"{self.type}: {self.error}"
            return
        counts = {
            "out of use": self.out_of_use,
            "without a key": self.without_key,
            "of a key that others have too": self.keys_twice,
        }
        more = "".join(f", {number} {what}" for what, number in counts.items() if number)
        yield f"{self.type}: {self.entities} read in {self.seconds:.1f} s{more}"
        if self.fields:
            yield "  compared: " + ", ".join(f"{name} ({number})" for name, number in sorted(self.fields.items()))
        for name, number in sorted(self.dangling.items()):
            yield f"  reference {name}: {number} lead nowhere"
        if self.filter:
            yield f"  find: {self.filter}"


def read_profile(file: Path) -> Profile:
    """The profile in a file. Raises ConfigError."""
    try:
        return parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{file}: can't be read") from None
    except ProfileError as error:
        raise ConfigError(str(error)) from None


def check_against(profile: Profile, system: RunSystem, limits: RunLimits) -> list[TypeSeen]:
    """Read everything that the profile describes, and say what was found. Raises ConfigError."""
    try:
        credentials = read_credentials(profile.auth, Path(system.credentials_dir))
    except CredentialsError as error:
        raise ConfigError(str(error)) from None
    return asyncio.run(_check(profile, system, limits, credentials))


async def _check(profile: Profile, system: RunSystem, limits: RunLimits, credentials: dict[str, str]) -> list[TypeSeen]:
    spool = Spool()
    try:
        async with connected(profile, system, limits, credentials) as session:
            client = ReadOnlyClient(session)
            seen = [await _read(client, profile, spool, name) for name in sorted(profile.types)]
        for one in seen:
            if not one.error:
                _judge(profile, spool, one)
        return seen
    finally:
        spool.close()


async def _read(client: ReadOnlyClient, profile: Profile, spool: Spool, name: str) -> TypeSeen:
    kind = profile.types[name]
    reader, seen, began = Reader(kind, kind, kind), TypeSeen(name), time.monotonic()
    try:
        seen.entities = await read_listing(client, reader, spool, "primary", name)
        seen.seconds = round(time.monotonic() - began, 3)
        seen.filter = await _filtered(client, reader, spool, name)
    except (ListingError, CallFailed) as error:
        seen.error = str(error)
    return seen


async def _filtered(client: ReadOnlyClient, reader: Reader, spool: Spool, name: str) -> str:
    """Ask for one listed entity by its key."""
    head = next((head for head in spool.heads("primary", name) if head.key is not None), None)
    if head is None or head.key is None:
        return ""
    found = await client.find(name, head.key)
    if found is None:
        return ""
    heads = [reader.entity(raw)[0] for raw in found]
    if any(other.key != head.key for other in heads):
        return "the filter is ignored: the whole listing will be read instead"
    return (
        "works"
        if any(other.id == head.id for other in heads)
        else "the filter finds nothing: the whole listing will be read"
    )


def _judge(profile: Profile, spool: Spool, seen: TypeSeen) -> None:
    """Keys, fields and references of a listing that was read."""
    kind = profile.types[seen.type]
    keys: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    for head in spool.heads("primary", seen.type):
        seen.out_of_use += head.inactive
        seen.without_key += head.key is None
        keys.update([head.key] if head.key is not None else [])
        body = spool.body("primary", seen.type, head.id)
        fields.update(body.keys())
        for path, reference in kind.reference_paths:
            for value in paths.values(body, path):
                if value is not None and not _leads(spool, reference, as_text(value)):
                    seen.dangling[reference.path] = seen.dangling.get(reference.path, 0) + 1
    seen.keys_twice = sum(number for number in keys.values() if number > 1)
    seen.fields = dict(fields)


def _leads(spool: Spool, reference: Any, value: str) -> bool:
    if reference.id is None:
        return any(spool.head("primary", name, value) for name in reference.to)
    return any(spool.id_of("primary", name, reference.id, value) for name in reference.to)


def show(file: Path, profile: Profile, seen: list[TypeSeen] | None, output: str) -> None:
    """Print what was found."""
    keys = credential_keys(profile.auth)
    if output == "json":
        found = None if seen is None else [{k: v for k, v in vars(one).items() if v != ""} for one in seen]
        print(json.dumps({"types": sorted(profile.types), "credentials": keys, "read": found}))
        return
    print(f"{file}: fine; types {', '.join(sorted(profile.types))}; credentials: {', '.join(keys) or 'none'}")
    for one in seen or ():
        print("\n".join(one.lines()))
