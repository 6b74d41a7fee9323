"""The spool: what a look-up costs doesn't depend on how much there is."""

from __future__ import annotations

import pytest
from bcp_operator.sync.spool import Spool
from bcp_operator.sync.world import Head

FEW, MANY = 50, 5000


def filled(number: int) -> Spool:
    spool = Spool()
    heads = [Head(f"i{n}", f"k{n}", f"m{n}" if n % 2 else None, False, "h") for n in range(number)]
    for side in ("primary", "secondary"):
        spool.add(side, "person", [(head, {"login": head.key}) for head in heads])
    return spool


def steps(spool: Spool, look_up: str, wanted: str) -> int:
    """Steps of SQLite's machine for one look-up."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    spool._db.set_progress_handler(step, 1)
    try:
        found = getattr(spool, look_up)("secondary", "person", wanted)
    finally:
        spool._db.set_progress_handler(None, 0)
    assert [head.id for head in ([found] if isinstance(found, Head) else found)] == [f"i{wanted[1:]}"]
    return count


@pytest.mark.parametrize(("look_up", "wanted"), [("with_key", "k49"), ("with_marker", "m49"), ("head", "i49")])
def test_a_look_up_costs_the_same_among_many(look_up: str, wanted: str) -> None:
    few, many = filled(FEW), filled(MANY)
    assert steps(many, look_up, wanted) <= 2 * steps(few, look_up, wanted)
    few.close()
    many.close()
