"""Durations as the resources write them: 26h, 10m, 1h30m."""

import re
from datetime import timedelta

_GO = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?")
LONGEST = timedelta(days=36500)


def parse(text: str) -> timedelta:
    """Read hours, minutes and seconds; what the schema lets through never fails, and is at most a century."""
    match = _GO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration like 26h or 1h30m")
    parts = {unit: min(int(value), 10**12) for unit, value in match.groupdict(default="0").items()}
    seconds = parts["hours"] * 3600 + parts["minutes"] * 60 + parts["seconds"]
    return min(LONGEST, timedelta(seconds=min(seconds, int(LONGEST.total_seconds()))))
