"""Writes that were refused because a value they set is another entity's: in which order they go through. Pure.

A write waits for those that give up what it wants. Where entities wait for each other in a ring (two that swap their
names), one of them has to step aside: for a moment it takes a value that nobody wants.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bcp_operator.systems.content import Content

from .plan import desired_content
from .world import Action, Scope, World

Value = tuple[str, str, str]  # type, field, value

PREFIX = "bcp"
MAX_LENGTH = 64  # of a value that is made longer; systems have their limits


@dataclass(frozen=True, slots=True)
class Claim:
    """What a write takes for its entity, and what it gives up."""

    wants: frozenset[Value] = frozenset()
    holds: frozenset[Value] = frozenset()


def claim(type_name: str, wanted: Content, current: Content | None = None) -> Claim:
    """What a write claims. `current` is what the secondary holds of the entity; None: it is to be made.

    Only plain fields can be told apart; two spellings that differ in case alone count as one.
    """
    takes, has = _values(type_name, wanted), _values(type_name, current or {})
    return Claim(takes - has, has - takes)


def claim_of(scope: Scope, world: World, action: Action) -> Claim:
    """What a planned write claims."""
    wanted = desired_content(scope, world, action.type, action.primary_id or "").content
    match = world.match(action.type, action.primary_id or "")
    if match is None or match.secondary_id is None:
        return claim(action.type, wanted)
    return claim(action.type, wanted, world.body("secondary", action.type, match.secondary_id))


class Contention:
    """Claims that are not settled yet, by their numbers."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        holder = {value: number for number, one in enumerate(claims) for value in one.holds}
        self._awaited: dict[int, dict[int, list[str]]] = {}  # who waits -> for whom -> for which of its fields
        self._waiting: defaultdict[int, set[int]] = defaultdict(set)  # the other way round
        for number, one in enumerate(claims):
            others = self._awaited[number] = {}
            for value in sorted(one.wants & holder.keys()):
                if holder[value] != number:
                    others.setdefault(holder[value], []).append(value[1])
                    self._waiting[holder[value]].add(number)

    def __bool__(self) -> bool:
        return bool(self._awaited)

    def ready(self) -> list[int]:
        """Those that wait for none of the others."""
        return [number for number, others in self._awaited.items() if not others]

    def settle(self, numbers: Iterable[int]) -> None:
        """These were tried, and are no longer in anybody's way that could be helped."""
        for number in numbers:
            self._free(number)
            del self._awaited[number]

    def step_aside(self) -> tuple[int, list[str]]:
        """Let one out of a ring give up what others wait for: its number, and the fields. Only where none is ready."""
        seen: list[int] = []
        number = next(iter(self._awaited))
        while number not in seen:
            seen.append(number)
            number = next(iter(self._awaited[number]))
        fields = {field for waiting in self._waiting[number] for field in self._awaited[waiting][number]}
        self._free(number)
        return number, sorted(fields)

    def _free(self, number: int) -> None:
        for waiting in self._waiting.pop(number, ()):
            self._awaited[waiting].pop(number)


def aside(value: str, mark: str) -> str:
    """A value that nobody wants, in place of another; it still ends like that one, as an address ends in its domain."""
    prefix = f"{PREFIX}-{mark[:8]}-"
    return prefix + (value if len(prefix + value) <= MAX_LENGTH else value[len(prefix) :])


def _values(type_name: str, content: Content) -> frozenset[Value]:
    plain = {name: part for name, part in content.items() if isinstance(part, str) and part}
    return frozenset((type_name, name, part.casefold()) for name, part in plain.items())
