"""Who descends from whom: a register of births, which outlives those who were born.

An entry is an entity of its own and names persons by their number in the population
(`Persona.number`), so a despawn leaves it as it is, and it can be saved, queried and joined like
anything else. Persons who are named as parents only, founders, need no entry. Entries are made by
`populace.systems.heredity`, or by whoever imports a pedigree; `populace.systems.kinship` reads
them.
"""

from __future__ import annotations

from dataclasses import dataclass

from populace.ecs import component, field, i8, u4

NO_PARENT = 2**32 - 1
"""The number of a parent that is not known."""


@component
class Lineage:
    """One birth. A person has one entry at most, and which parent is first means nothing."""

    person: u4 = field(range=(0, NO_PARENT - 1), doc="number of who was born")
    first: u4 = field(default=NO_PARENT, doc="number of one parent, NO_PARENT if unknown")
    second: u4 = field(default=NO_PARENT, doc="number of the other, NO_PARENT if unknown")
    born: i8 = field(default=0, unit="us since 1970", doc="when, in simulated time")


@dataclass(slots=True)
class Census:
    """How far the numbers of persons have come. A resource; births make and move it.

    next_number: above every number that births have given out. Whoever makes a population of n
    may insert Census(n), so that the numbers of those who die before the first birth stay theirs.
    """

    next_number: int = 0
