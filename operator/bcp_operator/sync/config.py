"""Reading run.yaml, profiles and credentials; every mistake ends here, before anything is contacted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from bcp_operator.api.run import RunConfig, RunSystem
from bcp_operator.systems.auth import CredentialsError, read_credentials
from bcp_operator.systems.catalog import ProfileError, load
from bcp_operator.systems.profile import Profile

from .choice import Choice, ChoiceError, choices
from .correlations.store import StoreError

PROFILES = Path("/etc/bcp/profiles")


class ConfigError(Exception):
    """The run can't begin: run.yaml, a profile or credentials. The message says what to do."""


@dataclass(frozen=True)
class Setup:
    """Everything a run needs to know, checked."""

    config: RunConfig
    primary: Profile
    secondary: Profile
    primary_credentials: Mapping[str, str] = field(repr=False)
    secondary_credentials: Mapping[str, str] = field(repr=False)
    chosen: frozenset[str]
    choices: Mapping[str, Choice] = field(default_factory=dict)  # types of which the policy says more


def read_config(path: Path) -> RunConfig:
    """run.yaml. Raises ConfigError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(f"{path}{f' line {mark.line + 1}' if mark else ''}: not YAML") from None
    try:
        return RunConfig.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        lines = [
            f"{path}: {'.'.join(map(str, problem['loc'])) or 'run.yaml'}: {problem['msg']}" for problem in problems
        ]
        raise ConfigError("\n".join(lines)) from None


def prepare(config: RunConfig, profiles: Path = PROFILES) -> Setup:
    """Profiles, credentials and the choice of types. Raises ConfigError."""
    try:
        if config.store.postgresql is not None:
            from .correlations.postgresql import connection_parameters  # noqa: PLC0415 (SQLite needs no driver)

            connection_parameters(config.store.postgresql)
        primary = load(config.primary.profile, profiles)
        secondary = load(config.secondary.profile, profiles)
        return Setup(
            config,
            primary,
            secondary,
            _credentials(primary, config.primary),
            _credentials(secondary, config.secondary),
            chosen_types(config, primary, secondary),
            choices(config, primary),
        )
    except (ProfileError, CredentialsError, ChoiceError, StoreError) as error:
        raise ConfigError(str(error)) from None


def chosen_types(config: RunConfig, primary: Profile, secondary: Profile) -> frozenset[str]:
    """Types to sync: those that both profiles know, less what the policy leaves out. Raises ConfigError."""
    shared = primary.types.keys() & secondary.types.keys()
    known = {name for name in shared if not secondary.types[name].is_lookup}
    wanted = {one.type for one in config.entities or []}
    named = wanted | set(config.exclude or [])
    if named - known:
        raise ConfigError(
            f"no such entity type: {', '.join(sorted(named - known))}; known are {', '.join(sorted(known))}"
        )
    chosen = wanted if config.entities is not None else known - set(config.exclude or [])
    if not chosen:
        raise ConfigError("no entity type is left to sync; the profiles share none, or all are excluded")
    return frozenset(chosen)


def _credentials(profile: Profile, system: RunSystem) -> Mapping[str, str]:
    return read_credentials(profile.auth, Path(system.credentials_dir))
