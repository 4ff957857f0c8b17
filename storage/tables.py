"""What a tidy table is made of: which entities, or which kept events, and which columns.

A `Table` has a row for each entity with some components, a `Log` one for each kept event of a
class. Both are turned into `Column`s, which say where values come from and what they mean; what
Arrow makes of them is in `frames.py`. No values here, so this is free to import.

The columns of a table, in their order, are those of its components, field by field:

    entity            the row's own id, of a `Table`                             u8
    FIELD             the field, under its own name or another one (`rename`)
    NAME_entity       of a reference: the id that it holds                       u8, or null
    NAME              of a reference: what stands for what it names (`references`)
    TAG               whether the entity has it                                  bool
    LABEL             more of what a reference names, over one step or several (`labels`)

A number of an agent outlives saves and moves and is the key to join on; an id is good for this
world as it is now.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from populace.ecs import Field, schema
from populace.ecs.errors import QueryError
from populace.ecs.fields import NOBODY

if TYPE_CHECKING:
    from populace.ecs.image import Image

TIME_UNIT = "us since 1970"
NEVER = 2**63 - 1
FAR = 2**62
"""Times so far before or after 1970 are no moments: never, or not yet. They are null."""

Codes = Callable[["Image"], Sequence[str]]
"""What finds the names of a field's codes, in their order, among an image's resources."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its values are `field` of what `path` leads to from the row.

    kind: "entity" is the row's id (field None) or the id that a reference holds; "tag" is whether
    the row has `component`; "value" is everything else. component: the row's component that it
    belongs to; None for its id. path: the references to follow, in order; () for the row's own
    value. nullable: some rows may have none. stored: part of the files that are read back. missing:
    the value that stands for none. codes: what finds the names of its codes.
    """

    name: str
    kind: Literal["entity", "tag", "value"]
    component: type | None = None
    field: Field | None = None
    path: tuple[Field, ...] = ()
    nullable: bool = False
    stored: bool = False
    unit: str = ""
    doc: str = ""
    missing: int | None = None
    codes: Codes | None = None


@dataclass(frozen=True, eq=False)
class Spec(ABC):
    """What a `Table` and a `Log` have in common.

    rename: columns named other than their field. references: for an `Entity` field, the field of
    the entity it names that stands for it. labels: more columns, by name: the references to follow,
    then the field at their end; each stands behind the first of its references. codes: for fields
    that hold codes, what finds their names. missing: for fields, the value that stands for none.
    docs: what a column means, by name, where its field does not say it. since: the field with the
    time that says how new a row is. month: the field with the time by whose months a large export
    is divided, one that does not change. doc: what a row is.
    """

    name: str
    rename: Mapping[Any, str] = field(default_factory=dict, kw_only=True)
    references: Mapping[Any, Any] = field(default_factory=dict, kw_only=True)
    labels: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, kw_only=True)
    codes: Mapping[Any, Codes] = field(default_factory=dict, kw_only=True)
    missing: Mapping[Any, int] = field(default_factory=dict, kw_only=True)
    docs: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    since: Any = field(default=None, kw_only=True)
    month: Any = field(default=None, kw_only=True)
    doc: str = field(default="", kw_only=True)

    def column(self, made: Field) -> str:
        """The name of a field's column."""
        return self.rename.get(made, made.name)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every column, in order. Raises QueryError where two have the same name."""
        made = tuple(self._expand())
        for place, column in enumerate(made):
            if any(column.name == other.name for other in made[:place]):
                raise QueryError(
                    f"table {self.name!r} would have two columns {column.name!r}, one of them of "
                    f"{column.field or column.component}; give it another name in `rename`"
                )
        return made

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Every column, by its name."""
        return {column.name: column for column in self.columns}

    def chosen(self, names: Collection[str] | None = None) -> tuple[Column, ...]:
        """The columns of these names, in their order; all of them for None.

        Raises QueryError for a name that no column has.
        """
        if names is None:
            return self.columns
        for name in names:
            if name not in self.by_name:
                close = difflib.get_close_matches(name, self.by_name, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise QueryError(
                    f"table {self.name!r} has no column {name!r}; it has "
                    f"{', '.join(self.by_name)}{hint}"
                )
        return tuple(self.by_name[name] for name in names)

    @abstractmethod
    def _expand(self) -> Iterator[Column]:
        """Every column, in order."""

    def _columns_of(self, component: type, optional: bool) -> Iterator[Column]:
        """The columns of one component or event."""
        made_schema = schema(component)
        if made_schema.is_tag and not made_schema.is_event:
            name = component.__name__.lower()
            doc = self.docs.get(name, made_schema.doc)
            yield Column(name, "tag", component, stored=True, doc=doc)
        for made in made_schema.fields:
            if made.kind == "entity":
                yield from self._reference(component, made, optional)
            else:
                name = self.column(made)
                yield Column(
                    name,
                    "value",
                    component,
                    made,
                    nullable=optional or made in self.missing or may_be_far(made),
                    stored=True,
                    unit=made.unit,
                    doc=self.docs.get(name, made.doc),
                    missing=self.missing.get(made),
                    codes=self.codes.get(made),
                )

    def _reference(self, component: type, made: Field, optional: bool) -> Iterator[Column]:
        """What stands for what a reference names, its id, and more of it."""
        name = self.column(made)
        lasting = made.on_despawn in ("despawn", "forbid") and made.default != NOBODY
        optional = optional or not lasting
        if made in self.references:
            stands = self.references[made]
            yield Column(
                name,
                "value",
                component,
                stands,
                (made,),
                nullable=optional,
                stored=True,
                unit=stands.unit,
                doc=self.docs.get(name, made.doc),
                codes=self.codes.get(stands),
            )
        doc = self.docs.get(f"{name}_entity", f"{made.doc}: its id")
        yield Column(f"{name}_entity", "entity", component, made, nullable=optional, doc=doc)
        for label, path in self.labels.items():
            if path[0] is made:
                *via, end = path
                doc = ": ".join(each.doc for each in path if each.doc)
                yield Column(
                    label,
                    "value",
                    component,
                    end,
                    tuple(via),
                    nullable=True,
                    unit=end.unit,
                    doc=self.docs.get(label, doc),
                    missing=self.missing.get(end),
                    codes=self.codes.get(end),
                )


@dataclass(frozen=True, eq=False)
class Table(Spec):
    """A row for each entity that has some components.

    required: an entity with all of these has a row. optional: more components and tags; their
    columns are null where a row lacks them. order: fields whose values, together, are different in
    every row. The rest: see `Spec`.

    >>> from populace.ecs import Text, component, u4
    >>> @component
    ... class Person:
    ...     number: u4
    ...     name: Text
    >>> people = Table("people", (Person,), rename={Person.number: "person"})
    >>> [column.name for column in people.columns]
    ['entity', 'person', 'name']
    """

    required: tuple[type, ...]
    optional: tuple[type, ...] = ()
    order: tuple[Any, ...] = ()

    def _expand(self) -> Iterator[Column]:
        doc = self.docs.get("entity", "the row's own id, good for as long as it lives")
        yield Column("entity", "entity", doc=doc)
        for component in self.required:
            yield from self._columns_of(component, optional=False)
        for component in self.optional:
            yield from self._columns_of(component, optional=True)


@dataclass(frozen=True, eq=False)
class Log(Spec):
    """A row for each kept event of a class, in the order of emission: see `World.keep`.

    What an event names may have ended since; then what would stand for it is null. A world that
    keeps no such events gives a table without rows. The rest: see `Spec`.
    """

    event: type

    def _expand(self) -> Iterator[Column]:
        yield from self._columns_of(self.event, optional=False)


def may_be_far(made: Field) -> bool:
    """Whether a time is never, or not yet, by default."""
    return made.unit == TIME_UNIT and isinstance(made.default, int) and abs(made.default) >= FAR
