"""Fixtures of the tests with systems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systems.cxone.pair import Pair, start_pair


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two CXone tenants, one with a company of 4 people (or of as many as the test says) in it."""
    with start_pair(tmp_path, people=getattr(request, "param", 4)) as both:
        both.sync(entities=["hiringSource"])  # something is known, so that what is missing may be made unasked
        yield both
