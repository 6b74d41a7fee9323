"""How Kopf is embedded."""

import getpass
from typing import Any

import kopf
import pytest
from bcp_operator.controllers import main
from bcp_operator.controllers.config import parse


class NoWatches:
    """Nothing to watch."""

    def registry(self) -> kopf.OperatorRegistry:
        return kopf.OperatorRegistry()


async def test_kopf_is_told_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it looks for the name of user 65532, whom no image knows, and ends."""
    given: dict[str, Any] = {}

    async def operator(**kwargs: Any) -> None:
        given.update(kwargs)

    monkeypatch.setattr(kopf, "operator", operator)
    monkeypatch.setattr(getpass, "getuser", lambda: pytest.fail("nobody knows that user"))
    environment = {
        "WATCH_NAMESPACES": "team-a",
        "POD_NAMESPACE": "bcp-system",
        "POD_NAME": "bcp-operator-0",
        "BCP_SYNC_IMAGE": "localhost/bcp-operator:dev",
        "ALLOWED_HOSTS": "*",
    }
    await main._watch(parse([], environment), NoWatches())  # type: ignore[arg-type]
    assert given["identity"] == "bcp-operator-0"
    assert given["standalone"] is True
