"""Rebuild mode: an empty store beside a secondary that is not empty.

Either the correlations were lost, or somebody has filled the secondary before the first copy. Nobody can tell, and a
create too many is a duplicate: entities are found again by marker and natural key, and nothing is made until approved.
"""

from collections.abc import Collection

from .correlations.store import Store
from .world import World

_NOTE = "rebuild:"  # kept among the types whose copy is done; no type has a colon in its name


def rebuilt_types(chosen: Collection[str], world: World, store: Store, *, keep: bool) -> frozenset[str]:
    """Types in this mode: from a run that finds the store empty until one comes to its end with no create withheld.

    `keep`: note it in the store, before the first adoption makes the store look as if nothing had been lost. Raises
    StoreError.
    """
    new = sorted(name for name in chosen if not store.copied(name))
    if next(store.rows(), None) is None and any(world.count("secondary", name) for name in new):
        if keep:
            store.set_copied(f"{_NOTE}{name}" for name in new)
        return frozenset(new)
    return frozenset(name for name in new if store.copied(f"{_NOTE}{name}"))
