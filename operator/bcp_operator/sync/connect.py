"""Opening a session with one of the two systems, by run.yaml and its profile."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bcp_operator.api.run import RunLimits, RunSystem
from bcp_operator.systems.addresses import AddressError
from bcp_operator.systems.pace import Pace
from bcp_operator.systems.profile import Profile
from bcp_operator.systems.session import Gate, Session
from bcp_operator.systems.transport import Transport, open_client

from .config import ConfigError


@asynccontextmanager
async def connected(
    profile: Profile,
    system: RunSystem,
    limits: RunLimits,
    credentials: Mapping[str, str],
    gate: Gate | None = None,
) -> AsyncIterator[Session]:
    """A session with a system; without a gate it can't write. Raises ConfigError."""
    async with _transport(system, limits) as http:
        try:
            session = Session(
                profile,
                tenant_id=system.tenant_id,
                endpoint=system.endpoint,
                credentials=credentials,
                transport=http,
                pace=pace_of(limits, profile),
                gate=gate,
            )
        except AddressError as error:
            raise ConfigError(f"profile {system.profile}: {error}") from None
        yield session


def pace_of(limits: RunLimits, profile: Profile) -> Pace:
    """As fast as both the policy and the system allow."""
    rate, slots = profile.limits.requests_per_second, profile.limits.concurrency
    return Pace(
        min(limits.requests_per_second, rate or limits.requests_per_second),
        min(limits.concurrency, slots or limits.concurrency),
    )


def _transport(system: RunSystem, limits: RunLimits) -> Transport:
    try:
        return open_client(ca_file=system.ca_file, max_connections=limits.concurrency)
    except OSError as error:
        said = f"the CA bundle {system.ca_file} can't be read ({error.strerror}): caRef names a ConfigMap and its key"
        raise ConfigError(said) from None
    except ValueError as error:
        raise ConfigError(f"the CA bundle {system.ca_file}: {error}") from None
