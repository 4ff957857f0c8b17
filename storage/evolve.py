"""How an older description of a component or event becomes today's class.

`match` plans which stored column becomes which field, and `convert` makes a field's column of it. A
field that is new takes its default, one that is gone is dropped, a dtype may become any that holds
each of its values exactly, an enum may gain members, and units, texts, defaults, indices and
`on_despawn` may change freely. A range may narrow as long as every stored value fits. A component
that is required anew is added with its defaults (`complete`). All else is a SchemaError.

Cost: 30 to 40 µs a class to match; a column that nothing changes is neither copied nor read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import Field, schema
from populace.ecs.errors import ColumnValueError, SchemaError, SnapshotError
from populace.ecs.fields import ABSENT
from populace.ecs.text import TextPool
from populace.ecs.values import check_column, default_of

from .describe import Stored, StoredField, default_text, read, type_name

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """The stored column that becomes a field.

    dtype, width: as it was stored. check: today's rules are stricter, so `convert` looks at each
    value. newly_indexed: a reference that was not indexed may name the dead.
    """

    name: str
    dtype: np.dtype[Any]
    width: int
    check: bool = False
    newly_indexed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the stored columns of one component or event.

    sources: for each persisted field of today's class its stored column, or None where it takes
    its default. lost: the stored columns that today's class has no use for. newly_unique: today's
    class has a unique pair that was none, so what is stored may hold one twice.
    """

    cls: type
    sources: Mapping[Field, Source | None]
    lost: tuple[str, ...] = ()
    newly_unique: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The defaults of the `Text` fields without a column, in their order."""
        return tuple(
            default_text(made)
            for made, source in self.sources.items()
            if source is None and made.kind == "text"
        )


def match(description: Any, cls: type) -> Plan:
    """How columns that were stored under a description become those of today's class.

    Raises SchemaError, naming component and field, for a change that cannot be followed, and
    SnapshotError for what is no description.
    """
    stored, made = read(description), schema(cls)
    if stored.is_event != made.is_event:
        kinds = {True: "an event", False: "a component"}
        raise SchemaError(
            f"snapshot holds {stored.path} as {kinds[stored.is_event]}, and today {made.name} is "
            f"{kinds[made.is_event]}; give it another name, and keep the old class to load it"
        )
    held = {name: part for name, part in stored.fields.items() if not part.derived}
    today = {part.name for part in made.persisted}
    unique = {part.name for part in made.unique}
    return Plan(
        cls,
        {part: _source(part, held.get(part.name), stored) for part in made.persisted},
        tuple(name for name in held if name not in today),
        newly_unique=bool(unique) and unique != set(stored.unique),
    )


def defaults(cls: type) -> Plan:
    """The plan that gives every field its default, for a component that entities gain.

    Raises SchemaError where a field has none.
    """
    made = schema(cls)
    for part in made.persisted:
        if part.default is ABSENT:
            raise SchemaError(f"{part} has no default; give it one, as field(0, ...)")
    return Plan(cls, dict.fromkeys(made.persisted))


def complete(components: Iterable[type]) -> tuple[type, ...]:
    """The components of a stored table and, after them, those that these require today.

    What is added takes the columns of `defaults(component)`. Raises SchemaError where it cannot.
    """
    found = list(components)
    for cls in found:  # grows while it is walked
        for needed in schema(cls).requires:
            if needed in found:
                continue
            try:
                defaults(needed)
            except SchemaError as error:
                raise SchemaError(
                    f"snapshot holds entities with {cls.__name__} and without {needed.__name__}, "
                    f"which {cls.__name__} requires today; they can gain it by defaults alone: "
                    f"{error}"
                ) from error
            found.append(needed)
    return tuple(found)


def convert(
    plan: Plan,
    field: Field,
    stored: Array | None,
    n: int,
    intern: Callable[[str], int],
    living: Callable[[Array], npt.NDArray[np.bool_]] | None = None,
) -> Array:
    """The column of n rows that today's field holds: (n,) or (n, width), of the field's dtype.

    stored: the column `plan.sources[field].name` of the file, None where the plan has no source. It
    is returned itself where nothing changes. intern: gives the code of a default text; it is called
    only where there is no source, with one of `plan.texts`, so whoever wants these codes in an
    order of their own interns them before. living: (k,) u8 ids -> (k,) bool, which of them live;
    asked for a reference that has become an indexed one: what names the dead becomes `NOBODY`
    where on_despawn is "null", and is refused where it is not. Without it such ids are kept.

    Raises SchemaError for values that the field does not allow today, and SnapshotError for a
    column that is not as described. O(n) where values are converted or checked, else O(1).
    """
    source = plan.sources[field]
    if source is None:
        one = intern(default_text(field)) if field.kind == "text" else default_of(field, TextPool())
        return np.full((n, *field.shape), one, field.dtype)
    shape = (n, source.width) if source.width else (n,)
    if stored is None or stored.dtype != source.dtype or stored.shape != shape:
        held = "no column" if stored is None else f"{stored.dtype.name} {stored.shape}"
        raise SnapshotError(
            f"{field} is described as {source.dtype.name} {shape}, and the snapshot holds {held}: "
            f"it is damaged"
        )
    column = stored if source.dtype == field.dtype else stored.astype(field.dtype)
    if source.check:
        try:
            check_column(field, column)
        except ColumnValueError as error:
            raise SchemaError(
                f"snapshot holds values that today's {field} refuses: {error}; it was stored under "
                f"a wider rule: widen today's, or mend the values with the older class and save"
            ) from error
    if source.newly_indexed and living is not None:
        return _without_dead(field, column, living)
    return column


def _without_dead(
    field: Field, column: Array, living: Callable[[Array], npt.NDArray[np.bool_]]
) -> Array:
    dead = (column != 0) & ~living(column)
    if not dead.any():
        return column
    if field.on_despawn != "null":
        raise SchemaError(
            f"{field} is indexed today, with on_despawn={field.on_despawn!r}, and in the snapshot "
            f"{int(dead.sum()):,} of {dead.size:,} rows name an entity that is dead; declare "
            f"on_despawn='null', which makes them NOBODY"
        )
    return np.where(dead, field.dtype.type(0), column)


def _source(made: Field, held: StoredField | None, stored: Stored) -> Source | None:
    """The column of a field, None for its default; raises SchemaError."""
    if held is None:
        if made.default is ABSENT:
            was_derived = made.name in stored.fields
            why = "holds it as derived, so without values" if was_derived else "does not hold it"
            raise SchemaError(
                f"{made} has no default and the snapshot of {stored.path} {why}; give it one, as "
                f"field(0, ...), or the name of the field it continues: the snapshot holds "
                f"{', '.join(n for n, f in stored.fields.items() if not f.derived) or 'none'}"
            )
        return None
    if held.kind != made.kind or held.width != made.width or not _holds(made.dtype, held.dtype):
        raise SchemaError(
            f"{made} was stored as {type_name(held)}, and today it is {type_name(made)}, which "
            f"cannot hold all of its values exactly; declare it as it was, or give the new field "
            f"another name and a default: what was stored is then dropped"
        )
    if made.choices is not None:
        _check_choices(made, held.choices or {})
    return Source(
        held.name,
        held.dtype,
        held.width,
        check=_stricter(made, held),
        newly_indexed=made.index and not held.index,
    )


def _holds(today: np.dtype[Any], stored: np.dtype[Any]) -> bool:
    """Whether each value of one dtype is one of the other, exactly."""
    if today == stored:
        return True
    # numpy calls i8 and u8 to f8 safe, which rounds above 2^53, and takes booleans for numbers.
    inexact = today.kind == "f" and stored.kind in "iu" and stored.itemsize == 8
    return stored.kind != "b" and not inexact and np.can_cast(stored, today, "safe")


def _stricter(made: Field, held: StoredField) -> bool:
    """Whether a stored value could be one that today's rules refuse."""
    if made.finite and made.dtype.kind == held.dtype.kind == "f" and not held.finite:
        return True
    if made.range is None:
        return False
    return held.range is None or held.range[0] < made.range[0] or held.range[1] > made.range[1]


def _check_choices(made: Field, stored: dict[str, int]) -> None:
    assert made.choices is not None
    members = {name: int(member) for name, member in made.choices.__members__.items()}
    for name, value in stored.items():
        if members.get(name) != value:
            now = f"is {members[name]}" if name in members else "does not exist"
            raise SchemaError(
                f"{made} was stored with {name} = {value}, and today {name} {now} in "
                f"{made.choices.__name__}; members may be added, but those of a snapshot keep name "
                f"and value: bring {name} = {value} back, if need be beside a new name for it"
            )
