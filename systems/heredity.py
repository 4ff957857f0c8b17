"""Heredity: children take after their parents, and the register keeps who they were.

    child = h2 (p1 + p2) / 2 + (1 - h2) mean + N(0, sigma^2 / 2)          per trait, clipped

the infinitesimal model (Fisher 1918; Barton, Etheridge & Véber 2017) with the heritability h2 as
the slope of child on midparent. mean and sigma are shares of a trait's range: a trait in [40, 160]
with mean 0.5 has its mean at 100. Siblings differ by a variance of sigma^2 / 2. Where parents are
drawn at random the variance of a population settles at sigma^2 / (2 - h2^2), which is sigma^2 where
h2 is 1 and 0.57 sigma^2 at the default of 0.5.

Invariants: a draw is a function of (seed, trait, number of the child), and numbers go in the order
of the pairs, so a batch may be split, and traits may be named in any order. A number is given out
once, also when all who had higher ones are dead.
Cost: 10,000 births 3 ms; a call 0.4 ms, and 0.3 more for each 1M people and 1 for each 1M entries:
the largest number is looked up among them, since anybody may spawn a `Persona` by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Persona
from populace.components.lineage import NO_PARENT, Census, Lineage
from populace.ecs import Field, World, setting, settings
from populace.ecs.bundle import Bundle, read_bundle, with_required
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import (
    CapacityError,
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    DuplicateComponentError,
    UnknownFieldError,
)
from populace.ecs.random import normal

from .temperament import BIG_FIVE


@settings
class Heredity:
    """How children take after their parents. A resource."""

    heritability: float = setting(
        0.5, range=(0, 1), doc="h2, the slope of a child's trait on its parents' mean"
    )
    sigma: float = setting(
        0.1, range=(0, 1), unit="of the range", doc="spread: siblings differ by sigma^2 / 2"
    )
    mean: float = setting(
        0.5, range=(0, 1), unit="of the range", doc="what a population comes back to"
    )


def births(
    world: World,
    first_ids: Any,
    second_ids: Any,
    *components: Any,
    traits: Iterable[Field] = BIG_FIVE,
    time: Any = None,
) -> Ids:
    """One child of each pair of parents; returns the children's ids, (n,) u8.

    first_ids, second_ids: (n,) ids of living persons, each with all of `traits`. components: more
    of what the children have (`Stream`, `Persona(name=names)`, a template), as for `spawn`.
    traits: numeric fields with a range, of any components; the children get those components.
    time: when they are born, simulated µs, one or (n,); None is now.

    Persona.number and the traits are the children's own and not to be given. A `Lineage` is made
    for each child. Either all happens or nothing. Wants the resource `Heredity`.

    Raises DeadEntityError, ComponentMissingError; ColumnShapeError for lists of different lengths;
    ColumnValueError where both parents are one person; ColumnTypeError for a trait that cannot be
    inherited; UnknownFieldError for a component or field that births make themselves; CapacityError
    when 2^32 - 1 numbers are used up; and whatever `spawn` raises.

    >>> from populace.ecs import World
    >>> world = World(seed=7)
    >>> world.insert(Heredity(heritability=1, sigma=0))
    >>> ann, bo = world.spawn(2, Persona(number=[0, 1], openness=[0.2, 0.8]))
    >>> child = births(world, ann, bo, Persona(name="Cy"))
    >>> world.get(child, Persona.openness).tolist(), world.get(child, Persona.number).tolist()
    ([0.5], [2])
    """
    store = world.store
    store.guard("births")
    law, first, second = world.resource(Heredity), as_ids(first_ids), as_ids(second_ids)
    _check_pairs(first, second)
    fields = _checked_traits(traits)
    bundle = _own_bundle(components, fields)
    n = first.size
    parents = [world.get(ids, Persona.number) for ids in (first, second)]
    begin = next_number(world)
    if begin + n > NO_PARENT:
        raise CapacityError(f"{n:,} births from number {begin:,} on: numbers end at 2^32 - 2")
    numbers = np.arange(begin, begin + n, dtype=np.uint32)
    for field in fields:
        noise = normal(world.seed, f"heredity.{field}", numbers)
        given = bundle.setdefault(field.component, {})
        given[field.name] = inherited(
            law, field, world.get(first, field), world.get(second, field), noise
        )
    bundle.setdefault(Persona, {})["number"] = numbers
    born = world.clock.now if time is None else time
    entries: Bundle = {
        Lineage: {"person": numbers, "first": parents[0], "second": parents[1], "born": born}
    }
    with store.checking() as held:
        whole = with_required(bundle, "births")
        values = [store.prepare(part, n, "child") for part in (entries, whole)]
        if not n:
            store.text.rollback(held)
            return np.empty(0, np.uint64)
        store.entities.reserve(2 * n)
        register = store.stage((Lineage,), values[0], n)
        children = store.stage(tuple(whole), values[1], n)
    world.insert(Census(begin + n), replace=True)
    try:
        store.commit(register)
    finally:  # an observer that raises does so after all has happened
        ids = store.commit(children)
    return ids


def inherited(law: Heredity, field: Field, first: Any, second: Any, noise: Any) -> npt.NDArray[Any]:
    """(n,) of the field's dtype: the trait of children, clipped to its range.

    first, second: (n,) of the parents. noise: (n,) f8, normal with variance 1. Whole-numbered
    traits are rounded.
    """
    low, high = field.range or (0.0, 1.0)
    midparent = (np.asarray(first, np.float64) + np.asarray(second, np.float64)) / 2
    mean = low + law.mean * (high - low)
    child = law.heritability * midparent + (1 - law.heritability) * mean
    child += sqrt(0.5) * law.sigma * (high - low) * noise
    found = np.clip(child, low, high)
    return (found if field.dtype.kind == "f" else np.rint(found)).astype(field.dtype)


def next_number(world: World) -> int:
    """The number of the next person: above those of all who live or are in the register, and above
    all that births have given out (see `Census`)."""
    found = world.resource(Census).next_number if Census in world.resources else 0
    for field in (Persona.number, Lineage.person, Lineage.first, Lineage.second):
        # In u4 NO_PARENT + 1 is 0, so an unknown parent counts for nothing.
        after = world.query(field.component).gather(field) + np.uint32(1)
        found = max(found, int(after.max(initial=0)))
    return found


def _check_pairs(first: Ids, second: Ids) -> None:
    if first.size != second.size:
        raise ColumnShapeError(
            f"births takes one second parent for each first; got {first.size:,} and {second.size:,}"
        )
    same = np.flatnonzero(first == second)
    if same.size:
        raise ColumnValueError(
            f"a child has two parents; at place {int(same[0]):,} both are entity "
            f"{int(first[same[0]])}"
        )


def _checked_traits(traits: Iterable[Field]) -> tuple[Field, ...]:
    fields = tuple(traits)
    for place, field in enumerate(fields):
        if not isinstance(field, Field):
            raise ColumnTypeError(f"a trait is a field, as Persona.openness; got {field!r}")
        numeric = field.kind == "scalar" and field.dtype.kind in "fiu" and not field.derived
        if not numeric or field.range is None or not all(map(isfinite, field.range)):
            raise ColumnTypeError(
                f"{field!r} cannot be inherited: that takes one number a row with a finite range, "
                f"as in courage: f4 = field(0.5, range=(0, 1))"
            )
        if field in fields[:place]:
            raise DuplicateComponentError(f"the trait {field} is named twice; once will do")
    return fields


def _own_bundle(components: tuple[Any, ...], traits: tuple[Field, ...]) -> Bundle:
    """What the caller gives the children. Raises UnknownFieldError for what births make."""
    bundle = {cls: dict(given) for cls, given in read_bundle(components, "births").items()}
    if Lineage in bundle:
        raise UnknownFieldError("births make the Lineage of each child themselves; leave it out")
    for field in (Persona.number, *traits):
        if field.name in bundle.get(field.component, {}):
            raise UnknownFieldError(
                f"{field} of a child is not to be given: births assign it; leave it out, or name "
                f"other traits"
            )
    return bundle
