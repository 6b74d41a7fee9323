"""A simulator of CXone's public API, for tests: the part of it that a copy of one tenant to another needs.

Built from the project's reference notes on the vendor's API, never from a live tenant. Every route names the section of
those notes that it was built from (`cite`); "client" beside it means the shape of the answer was read in the public
TypeScript client that section 2.1 names, and "assumed" that nobody says and the simplest was taken.

    with start_cxone(seed=1) as primary, start_cxone(seed=2) as secondary:
        ... primary.base ... primary.dump() ... secondary.faults.throttle("POST", "/skills", times=1)
"""

from tests.systems.cxone.server import Simulator, start_cxone

__all__ = ["Simulator", "start_cxone"]
