"""Correlations as JSON lines: to keep a copy of them, and to carry them into another store.

A head names the pair and the version of the format, then one line per row, then a tail with their number: what was cut
off on its way is noticed and refused.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, Literal, TextIO

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from .correlations.store import Row, RowRefused, Status, Store, correlation_id

FORMAT: Literal["bcp-operator/correlations"] = "bcp-operator/correlations"
VERSION: Literal[1] = 1

_Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
_Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]


class ImportRefused(Exception):
    """The lines are not a whole export of this pair; nothing was changed. The message names the line."""


class _Line(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True)


class _Head(_Line):
    format: Literal["bcp-operator/correlations"]
    version: Literal[1]
    pair: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Entity(_Line):
    type: _Text
    primary_id: _Text = Field(alias="primaryID")
    secondary_id: _Text | None = Field(None, alias="secondaryID")
    correlation_id: _Text = Field(alias="correlationID")
    key: str | None = None
    primary_hash: _Hash | None = None
    secondary_hash: _Hash | None = None
    fields: dict[str, Annotated[list[_Hash | None], Field(min_length=2, max_length=2)]] = Field(default_factory=dict)
    status: Status


class _Tail(_Line):
    end: Literal[True]
    rows: int = Field(ge=0)
    copied: list[_Text] = Field(description="Types whose copy a run has once come to the end of.")


_LINE: TypeAdapter[_Entity | _Tail] = TypeAdapter(_Entity | _Tail)


def export_lines(store: Store, pair: str) -> Iterator[str]:
    """Everything that is known of this pair, ordered by type and primary ID. Raises StoreError."""
    yield _dump(_Head(format=FORMAT, version=VERSION, pair=pair))
    number = 0
    types: set[str] = set()
    for row in store.rows():
        yield _dump(_entity(row))
        number += 1
        types.add(row.type)
    yield _dump(_Tail(end=True, rows=number, copied=sorted(filter(store.copied, types))))


def import_lines(lines: TextIO | Iterable[str], store: Store, pair: str, *, replace: bool = False) -> int:
    """Put an export into a store; returns the number of rows. All of it or nothing.

    A store that holds rows of this pair is left alone unless `replace` is set. Raises ImportRefused, StoreError.
    """
    if not replace and next(store.rows(), None) is not None:
        raise ImportRefused("the store holds correlations of this pair already; --replace puts these in their place")
    reading = _Reading(pair)
    rows = reading.rows(lines)
    first = next(rows, None)  # the head is checked before anything is begun
    try:
        store.load(chain([] if first is None else [first], rows), reading.copied)
    except RowRefused:
        raise ImportRefused("an entity of either side is in the file twice; nothing was imported") from None
    return reading.number


class _Reading:
    def __init__(self, pair: str) -> None:
        self._pair = pair
        self._tail: _Tail | None = None
        self.number = 0
        self.copied: list[str] = []  # complete when the rows are

    def rows(self, lines: Iterable[str]) -> Iterator[Row]:
        """Checked one by one; the end is checked before the last is followed by nothing."""
        numbered = enumerate(lines, 1)
        self._head(next(numbered, (1, ""))[1])
        for place, line in numbered:
            if self._tail is not None:
                raise ImportRefused(f"line {place}: nothing may follow the last line of an export")
            entry = self._parsed(place, line)
            if isinstance(entry, _Tail):
                self._end(place, entry)
                continue
            self.number += 1
            yield self._row(place, entry)
        if self._tail is None:
            raise ImportRefused("the last line of an export is missing: the file was cut off; nothing was imported")

    def _head(self, line: str) -> None:
        try:
            head = _Head.model_validate_json(line)
        except ValidationError:
            raise ImportRefused(f"line 1: not the head of an export in format {FORMAT}, version {VERSION}") from None
        if head.pair != self._pair:
            raise ImportRefused("line 1: these are the correlations of another pair of systems")

    def _parsed(self, place: int, line: str) -> _Entity | _Tail:
        try:
            return _LINE.validate_json(line)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, problem["loc"][1:])) or "the line"
            raise ImportRefused(f"line {place}: {where}: {problem['msg']}; nothing was imported") from None

    def _row(self, place: int, entity: _Entity) -> Row:
        if entity.correlation_id != correlation_id(self._pair, entity.type, entity.primary_id):
            raise ImportRefused(f"line {place}: correlationID doesn't belong to this type and primaryID")
        if entity.status == "ACTIVE" and entity.secondary_id is None:
            raise ImportRefused(f"line {place}: an ACTIVE row needs a secondaryID")
        fields = {name: (pair[0], pair[1]) for name, pair in entity.fields.items()}
        return Row(**{**{name: getattr(entity, name) for name in _Entity.model_fields}, "fields": fields})

    def _end(self, place: int, tail: _Tail) -> None:
        if tail.rows != self.number:
            raise ImportRefused(f"line {place}: {tail.rows} rows were exported, {self.number} are here")
        self._tail = tail
        self.copied.extend(tail.copied)


def _entity(row: Row) -> _Entity:
    parts = {name: getattr(row, name) for name in _Entity.model_fields}
    return _Entity(**{**parts, "fields": {name: list(pair) for name, pair in row.fields.items()}})


def _dump(line: _Line) -> str:
    return json.dumps(line.model_dump(by_alias=True, exclude_none=False), separators=(",", ":"))
