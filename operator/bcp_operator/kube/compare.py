"""Whether live objects are what is wanted of them. Pure."""

from typing import Any

Manifest = dict[str, Any]


def retimed(live: Manifest, wanted: Manifest) -> bool:
    """Whether a CronJob would start runs at other times than it did.

    Kubernetes would make up at once for a time of the new schedule that has just passed, or passed while it was
    suspended: such a CronJob has to be made anew, its past forgotten.
    """
    times = ("schedule", "timeZone", "suspend")
    before, after = live.get("spec") or {}, wanted["spec"]
    return not after["suspend"] and any((before.get(name) or None) != (after[name] or None) for name in times)


def matches(live: Manifest | None, wanted: Manifest) -> bool:
    """Whether a live object carries everything that is wanted; what the API server or others added doesn't count."""
    return live is not None and _within(wanted, live)


def _within(wanted: Any, live: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key == "resources" or (_within(value, live[key]) if key in live else value in (None, False, "", {}, []))
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same_length = isinstance(live, list) and len(live) == len(wanted)
        return same_length and all(_within(one, other) for one, other in zip(wanted, live, strict=True))
    return bool(wanted == live)
