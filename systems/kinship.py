"""Kinship: who descends from whom, and how closely two persons are related.

The coefficient of kinship (Malécot 1948) of a and b is the chance that a gene drawn from a and one
drawn from b descend from the same gene of an ancestor:

    k(a, a) = (1 + F(a)) / 2     F(a) = k(parents of a), 0 where one is not known
    k(a, b) = (k(p, b) + k(q, b)) / 2     p, q the parents of a, and b no descendant of a

It is 1/2 with oneself, 1/4 with parents, children and full siblings, 1/8 with half siblings, uncles
and aunts, 1/16 with first cousins, without inbreeding. It is computed over the ancestors of the
pair alone (Meuwissen & Luo 1992): genes of a and b meet in an ancestor c or before it,

    k(a, b) = 1/2 sum over c of A(c) B(c) D(c)
    D(c) = 1 - sum over the known parents p of c of (1 + F(p)) / 4

A(c) the expected share of c's genes in a: halved from child to parent, summed over lines.

Persons go by their numbers in the population (`Persona.number`), since most may be dead. Whom the
register does not know is a person without known kin.

Invariants: results are a function of the register, not of its rows; exact (sums of powers of two)
up to about 25 generations.
Cost: about 60 ns for each ancestor of the pair (2.3 µs with 3 known generations, 14 with 6), and
once as much for each ancestor, for its inbreeding, which is then remembered; a call compares the
register, 1.5 ms per 1M entries (see `pedigree`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from populace.components.lineage import NO_PARENT
from populace.ecs import World, jit
from populace.ecs.errors import ColumnShapeError, ColumnTypeError, ColumnValueError

from .pedigree import Pedigree, pedigree_of

Numbers = npt.NDArray[np.uint32]


class Siblings(NamedTuple):
    """Numbers of persons, ascending. full: with both parents the same. half: with one."""

    full: Numbers
    half: Numbers


# -- the kernels -----------------------------------------------------------------------------


@jit
def climb(start: Any, first_n: Any, second_n: Any, limit: Any, level_n: Any, found_n: Any) -> Any:
    """found_n <- start and its ancestors up to `limit` generations up, nearest first; returns how
    many. level_n: (n,) i4, -1 all over; what is found gets its generation."""
    level_n[start] = 0
    found_n[0] = start
    head, tail = 0, 1
    while head < tail:
        i = found_n[head]
        head += 1
        if level_n[i] < limit:
            for parent in (first_n[i], second_n[i]):
                if parent >= 0 and level_n[parent] < 0:
                    level_n[parent] = level_n[i] + 1
                    found_n[tail] = parent
                    tail += 1
    return tail


@jit
def descend(start: Any, begin_n: Any, child_c: Any, limit: Any, level_n: Any, found_n: Any) -> Any:
    """The same down: found_n <- start and its descendants; returns how many."""
    level_n[start] = 0
    found_n[0] = start
    head, tail = 0, 1
    while head < tail:
        i = found_n[head]
        head += 1
        if level_n[i] < limit:
            for c in range(begin_n[i], begin_n[i + 1]):
                child = child_c[c]
                if level_n[child] < 0:
                    level_n[child] = level_n[i] + 1
                    found_n[tail] = child
                    tail += 1
    return tail


@jit
def both_lines(a: Any, b: Any, first_n: Any, second_n: Any, seen_n: Any, found_n: Any) -> Any:
    """found_n <- a, b and their ancestors, each once, ascending; returns how many.

    seen_n: (n,) bool, False all over, and so again afterwards.
    """
    found_n[0] = a
    seen_n[a] = True
    tail = 1
    if a != b:
        found_n[1] = b
        seen_n[b] = True
        tail = 2
    head = 0
    while head < tail:
        i = found_n[head]
        head += 1
        for parent in (first_n[i], second_n[i]):
            if parent >= 0 and not seen_n[parent]:
                seen_n[parent] = True
                found_n[tail] = parent
                tail += 1
    for k in range(tail):
        seen_n[found_n[k]] = False
    found_n[:tail].sort()
    return tail


@jit
def meeting(
    a: Any,
    b: Any,
    line_m: Any,
    first_n: Any,
    second_n: Any,
    inbreeding_n: Any,
    share_n2: Any,
) -> Any:
    """The kinship of a and b, f8, where the inbreeding of all their ancestors is known.

    line_m: (m,) i4, what `both_lines` finds. share_n2: (n, 2) f8, zeros all over, and so again
    afterwards. O(m).
    """
    share_n2[a, 0] += 1.0
    share_n2[b, 1] += 1.0
    total = 0.0
    for k in range(line_m.size - 1, -1, -1):  # children before their parents
        c = line_m[k]
        mine, theirs = share_n2[c, 0], share_n2[c, 1]
        share_n2[c, 0] = 0.0
        share_n2[c, 1] = 0.0
        own = 1.0
        for parent in (first_n[c], second_n[c]):
            if parent >= 0:
                own -= 0.25 * (1.0 + inbreeding_n[parent])
                share_n2[parent, 0] += 0.5 * mine
                share_n2[parent, 1] += 0.5 * theirs
        total += mine * theirs * own
    return 0.5 * total


@jit
def kinships(
    a_e: Any,
    b_e: Any,
    first_n: Any,
    second_n: Any,
    inbreeding_n: Any,
    seen_n: Any,
    line_n: Any,
    found_n: Any,
    share_n2: Any,
    out_e: Any,
) -> None:
    """out_e <- the kinship of each pair of places. inbreeding_n is filled where it was NaN and is
    needed. line_n, found_n: (n,) i4, scratch; seen_n and share_n2 as above."""
    for e in range(out_e.size):
        a, b = a_e[e], b_e[e]
        m = both_lines(a, b, first_n, second_n, seen_n, line_n)
        for k in range(m):  # ancestors first
            c = line_n[k]
            if np.isnan(inbreeding_n[c]):
                p, q = first_n[c], second_n[c]
                if p >= 0 and q >= 0:
                    own = both_lines(p, q, first_n, second_n, seen_n, found_n)
                    inbreeding_n[c] = meeting(
                        p, q, found_n[:own], first_n, second_n, inbreeding_n, share_n2
                    )
                else:
                    inbreeding_n[c] = 0.0
        out_e[e] = meeting(a, b, line_n[:m], first_n, second_n, inbreeding_n, share_n2)


# -- questions -------------------------------------------------------------------------------


def ancestors(world: World, number: int, generations: int | None = None) -> Numbers:
    """(k,) u4: the ancestors of a person, the nearest first, then by number.

    generations: how far up, 1 for the parents; None for all that the register knows.
    Raises ColumnValueError for what is no number of a person or of generations, or for a register
    in which somebody is their own ancestor. Cost: the ancestors, and 8 bytes to fill a person.
    """
    pedigree = pedigree_of(world)
    return _walk(pedigree, number, generations, climb, pedigree.first, pedigree.second)


def descendants(world: World, number: int, generations: int | None = None) -> Numbers:
    """(k,) u4: the descendants of a person, the nearest first, then by number; see `ancestors`."""
    pedigree = pedigree_of(world)
    return _walk(pedigree, number, generations, descend, pedigree.begin, pedigree.child)


def siblings(world: World, number: int) -> Siblings:
    """A person's full and half siblings. Raises as `ancestors`.

    Full siblings have both parents the same, in either order; half siblings one. A parent who is
    not known is nobody's.
    """
    pedigree = pedigree_of(world)
    own = int(pedigree.places(_one_number(number))[0])
    if own < 0:
        return Siblings(np.empty(0, np.uint32), np.empty(0, np.uint32))
    parents = {int(pedigree.first[own]), int(pedigree.second[own])} - {-1}
    lists = [pedigree.child[pedigree.begin[p] : pedigree.begin[p + 1]] for p in parents]
    found, shared = np.unique(np.concatenate([np.empty(0, np.int32), *lists]), return_counts=True)
    other, shared = found[found != own], shared[found != own]
    full = shared == 2
    return Siblings(np.sort(pedigree.numbers[other[full]]), np.sort(pedigree.numbers[other[~full]]))


def kinship(world: World, a: Any, b: Any) -> npt.NDArray[np.float64]:
    """f8 of the shape of a and b: the coefficients of kinship of persons, pair by pair.

    a, b: numbers of persons, single or arrays that broadcast. (1 + F) / 2 with oneself, F the
    coefficient of inbreeding. Raises as `ancestors`, ColumnShapeError where they do not broadcast.

    >>> from populace.ecs import World
    >>> from populace.components.lineage import Lineage
    >>> world = World()
    >>> _ = world.spawn(Lineage(person=[2, 3, 4], first=[0, 0, 2], second=[1, 1, 3]))
    >>> kinship(world, [2, 2, 4], [3, 0, 4]).tolist()          # siblings, parent, their child
    [0.25, 0.25, 0.625]
    """
    try:
        whose, whom = np.broadcast_arrays(np.asarray(a), np.asarray(b))
    except ValueError:
        raise ColumnShapeError(
            f"kinship takes as many a as b, or one; got shapes {np.shape(a)} and {np.shape(b)}"
        ) from None
    one, other = _numbers("a", whose), _numbers("b", whom)
    pedigree = pedigree_of(world)
    n = pedigree.numbers.size
    place, partner = pedigree.places(one), pedigree.places(other)
    known = (place >= 0) & (partner >= 0)
    out = np.where(one == other, 0.5, 0.0)
    found = np.empty(int(known.sum()))
    kinships(
        place[known],
        partner[known],
        pedigree.first,
        pedigree.second,
        pedigree.inbreeding,
        np.zeros(n, np.bool_),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.zeros((n, 2)),
        found,
    )
    out[known] = found
    return out.reshape(whose.shape)


def _walk(
    pedigree: Pedigree, number: int, generations: int | None, kernel: Any, one: Any, other: Any
) -> Numbers:
    """Whom a walk from a person finds, without that person."""
    asked = _one_number(number)
    limit = 2**31 - 1 if generations is None else generations
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 0:
        raise ColumnValueError(f"generations is a whole number >= 0 or None, got {generations!r}")
    start = int(pedigree.places(asked)[0])
    if start < 0:
        return np.empty(0, np.uint32)
    n = pedigree.numbers.size
    level, found = np.full(n, -1, np.int32), np.empty(n, np.int32)
    kin = found[: kernel(start, one, other, min(int(limit), 2**31 - 1), level, found)][1:]
    numbers: Numbers = pedigree.numbers[kin]
    nearest: Numbers = numbers[np.lexsort((numbers, level[kin]))]
    return nearest


def _one_number(value: Any) -> Numbers:
    """The number of one person as (1,) u4. Raises ColumnShapeError, and as `_numbers`."""
    if np.ndim(value):
        raise ColumnShapeError(f"this asks about one person; got numbers of {np.shape(value)}")
    return _numbers("number", value)


def _numbers(name: str, value: Any) -> Numbers:
    """Numbers of persons as (k,) u4. Raises ColumnTypeError, ColumnValueError."""
    given = np.asarray(value).reshape(-1)
    if given.dtype.kind not in "iu" and given.size:
        raise ColumnTypeError(f"{name} takes numbers of persons, whole ones; got {given.dtype}")
    wrong = (given < 0) | (given >= NO_PARENT)
    if wrong.any():
        raise ColumnValueError(
            f"{name}: {int(given[wrong][0])} is no person's number; they go from 0 to 2^32 - 2"
        )
    return given.astype(np.uint32)
